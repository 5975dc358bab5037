"""``rldf grammar``: show what a grammar can say."""

from __future__ import annotations

from typing import Annotated

import typer


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
