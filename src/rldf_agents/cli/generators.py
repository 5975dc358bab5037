"""``rldf generators``: which text-to-image models are known by name; fetch their weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="The text-to-image models known by name; fetch their weights.")


@app.callback(invoke_without_command=True)
def list_generators(context: typer.Context) -> None:
    """List the generators that --generator takes by name."""
    if context.invoked_subcommand is not None:
        return
    from rldf_agents.applications.tables import print_table

    print_table(_known())
    typer.echo(
        "Also: diffusers:<repository or folder>[@<commit>] for any text-to-image model of"
        " diffusers, and openai:<model> for a server that speaks the Images API."
    )


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A generator, by name or diffusers:<repository>.")],
    perception: Annotated[
        bool, typer.Option(help="Also what looks at its pictures: a detector and CLIP.")
    ] = True,
) -> None:
    """Bring a generator's weights to this machine, into Hugging Face's cache."""
    from rldf_gym.generation import fetch_generator, find_preset
    from rldf_gym.perception import fetch_perception

    fetch_generator(name)
    if perception:
        fetch_perception(find_preset(name).perception)
    typer.echo(f"{name} is on this machine")


def _known() -> Table:
    from rich.table import Table

    from rldf_gym.generation import PRESETS

    table = Table(box=None)
    for heading in ("name", "model", "pixels", "steps", "guidance", "dtype", "read by"):
        # Names are to be copied: on a narrow terminal they wrap and are never cut.
        table.add_column(heading, overflow="fold")
    for name, preset in PRESETS.items():
        is_shipped = Path(preset.repository).is_dir()
        table.add_row(
            name,
            "ships with the package" if is_shipped else preset.repository,
            f"{preset.width}x{preset.height}",
            str(preset.steps),
            str(preset.guidance_scale),
            preset.dtype,
            preset.perception,
        )
    return table
