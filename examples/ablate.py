"""What ``rldf ablate`` does, from Python: keep what a picture means, leave out a concept."""

from pathlib import Path

import typer
from PIL import Image

from rldf_agents.applications.ablate import ablate
from rldf_gym.factory import make_evaluator
from rldf_gym.goal import DEFAULT_TARGET, load_picture
from rldf_gym.grammar import load_grammar


def main(
    target: str = str(DEFAULT_TARGET), concept: str = "foggy", out: str = "ablated.png"
) -> None:
    """Generate pictures that mean what TARGET means, and score the CONCEPT in them."""
    evaluator = make_evaluator(load_grammar("base"), "embedded", "auto", "default")
    result = ablate(evaluator, load_picture(target), concept, n_results=4, n_plain=8)
    print(f"the target was read as {result.goal.prompt!r}")
    print(f"probability of {concept!r} in the target: {result.target_score:.2f}")
    if result.level is not None:
        print(f"in {len(result.results)} generated pictures: {result.level.mean:.2f}")
        Image.fromarray(result.results[0].picture).save(Path(out))
    print(f"in plain pictures: {result.plain_level.mean:.2f}; all axes stay: {result.all_stay:.0%}")
    evaluator.store.close()


if __name__ == "__main__":
    typer.run(main)
