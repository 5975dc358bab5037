"""``rldf search``: find what pictures mean."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rldf_agents.cli import budget, options
from rldf_agents.cli.exit_status import INTERRUPTED, fail

if TYPE_CHECKING:
    from rldf_agents.applications.search import SearchSettings


def search(
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="PICTURE", help="The targets: pictures of any kind."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for the results; several pictures get a folder each in it."),
    ],
    grammar: Annotated[str, typer.Option(help="A shipped grammar, or a .lark file.")] = "base",
    learner: Annotated[
        str,
        typer.Option(
            help="factored_ucb, which draws the fewest pictures, dyna_q, linear_q_learning, "
            "linear_sarsa, noisy_diffusion_gradient, q_learning, sarsa or random."
        ),
    ] = "factored_ucb",
    reward: Annotated[
        str, typer.Option(help="multi_semantic, partial_semantic or clip.")
    ] = "multi_semantic",
    steps: Annotated[int, typer.Option(help="The most steps to take.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the learner and its starts.")] = 0,
    generator: Annotated[str, typer.Option(help="See rldf generators.")] = "embedded",
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:N or mps; default: the best there is.")
    ] = None,
    store: Annotated[
        str, typer.Option(help="File that keeps what was drawn; :memory: keeps nothing.")
    ] = "default",
    assignments: options.Assignments = None,
    max_generations: budget.MaxGenerations = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Probability of a random action, 0 to 1.")
    ] = None,
    max_episode_steps: Annotated[int, typer.Option(help="Steps until a new start.")] = 100,
    keep_learning: Annotated[
        bool, typer.Option("--keep-learning", help="Take all steps, also after the goal.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search that --out holds.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the search that --out holds.")
    ] = False,
) -> None:
    """Search what pictures mean; write result.json, trajectory.png and report.html."""
    from rldf_agents.applications.search import SearchSettings
    from rldf_agents.errors import AgentError

    if resume and overwrite:
        raise AgentError("--resume goes on with a search, --overwrite replaces it: give one")
    drawn_with = options.read_assignments(assignments)
    settings = SearchSettings(
        grammar=grammar,
        learner=learner,
        reward=reward,
        steps=steps,
        seed=seed,
        generator=budget.with_limit(generator, device, drawn_with, max_generations),
        device=device,
        store=store,
        epsilon=epsilon,
        max_episode_steps=max_episode_steps,
        keep_learning=keep_learning,
    )
    from rldf_agents.applications.batch import search_pictures

    command = _command(pictures, settings, out, assignments or (), max_generations)
    try:
        search_pictures(pictures, settings, out, command, resume=resume, overwrite=overwrite)
    except KeyboardInterrupt as interrupt:
        told = str(interrupt) or "nothing was written"
        raise typer.Exit(fail(f"interrupted: {told}", INTERRUPTED)) from interrupt


def _command(
    pictures: Sequence[Path],
    settings: SearchSettings,
    out: Path,
    assignments: Sequence[str],
    max_generations: int | None,
) -> str:
    """What the user can type to have this search again; defaults that hurt nobody are left out."""
    words = ["rldf", "search", *map(str, pictures)]
    for name in ("grammar", "learner", "reward", "steps", "seed"):
        words += [f"--{name}", str(getattr(settings, name))]
    default = type(settings)()
    for name in ("generator", "device", "store", "epsilon", "max_episode_steps"):
        value = getattr(settings, name)
        # A generator with settings or a spending limit is an object already.
        value = value if isinstance(value, str | int | float | None) else value.name
        if value != getattr(default, name):
            words += [f"--{name.replace('_', '-')}", str(value)]
    for assignment in assignments:
        words += ["--set", assignment]
    if max_generations is not None:
        words += ["--max-generations", str(max_generations)]
    words += ["--keep-learning"] * settings.keep_learning
    return shlex.join([*words, "--out", str(out)])
