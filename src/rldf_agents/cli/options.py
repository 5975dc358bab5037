"""``--set NAME=VALUE``: a preset with other settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another setting of the generator, such as steps=10; may be given several times.",
    ),
]


def read_assignments(assignments: Sequence[str] | None) -> dict[str, Any]:
    """The settings by name; values are JSON, and text where they are not.

    Args:
        assignments: ``NAME=VALUE`` each, from the command line.

    Raises:
        AgentError: one of another form, or a name that stands twice.
    """
    from rldf_agents.errors import AgentError

    settings: dict[str, Any] = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or not name.isidentifier():
            raise AgentError(f"--set {assignment}: give NAME=VALUE, such as steps=10")
        if name in settings:
            raise AgentError(f"--set {name} is given twice: give it once")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
