"""What ``rldf compare`` does, from Python: several methods, one target, the same budget."""

from pathlib import Path

import typer
from PIL import Image

from rldf_agents.applications.compare import compare
from rldf_agents.inversion import methods
from rldf_gym.factory import make_evaluator
from rldf_gym.goal import DEFAULT_TARGET, infer_goal, load_picture
from rldf_gym.grammar import load_grammar


def main(target: str = str(DEFAULT_TARGET), budget: int = 20, out: str = "compare.png") -> None:
    """Search for TARGET by RLDF and by others, with BUDGET pictures each."""
    evaluator = make_evaluator(load_grammar("base"), "embedded", "auto", "default")
    goal = infer_goal(evaluator, load_picture(target))
    print(f"the target was read as {goal.prompt!r}")
    # A captioner needs weights that are not shipped.
    chosen = [method for method in methods().values() if method.name != "caption"]
    result = compare(evaluator, goal, chosen, budget, atlas="no atlas was built")
    for entry in result.entries:
        if entry.found is None:
            print(f"{entry.title}: left out, {entry.left_out}")
            continue
        right = f"{result.n_right(entry.found)} of {goal.grammar.n_axes} axes"
        print(f"{entry.title}: {right} with {entry.n_pictures} pictures: {entry.found.prompt!r}")
    Image.fromarray(result.grid()).save(Path(out))
    evaluator.store.close()


if __name__ == "__main__":
    typer.run(main)
