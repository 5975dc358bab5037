"""Tables on the terminal, and in a pipe."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_WIDE = 200


def print_table(table: Table) -> None:
    """Print a table on stdout; in a pipe, where no width has to be fitted, each row is a line."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(table)
