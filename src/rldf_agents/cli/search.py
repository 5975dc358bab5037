"""``rldf search``: find what pictures mean."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rldf_agents.cli import options
from rldf_agents.cli.budget import limited_generator
from rldf_agents.cli.exit_status import NOT_FOUND

if TYPE_CHECKING:
    from rich.console import Console

    from rldf_agents.applications.batch import SavedResult
    from rldf_agents.applications.settings import SearchSettings


def search(
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="PICTURE...", help="Picture files, or folders of pictures."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results, with a folder for each of several pictures; default: a"
            " new one in rldf-out."
        ),
    ] = None,
    grammar: options.Grammar = "base",
    learner: options.Learner = "factored_ucb",
    reward: options.Reward = "multi_semantic",
    generator: options.Generator = "embedded",
    perception: options.Perception = "auto",
    stop_at: Annotated[
        str,
        typer.Option(
            help="match: stop when a picture reads as the target on every axis; goal_state: at the"
            " state that the target was read as, whatever its picture shows."
        ),
    ] = "match",
    steps: Annotated[int, typer.Option(help="The most steps to take.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the learner and its starting states.")] = 0,
    generation_seed: options.GenerationSeed = 0,
    more_seeds: Annotated[
        int,
        typer.Option(help="Further seeds to try if the goal state's picture does not match."),
    ] = 12,
    device: options.Device = None,
    store: options.Store = "default",
    assignments: options.Assignments = None,
    max_generations: options.MaxGenerations = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Probability of a random action, 0 to 1.")
    ] = None,
    max_episode_steps: Annotated[int, typer.Option(help="Steps until a new start.")] = 100,
    unrecognised_penalty: Annotated[
        float,
        typer.Option(help="Subtract this from the reward where nothing is recognised."),
    ] = 0.0,
    keep_learning: Annotated[
        bool, typer.Option("--keep-learning", help="Take all steps, also after the goal.")
    ] = False,
    beside: Annotated[
        str | None,
        typer.Option(
            help="Another learner that takes up to 100 steps for the same target; the report"
            " compares both."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the search in the folder --out.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the search in the folder --out.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out pictures that cannot be read.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the result as JSON on stdout, and nothing else."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also log what is loaded and generated.")
    ] = False,
) -> int:
    """Search what pictures mean; write result.json, best.png, trajectory.png and report.html.

    Exit status: 0 found, 3 not found (for several pictures: not all found), 2 bad input.

    Example: rldf search photo.png --out out/photo
    """
    from rldf_agents.applications.output import default_out, find_pictures
    from rldf_agents.applications.settings import SearchSettings
    from rldf_agents.errors import AgentError

    if resume and overwrite:
        raise AgentError("--resume continues a search, --overwrite replaces it: give one")
    if out is None and (resume or overwrite):
        raise AgentError(f"--{'resume' if resume else 'overwrite'} needs --out: name the folder")
    if quiet and verbose:
        raise AgentError("--quiet prints less, --verbose prints more: give one")
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    overrides = options.read_assignments(assignments)
    settings = SearchSettings(
        grammar=grammar,
        learner=learner,
        reward=reward,
        steps=steps,
        seed=seed,
        generator=limited_generator(generator, device, overrides, max_generations),
        generation_seed=generation_seed,
        perception=perception,
        device=device,
        store=store,
        epsilon=epsilon,
        max_episode_steps=max_episode_steps,
        stop_at=stop_at,
        more_seeds=more_seeds,
        unrecognised_penalty=unrecognised_penalty,
        keep_learning=keep_learning,
    )
    found = find_pictures(pictures)
    out = default_out(pictures) if out is None else out
    command = _command(pictures, settings, generator, out, assignments or (), max_generations)
    if beside is not None:
        SearchSettings(learner=beside)  # a wrong name is an error before anything is generated
        command += f" --beside {shlex.quote(beside)}"
    if skip_bad:
        command += " --skip-bad"
    from rldf_agents.applications.batch import search_pictures

    saved = search_pictures(
        found,
        settings,
        out,
        command,
        resume=resume,
        overwrite=overwrite,
        skip_bad=skip_bad,
        console=_console(quiet, as_json),
        beside=beside,
    )
    if as_json:
        one = len(pictures) == 1 and not Path(pictures[0]).is_dir()
        typer.echo(json.dumps(_document(saved, one), indent=2))
    return 0 if all(result.found for result, _ in saved) else NOT_FOUND


def _document(saved: Sequence[SavedResult], one: bool) -> Any:
    """Return what --json prints: an object for one picture, else a list with one for each."""
    results = [{**result.to_json(), "folder": str(folder)} for result, folder in saved]
    return results[0] if one else results


def _console(quiet: bool, as_json: bool) -> Console:
    from rich.console import Console

    return Console(quiet=quiet, stderr=as_json)


def _command(
    pictures: Sequence[str],
    settings: SearchSettings,
    generator: str,
    out: Path,
    assignments: Sequence[str],
    max_generations: int | None,
) -> str:
    """Return the command that repeats this search, with the options that differ from defaults."""
    words = ["rldf", "search"]
    words += [f"./{name}" if name.startswith("-") else name for name in pictures]
    default = type(settings)()
    for name in ("grammar", "learner", "reward", "steps", "seed"):
        words += [f"--{name}", str(getattr(settings, name))]
    if generator != default.generator:
        words += ["--generator", generator]
    for name in (
        *("generation_seed", "perception", "device", "store", "epsilon", "max_episode_steps"),
        *("stop_at", "more_seeds", "unrecognised_penalty"),
    ):
        value = getattr(settings, name)
        if value != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    for assignment in assignments:
        words += ["--set", assignment]
    if max_generations is not None:
        words += ["--max-generations", str(max_generations)]
    words += ["--keep-learning"] * settings.keep_learning
    return shlex.join([*words, "--out", str(out)])
