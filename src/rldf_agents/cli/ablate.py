"""``rldf ablate``: remove a concept from what a picture means."""

from __future__ import annotations

from typing import Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.exit_status import NOT_FOUND
from rldf_agents.cli.output import Output
from rldf_agents.cli.world import World


@options.expanded
def ablate(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(help="The target: a picture file.")],
    concept: Annotated[str, typer.Option(help="What is to vanish, such as painting, or foggy.")],
    output: Output,
    world: World,
    results: Annotated[
        int, typer.Option(help="Pictures that read as the target, to score.", min=1)
    ] = 16,
    plain: Annotated[
        int, typer.Option(help="Generated pictures of other states to compare with.", min=1)
    ] = 16,
) -> int:
    """Make pictures that mean what a picture means, without a concept, and score what is left.

    The search keeps what its grammar can say; if the grammar has the concept's words, they are left
    out. Writes best.png, variations, result.json and report.html, with the concept's probability in
    the target, the results and plain pictures, and with what stayed.

    Exit status: 0 pictures found, whether or not the concept is gone; 3 none found; 2 bad input.

    Example: rldf ablate photo.png --concept foggy --out out/ablate
    """
    from rldf_agents.applications.ablate import ablate as remove
    from rldf_agents.applications.result import REPORT_FILE
    from rldf_gym.goal import load_picture

    out = output.new_folder(picture)
    target = load_picture(picture)
    console = output.console()
    with world.open() as evaluator, console.status("generating ...") as status:
        found = remove(
            *(evaluator, target, concept, results, plain),
            lambda done, total: status.update(f"{done} of {total} pictures"),
        )
    output.save(found, picture, context, out)
    console.print(f"the target, read as: {found.goal.prompt}", markup=False)
    console.print(f"{found.headline}.", markup=False)
    console.print(f"{found.concept.words} in the target: {found.target_score:.3f}", markup=False)
    for name, level in (("results", found.level), ("plain pictures", found.plain_level)):
        if level is not None:
            console.print(f"{found.concept.words} in {name}: {level.mean:.3f}", markup=False)
    console.print(f"all axes stay in {found.all_stay:.0%}; wrote {out}", markup=False)
    output.finish(out / REPORT_FILE)
    return 0 if found.found else NOT_FOUND
