"""The ``rldf`` command. What it needs beyond its own options is imported when a command runs."""

from __future__ import annotations

import errno
import shlex
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rldf_agents.cli import atlas, generator_settings, generators, serve, spending, store

if TYPE_CHECKING:
    from rldf_agents.applications.search import SearchSettings

BAD_INPUT, INTERRUPTED = 2, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Find what a picture means: an agent walks a grammar of prompts until it draws it.",
)
app.add_typer(store.app, name="store")
app.add_typer(atlas.app, name="atlas")
app.add_typer(generators.app, name="generators")
app.command()(serve.serve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 bad input (one line on stderr), 130 Ctrl-C.

    Args:
        arguments: what follows ``rldf``; None takes those of this process.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _print_warning
        sys.exit(_run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = app(args=arguments, prog_name="rldf", standalone_mode=False)
    except (ValueError, OSError) as error:
        if isinstance(error, ValueError) and not isinstance(error, _our_errors()):
            raise
        return _fail(_told(error), BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted: nothing was written", INTERRUPTED)
    except Exception as error:
        # Typer's own complaints about options; their base class differs between its versions.
        if not hasattr(error, "format_message"):
            raise
        told = error.format_message()
        # A group without a command has shown its help, and nothing is left to complain of.
        return _fail(f"{told} (rldf --help tells more)", BAD_INPUT) if told else BAD_INPUT
    return status if isinstance(status, int) else 0


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"rldf {importlib.metadata.version('rldf-gym')}")
        raise typer.Exit


@app.callback()
def _rldf(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
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
    assignments: generator_settings.Assignments = None,
    max_generations: spending.MaxGenerations = None,
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
    drawn_with = generator_settings.read_assignments(assignments)
    settings = SearchSettings(
        grammar=grammar,
        learner=learner,
        reward=reward,
        steps=steps,
        seed=seed,
        generator=spending.with_limit(generator, device, drawn_with, max_generations),
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
        raise typer.Exit(_fail(f"interrupted: {told}", INTERRUPTED)) from interrupt


@app.command()
def grammar(name: Annotated[str, typer.Argument(help="A shipped grammar, or a file.")]) -> None:
    """Show what a grammar can say: its axes, their values, and an example."""
    from rldf_gym.grammar import load_grammar

    loaded = load_grammar(name)
    typer.echo(f"{loaded.name}: {loaded.n_states:,} states, such as")
    typer.echo(f"  {loaded.decode(loaded.state(loaded.n_states // 2))}")
    width = max(map(len, loaded.axis_names))
    for axis in loaded.axes:
        values = ", ".join(value or "(nothing)" for value in axis.values)
        typer.echo(f"{axis.name:<{width}}  {values}")


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


def _our_errors() -> tuple[type[Exception], ...]:
    from rldf_agents.errors import AgentError
    from rldf_gym.errors import RLDFError

    return AgentError, RLDFError


def _told(error: Exception) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    mend = "; free some disk space or choose another folder" if error.errno == errno.ENOSPC else ""
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{error.strerror}{mend}"


def _fail(message: str, status: int) -> int:
    print(f"rldf: error: {_one_line(message)}", file=sys.stderr)
    return status


def _print_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning | RuntimeWarning):
        print(f"rldf: warning: {_one_line(str(message))}", file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())
