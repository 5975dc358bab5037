"""The options that say where results go and what is printed, and the command that repeats them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from rldf_agents.cli import options

if TYPE_CHECKING:
    from rich.console import Console

_NOT_REPEATED = {"out", "resume", "overwrite", "as_json", "quiet", "verbose", "open_report"}


class Findings(Protocol):
    """What a command found for one picture."""

    def save(self, folder: Path, target: str, command: str) -> None:
        """Write everything into a folder."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        ...


@dataclass(frozen=True)
class Output:
    """Where the results of a command go, and what it prints."""

    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; default: a new one in rldf-out.")
    ] = None
    overwrite: options.Overwrite = False
    as_json: options.AsJson = False
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")
    ] = False
    open_report: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = (
        False
    )

    def folder(self, names: Sequence[str]) -> Path:
        """Return the folder for the results: --out, or a new one named after the pictures.

        Raises:
            AgentError: --overwrite without --out.
        """
        from rldf_agents.applications.output import default_out
        from rldf_agents.errors import AgentError

        if self.out is None and self.overwrite:
            raise AgentError("--overwrite needs --out: name the folder")
        return default_out(names) if self.out is None else self.out

    def new_folder(self, picture: str) -> Path:
        """Return the folder for the results of one picture.

        Raises:
            AgentError: it holds something, without --overwrite; --overwrite without --out.
        """
        from rldf_agents.applications.output import require_empty

        out = self.folder([picture])
        if not self.overwrite:
            require_empty(out)
        return out

    def save(self, found: Findings, picture: str, context: typer.Context, out: Path) -> None:
        """Write what was found for a picture into its folder; with --json, print it as well."""
        from rldf_agents.applications.output import output_dirs

        with output_dirs([out]):
            found.save(out, picture, command_line(context, out))
        if self.as_json:
            document = {"target": picture, **found.to_json(), "folder": str(out)}
            typer.echo(json.dumps(document, indent=2))

    def console(self) -> Console:
        """Return where progress goes: with --json, to stderr."""
        from rldf_agents.applications.console import make_console

        return make_console(quiet=self.quiet, stderr=self.as_json)

    def finish(self, page: Path) -> None:
        """Open the page in the browser if the user wants it."""
        if self.open_report:
            typer.launch(str(page))


def command_line(context: typer.Context, out: Path) -> str:
    """Return the command that repeats this one: its arguments, what differs from defaults, --out.

    Args:
        context: of the running command.
        out: folder of the results.
    """
    words = context.command_path.split()
    for parameter in context.command.params:
        value = context.params.get(str(parameter.name))
        if parameter.param_type_name == "argument":
            names = value if isinstance(value, list) else [value]
            words += [f"./{name}" if str(name).startswith("-") else str(name) for name in names]
        elif value not in (parameter.default, ()) and parameter.name not in _NOT_REPEATED:
            words += _option(parameter.opts[0], value)
    return shlex.join([*words, "--out", str(out)])


def _option(name: str, value: Any) -> list[str]:
    if value is True:
        return [name]
    return [
        word
        for each in (value if isinstance(value, list) else [value])
        for word in (name, str(each))
    ]
