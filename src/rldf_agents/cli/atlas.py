"""``rldf atlas``: draw a world once and for all, and find targets in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rldf_agents.cli import budget, options
from rldf_agents.cli.exit_status import INTERRUPTED, fail

if TYPE_CHECKING:
    from rldf_gym.evaluator import StateEvaluator
    from rldf_gym.generation import Generator as DrawsPictures


app = typer.Typer(
    no_args_is_help=True,
    help="Draw and read every state of a world; find targets in it without drawing anything.",
)

Grammar = Annotated[str, typer.Option(help="A shipped grammar, or a .lark file.")]
Generator = Annotated[str, typer.Option(help="The generator that draws the states.")]
Sample = Annotated[
    int | None, typer.Option(help="So many states, drawn by lot; default: all of them.", min=1)
]
Seed = Annotated[int, typer.Option(help="Of that lot.")]
GenerationSeed = Annotated[int, typer.Option(help="The seed of every picture.")]
Store = Annotated[str, typer.Option(help="File that keeps what was drawn.")]
File = Annotated[Path | None, typer.Option("--atlas", help="The atlas; default: by the store.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:N or mps; default: the best there is.")
]


@app.command()
def build(
    grammar: Grammar = "base",
    generator: Generator = "embedded",
    sample: Sample = None,
    seed: Seed = 0,
    generation_seed: GenerationSeed = 0,
    store: Store = "default",
    atlas: File = None,
    device: Device = None,
    assignments: options.Assignments = None,
    max_generations: budget.MaxGenerations = None,
) -> None:
    """Draw and read every state that the store does not have yet, and write the atlas.

    Can be interrupted at any step: the same command goes on, and draws nothing twice.
    """
    from rldf_agents.applications.atlas_search import build_atlas

    drawn_with = options.read_assignments(assignments)
    allowed = budget.with_limit(generator, device, drawn_with, max_generations)
    world = _world(grammar, allowed, store, generation_seed, device)
    try:
        build_atlas(world, atlas, sample, seed)
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(fail(f"interrupted: {interrupt}", INTERRUPTED)) from interrupt
    finally:
        world.store.close()


@app.command()
def search(
    picture: Annotated[Path, typer.Argument(help="The target: a picture of any kind.")],
    reward: Annotated[
        str, typer.Option(help="multi_semantic, partial_semantic or clip.")
    ] = "multi_semantic",
    top: Annotated[int, typer.Option(help="How many states to tell.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Folder for their pictures, and a sheet of them.")
    ] = None,
    grammar: Grammar = "base",
    generator: Generator = "embedded",
    sample: Sample = None,
    seed: Seed = 0,
    generation_seed: GenerationSeed = 0,
    store: Store = "default",
    atlas: File = None,
    device: Device = None,
    assignments: options.Assignments = None,
) -> None:
    """Find the best states for a picture over a whole atlas; draws nothing."""
    from rldf_agents.applications.atlas_search import search_atlas

    drawn_with = options.read_assignments(assignments)
    world = _world(grammar, generator, store, generation_seed, device, drawn_with)
    try:
        search_atlas(world, picture, atlas, reward, top, out, sample, seed)
    finally:
        world.store.close()


def _world(
    grammar: str,
    generator: str | DrawsPictures,
    store: str,
    generation_seed: int,
    device: str | None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> StateEvaluator:
    from rldf_gym.factory import make_evaluator
    from rldf_gym.grammar import load_grammar

    return make_evaluator(
        load_grammar(grammar), generator, "auto", store, generation_seed, device, None, settings
    )
