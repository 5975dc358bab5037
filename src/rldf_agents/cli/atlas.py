"""``rldf atlas``: generate and read every state once, and search the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.world import World

app = typer.Typer(
    no_args_is_help=True,
    help="Generate and read every state of a grammar; search for targets without generating.",
)

Sample = Annotated[
    int | None, typer.Option(help="Number of states to sample; default: all states.", min=1)
]
Seed = Annotated[int, typer.Option(help="Seed of that sample.")]
File = Annotated[Path | None, typer.Option("--atlas", help="The atlas; default: by the store.")]


@app.command()
@options.expanded
def build(world: World, sample: Sample = None, seed: Seed = 0, atlas: File = None) -> None:
    """Generate and read every state that the store does not have yet, and write the atlas.

    It can be interrupted: the same command continues and generates nothing twice.

    Example: rldf atlas build --grammar extended --sample 500
    """
    from rldf_agents.applications.atlas_search import build_atlas

    with world.open() as evaluator:
        build_atlas(evaluator, atlas, sample, seed)


@app.command()
@options.expanded
def search(
    picture: Annotated[str, typer.Argument(help="The target: a picture file.")],
    world: World,
    reward: options.Reward = "multi_semantic",
    top: Annotated[int, typer.Option(help="How many states to list.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Folder for their pictures and a sheet of them.")
    ] = None,
    sample: Sample = None,
    seed: Seed = 0,
    atlas: File = None,
) -> None:
    """List the best states for a picture over a whole atlas; generates nothing.

    Example: rldf atlas search photo.png --top 10
    """
    from rldf_agents.applications.atlas_search import search_atlas
    from rldf_gym.generation import make_generator

    overrides = options.read_assignments(world.assignments)
    # Nothing is generated, so a server that charges for pictures needs no limit.
    generator = make_generator(world.generator, world.device, **overrides)
    with world.open(generator) as evaluator:
        search_atlas(evaluator, picture, atlas, reward, top, out, sample, seed)
