"""Tables on the terminal, and in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rldf_gym.suggestion import Suggestion

_WIDE = 200


def print_table(table: Table, stderr: bool = False) -> None:
    """Print a table; in a pipe, where no width has to be fitted, each row is a line."""
    console = Console(stderr=stderr)
    if not console.is_terminal:
        console = Console(width=_WIDE, stderr=stderr)
    console.print(table)


def suggestion_table(suggestion: Suggestion) -> Table:
    """Return axis, value, probability and outcome of every value that a suggestion considers."""
    table = Table("axis", "value", "probability", "", box=None, padding=(0, 2, 0, 0))
    for row in suggestion.rows():
        value = escape(row.value or "(nothing)")
        table.add_row(row.axis, value, f"{row.probability:.3f}", row.outcome)
    return table
