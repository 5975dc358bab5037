"""What ``rldf search`` does, from Python: find what a picture means, with variations."""

from pathlib import Path

import typer

from rldf_agents.applications.search import SearchSettings, search_picture
from rldf_gym.goal import DEFAULT_TARGET


def main(target: str = str(DEFAULT_TARGET), out: str = "out/search", variations: int = 3) -> None:
    """Read TARGET, verify the reading with images, and write a report to OUT."""
    settings = SearchSettings(start="reading", variations=variations)
    result = search_picture(target, settings)
    goal, grammar = result.goal, result.goal.grammar
    print(f"the target was read as {goal.prompt!r}")
    for axis, label, chances in zip(grammar.axes, goal.state, goal.probabilities, strict=True):
        print(f"  {axis.name}: {axis.values[label]} (probability {chances[label]:.2f})")
    print(f"{result.verdict}: {result.best[0].prompt!r}, after {result.states_seen} images")
    folder = result.save(Path(out))
    distances = [distance.embedding for distance in result.copy_distances]
    print(f"{len(result.variations)} verified variations, embedding distances to the target:")
    print("  " + ", ".join(f"{distance:.2f}" for distance in distances))
    print(f"report: {folder}")


if __name__ == "__main__":
    typer.run(main)
