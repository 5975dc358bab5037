"""``rldf atlas``: generate and read every state once, and search the result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.budget import limited_generator

if TYPE_CHECKING:
    from rldf_gym.evaluator import StateEvaluator
    from rldf_gym.generation import Generator

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
def build(
    grammar: options.Grammar = "base",
    generator: options.Generator = "embedded",
    perception: options.Perception = "auto",
    sample: Sample = None,
    seed: Seed = 0,
    generation_seed: options.GenerationSeed = 0,
    store: options.Store = "default",
    atlas: File = None,
    device: options.Device = None,
    assignments: options.Assignments = None,
    max_generations: options.MaxGenerations = None,
) -> None:
    """Generate and read every state that the store does not have yet, and write the atlas.

    It can be interrupted: the same command continues and generates nothing twice.
    """
    from rldf_agents.applications.atlas_search import build_atlas

    overrides = options.read_assignments(assignments)
    limited = limited_generator(generator, device, overrides, max_generations)
    evaluator = _evaluator(grammar, limited, perception, store, generation_seed, device)
    try:
        build_atlas(evaluator, atlas, sample, seed)
    finally:
        evaluator.store.close()


@app.command()
def search(
    picture: Annotated[str, typer.Argument(help="The target: a picture file.")],
    reward: options.Reward = "multi_semantic",
    top: Annotated[int, typer.Option(help="How many states to list.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Folder for their pictures and a sheet of them.")
    ] = None,
    grammar: options.Grammar = "base",
    generator: options.Generator = "embedded",
    perception: options.Perception = "auto",
    sample: Sample = None,
    seed: Seed = 0,
    generation_seed: options.GenerationSeed = 0,
    store: options.Store = "default",
    atlas: File = None,
    device: options.Device = None,
    assignments: options.Assignments = None,
) -> None:
    """List the best states for a picture over a whole atlas; generates nothing."""
    from rldf_agents.applications.atlas_search import search_atlas
    from rldf_gym.generation import make_generator

    made = make_generator(generator, device, **options.read_assignments(assignments))
    evaluator = _evaluator(grammar, made, perception, store, generation_seed, device)
    try:
        search_atlas(evaluator, picture, atlas, reward, top, out, sample, seed)
    finally:
        evaluator.store.close()


def _evaluator(
    grammar: str,
    generator: str | Generator,
    perception: str,
    store: str,
    generation_seed: int,
    device: str | None,
) -> StateEvaluator:
    from rldf_gym.factory import make_evaluator
    from rldf_gym.grammar import load_grammar

    return make_evaluator(
        load_grammar(grammar), generator, perception, store, generation_seed, device, None
    )
