"""``rldf search``: find what pictures mean."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rldf_agents.cli import options
from rldf_agents.cli.exit_status import BAD_INPUT, NOT_FOUND, warn
from rldf_agents.cli.output import Output, command_line
from rldf_agents.cli.world import World

if TYPE_CHECKING:
    from rldf_agents.applications.batch import SavedResult


@dataclass(frozen=True)
class SearchOptions:
    """The options of a search, by the names that `SearchSettings` has for them."""

    learner: options.Learner = "factored_ucb"
    reward: options.Reward = "multi_semantic"
    action_mode: Annotated[
        str,
        typer.Option(
            help="axis: to a neighbouring value; joint: along all axes at once; jump: to any value"
            " of an axis; tree: along the grammar's nested rules."
        ),
    ] = "axis"
    stop_at: Annotated[
        str,
        typer.Option(
            help="match: stop when a picture reads as the target on every axis; goal_state: at the"
            " state that the target was read as, whatever its picture shows."
        ),
    ] = "match"
    steps: Annotated[int, typer.Option(help="The most steps to take.")] = 2000
    seed: options.Seed = 0
    more_seeds: Annotated[
        int,
        typer.Option(help="Further seeds to try if the goal state's picture does not match."),
    ] = 12
    epsilon: Annotated[
        float | None, typer.Option(help="Probability of a random action, 0 to 1.")
    ] = None
    max_episode_steps: Annotated[int, typer.Option(help="Steps until a new start.")] = 100
    unrecognised_penalty: Annotated[
        float,
        typer.Option(help="Subtract this from the reward where nothing is recognised."),
    ] = 0.0
    keep_learning: Annotated[
        bool, typer.Option("--keep-learning", help="Take all steps, also after the goal.")
    ] = False
    start: Annotated[
        str,
        typer.Option(
            help="Where to start: random; reading (verify what was read, then repair around it:"
            " usually one to three pictures); or a prompt of the grammar."
        ),
    ] = "random"
    budget: Annotated[
        int | None,
        typer.Option(help="The most pictures to look at, generated or from the store, in all."),
    ] = None
    variations: Annotated[
        int, typer.Option(help="Further pictures of the found prompt, each verified.")
    ] = 8
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="A further axis whose values vary among the variations, such as weather; may be"
            " given several times."
        ),
    ] = None
    vary_in: Annotated[
        str | None,
        typer.Option(
            help="The grammar of the axes that vary; default: the smallest shipped one that says"
            " all that --grammar says. Of another grammar, the phrases with these axes are"
            " appended to the prompt: --vary city --vary-in diversity."
        ),
    ] = None
    after_goal: Annotated[
        bool,
        typer.Option(
            "--after-goal",
            help="Collect matching pictures until the --budget ends (100 without one).",
        ),
    ] = False


@options.expanded
def search(
    context: typer.Context,
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="PICTURE...", help="Picture files, or folders of pictures."),
    ],
    world: World,
    chosen: SearchOptions,
    output: Output,
    beside: Annotated[
        str | None,
        typer.Option(
            help="Another learner that searches for the same target, with up to 300 new pictures;"
            " the report compares both."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the search in the folder --out.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out pictures that cannot be read.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also log what is loaded and generated.")
    ] = False,
) -> int:
    """Search what pictures mean; write best.png, variations, result.json and report.html.

    A folder is a queue: --resume continues it, and files that are no pictures do not stop it.

    Exit status: 0 found, 3 not found (for several pictures: not all found), 2 bad input (of a
    folder with bad files, after the others are done; not with --skip-bad).

    Example: rldf search photo.png --start reading --out out/photo

    Example: rldf search photo.png --variations 9 --vary weather --vary time_of_day
    """
    from rldf_agents.applications.batch import search_pictures, split_readable
    from rldf_agents.applications.output import find_pictures
    from rldf_agents.applications.settings import SearchSettings

    _check_together(output, resume, verbose)
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    settings = SearchSettings(
        grammar=world.grammar,
        generator=world.limited_generator(),
        generation_seed=world.generation_seed,
        perception=world.perception,
        device=world.device,
        store=world.store,
        **asdict(chosen),
    )
    found, errors = find_pictures(pictures), list[Exception]()
    in_folder = any(Path(name).is_dir() for name in pictures)
    if skip_bad or in_folder:
        found, errors = split_readable(found)
    for error in errors:
        warn(f"skipped: {error}")
    out = output.folder(pictures)
    if beside is not None:
        SearchSettings(learner=beside)  # a wrong name is an error before anything is generated
    saved = search_pictures(
        found,
        settings,
        out,
        command_line(context, out),
        resume=resume,
        overwrite=output.overwrite,
        console=output.console(),
        beside=beside,
    )
    if output.as_json:
        one = len(pictures) == 1 and not in_folder
        typer.echo(json.dumps(_document(saved, one), indent=2))
    output.finish(out / ("report.html" if len(saved) == 1 else "index.html"))
    if errors and not skip_bad:
        return BAD_INPUT
    return 0 if all(result.found for result, _ in saved) else NOT_FOUND


def _check_together(output: Output, resume: bool, verbose: bool) -> None:
    from rldf_agents.errors import AgentError

    if resume and output.overwrite:
        raise AgentError("--resume continues a search, --overwrite replaces it: give one")
    if output.out is None and resume:
        raise AgentError("--resume needs --out: name the folder")
    if output.quiet and verbose:
        raise AgentError("--quiet prints less, --verbose prints more: give one")


def _document(saved: Sequence[SavedResult], one: bool) -> Any:
    """Return what --json prints: an object for one picture, else a list with one for each."""
    results = [{**result.to_json(), "folder": str(folder)} for result, folder in saved]
    return results[0] if one else results
