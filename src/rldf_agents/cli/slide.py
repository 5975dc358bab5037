"""``rldf slide``: move attributes of what a picture means."""

from __future__ import annotations

from typing import Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.output import Output
from rldf_agents.cli.world import World

_WORLD = World(grammar="extended")


@options.expanded
def slide(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(help="The target: a picture file.")],
    axis: Annotated[list[str], typer.Option(help="The axis to move; give it twice for two axes.")],
    output: Output,
    world: World = _WORLD,
) -> None:
    """Make a picture for every value of one or two axes; the other axes stay as in a picture.

    Writes grid.png, slide.webp, slide.json and report.html, with how often the read value follows,
    how often the other axes stay, and whether CLIP's score of the attribute is monotone.

    Example: rldf slide photo.png --axis weather --axis time_of_day --out out/slide
    """
    from rldf_agents.applications.result import REPORT_FILE
    from rldf_agents.applications.slide import slide as make_slide
    from rldf_gym.goal import load_picture

    out = output.new_folder(picture)
    target = load_picture(picture)
    console = output.console()
    with world.open() as evaluator, console.status("generating ...") as status:
        found = make_slide(
            *(evaluator, target, axis),
            lambda done, total: status.update(f"{done} of {total} pictures"),
        )
    output.save(found, picture, context, out)
    console.print(f"the target, read as: {found.goal.prompt}", markup=False)
    for each in found.moved:
        console.print(f"{each.name}: the read value follows in {each.follows:.0%} of the pictures")
    console.print(f"all other axes stay in {found.all_stay:.0%}; wrote {out}", markup=False)
    output.finish(out / REPORT_FILE)
