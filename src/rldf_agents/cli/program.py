"""The program behind ``rldf``: find its commands, run one, and turn errors into one line."""

from __future__ import annotations

import errno
import importlib
import pkgutil
import sys
import traceback
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rldf_agents import cli
from rldf_agents.cli.exit_status import BAD_INPUT, INTERRUPTED, fail, warn
from rldf_agents.cli.own_objects import failed_object


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; see `rldf_agents.cli.main`."""
    # So that package.module:object finds the user's own modules; last, so that it hides none.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run(arguments)


class InterruptedCommandError(Exception):
    """Ctrl-C within a command; Typer would end the program without a word."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise InterruptedCommandError(str(interrupt) or "nothing was written") from interrupt
        except (typer.Exit, typer.Abort):
            raise
        except Exception:
            if ctx.params["show_traceback"]:
                traceback.print_exc()
            raise


@cache
def application() -> typer.Typer:
    """Return the application with every command that this package has a module for."""
    app = typer.Typer(
        cls=_Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Find what a picture means: an agent walks a grammar of prompts until a generated"
        " picture reads the same.",
    )
    app.callback()(_rldf)
    for found in pkgutil.iter_modules(cli.__path__):
        if found.name.startswith("_"):
            continue
        module = importlib.import_module(f"{cli.__name__}.{found.name}")
        if isinstance(group := getattr(module, "app", None), typer.Typer):
            app.add_typer(group, name=found.name)
        elif command := getattr(module, found.name, None):
            app.command(found.name)(command)
    return app


def _run(arguments: Sequence[str] | None) -> int:
    try:
        status = application()(args=arguments, prog_name="rldf", standalone_mode=False)
    except _our_errors() as error:
        return fail(str(error), BAD_INPUT)
    except InterruptedCommandError as interrupted:
        return fail(f"interrupted: {interrupted}", INTERRUPTED)
    except typer.Abort:
        return fail("interrupted: nothing was written", INTERRUPTED)
    except Exception as error:
        words = sys.argv[1:] if arguments is None else arguments
        if name := failed_object(error, words):
            what = f"{name} raised {type(error).__name__}: {error}"
            return fail(f"{what} (rldf --traceback shows where)", BAD_INPUT)
        if isinstance(error, OSError):
            return fail(_message(error), BAD_INPUT)
        # Typer's own complaints about options; their base class differs between its versions.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
        # A group without a command has shown its help, and nothing is left to complain of.
        context = getattr(error, "ctx", None)
        command = "rldf" if context is None else context.command_path
        return fail(f"{message} ({command} --help)", BAD_INPUT) if message else BAD_INPUT
    return status if isinstance(status, int) else 0


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"rldf {importlib.metadata.version('rldf-gym')}")
        raise typer.Exit


def _rldf(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Show the version."
        ),
    ] = False,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Also print the traceback of an error.")
    ] = False,
) -> None:
    pass


def _our_errors() -> tuple[type[Exception], ...]:
    from rldf_agents.errors import AgentError
    from rldf_gym.errors import RLDFError

    return AgentError, RLDFError


def _message(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    fix = "; free some disk space or choose another folder" if error.errno == errno.ENOSPC else ""
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{error.strerror}{fix}"


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning | RuntimeWarning):
        warn(str(message))
