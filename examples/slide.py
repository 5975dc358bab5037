"""What ``rldf slide`` does, from Python: move one attribute, keep the rest."""

from pathlib import Path

import typer
from PIL import Image

from rldf_agents.applications.slide import slide
from rldf_gym.factory import make_evaluator
from rldf_gym.goal import DEFAULT_TARGET, load_picture
from rldf_gym.grammar import load_grammar


def main(target: str = str(DEFAULT_TARGET), axis: str = "weather", out: str = "slide.png") -> None:
    """Generate a picture of TARGET's meaning for every value of AXIS."""
    evaluator = make_evaluator(load_grammar("extended"), "embedded", "auto", "default")
    result = slide(evaluator, load_picture(target), [axis])
    print(f"the target was read as {result.goal.prompt!r}")
    for cell in result.cells:
        print(f"{result.label(cell):>8}: {cell.prompt}")
    [moved] = result.moved
    print(
        f"the read {axis} follows in {moved.follows:.0%}; the rest stays in {result.all_stay:.0%}"
    )
    Image.fromarray(result.grid()).save(Path(out))
    print(f"the pictures: {out}")
    evaluator.store.close()


if __name__ == "__main__":
    typer.run(main)
