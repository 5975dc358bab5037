"""``rldf compare``: RLDF beside other ways from a picture to a prompt."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.exit_status import NOT_FOUND
from rldf_agents.cli.output import Output
from rldf_agents.cli.world import World

if TYPE_CHECKING:
    from rldf_gym.atlas import Atlas
    from rldf_gym.evaluator import StateEvaluator

_WORLD = World()


@options.expanded
def compare(
    context: typer.Context,
    picture: Annotated[str, typer.Argument(help="The target: a picture file.")],
    output: Output,
    world: World = _WORLD,
    budget: Annotated[
        int, typer.Option(help="The most pictures for each method, generated or from the store.")
    ] = 30,
    reward: options.Reward = "multi_semantic",
    seed: options.Seed = 0,
    captioner: Annotated[
        str | None,
        typer.Option(
            help="A folder or repository with a captioning model for transformers, or"
            " package.module:object; default: BLIP, if its weights are in the Hugging Face cache."
        ),
    ] = None,
    atlas: Annotated[
        Path | None,
        typer.Option(help="The atlas for the exhaustive optimum; default: the one by the store."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="package.module:object that no method uses: called with pictures uint8"
            " [n, H, W, 3] and the target, it returns n similarities."
        ),
    ] = None,
) -> int:
    """Search with RLDF, and get a prompt by other methods with as many pictures.

    The others: the prompt that is read in the target, without a search; CLIP's ranking of the
    vocabulary; a captioner; genetic, TPE, coordinate and random search; the optimum of an atlas.
    What cannot run is left out with a reason. Writes compare.json, grid.png, pictures and
    report.html.

    Exit status: 0 a picture of some method reads as the target, 3 none does, 2 bad input.

    Example: rldf compare photo.png --budget 30 --out out/compare
    """
    from rldf_agents.applications.compare import compare as run_comparison
    from rldf_agents.applications.compare import shared_store
    from rldf_agents.applications.result import REPORT_FILE
    from rldf_agents.inversion import methods
    from rldf_agents.inversion.captions import caption_method
    from rldf_gym.goal import infer_goal, load_picture
    from rldf_gym.store import default_path

    out = output.new_folder(picture)
    chosen_store = str(default_path()) if world.store == "default" else world.store
    target = load_picture(picture)
    chosen = {**methods(), "caption": caption_method(captioner)}
    console = output.console()
    with shared_store(chosen_store) as store, console.status("reading ...") as status:
        shared = dataclasses.replace(world, store=store)
        with shared.open() as evaluator:
            found = run_comparison(
                evaluator,
                infer_goal(evaluator, target),
                list(chosen.values()),
                budget,
                seed,
                reward,
                _find_atlas(evaluator, atlas, chosen_store),
                judge,
                lambda title, done, total: status.update(f"{done} of {total}: {title}"),
            )
    output.save(found, picture, context, out)
    console.print(f"the target, read as: {found.goal.prompt}", markup=False)
    for entry in found.entries:
        if entry.found is None:
            line = f"left out: {entry.left_out}"
        else:
            right = f"{found.n_right(entry.found)} of {found.goal.grammar.n_axes} axes"
            line = f"{right} with {entry.n_pictures} pictures: {entry.found.prompt}"
        console.print(f"{entry.title}: {line}", markup=False)
    if judge is None:
        console.print("no independent judge (--judge): the perception's own numbers", markup=False)
    console.print(f"wrote {out}", markup=False)
    output.finish(out / REPORT_FILE)
    return 0 if found.matched else NOT_FOUND


def _find_atlas(evaluator: StateEvaluator, path: Path | None, store: str) -> Atlas | str:
    """Return the atlas, or why there is none.

    Raises:
        AtlasError: one that the user named is missing, damaged or of another world.
    """
    from rldf_agents.applications.atlas_search import open_atlas
    from rldf_gym.atlas import AtlasError
    from rldf_gym.store.store import IN_MEMORY

    if path is None and store == IN_MEMORY:
        return "there is no atlas beside a store in memory: name one with --atlas"
    try:
        return open_atlas(evaluator, path)
    except AtlasError as error:
        if path is not None:
            raise
        return str(error)
