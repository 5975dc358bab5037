"""Before a server is asked for pictures that cost money: how many it may be."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rldf_gym.generation import Generator

MaxGenerations = Annotated[
    int | None,
    typer.Option(
        help="Pictures that an openai: server is asked for at most, by this command.", min=0
    ),
]


def with_limit(
    generator: str, device: str | None, settings: Mapping[str, Any], max_generations: int | None
) -> str | Generator:
    """The generator, with the limit that the user gives; asks for one where money may be at stake.

    Args:
        generator: as for `make_generator`.
        device: likewise.
        settings: of the generator that are not to be as it comes.
        max_generations: from the command line.

    Raises:
        AgentError: a limit for a generator that needs none; or there is none, and nobody to ask.
        GenerationError: settings that the generator does not have or cannot take.
    """
    from rldf_agents.errors import AgentError
    from rldf_gym.generation import ImagesApiGenerator, make_generator
    from rldf_gym.generation.images_api import OPENAI

    if not generator.startswith(OPENAI):
        if max_generations is not None:
            raise AgentError(
                f"--max-generations is for {OPENAI} servers; {generator} draws on this machine"
            )
        return make_generator(generator, device, **settings) if settings else generator
    if "max_generations" in settings:
        raise AgentError("--set max_generations: give --max-generations")
    made = make_generator(generator, device, max_generations=max_generations, **settings)
    if not isinstance(made, ImagesApiGenerator) or made.is_local or max_generations is not None:
        return made
    if not sys.stdin.isatty():
        raise AgentError(
            f"{generator} may cost money: say with --max-generations how many pictures at most"
        )
    chosen = typer.prompt(f"{generator} may cost money. Pictures to ask for at most", type=int)
    return make_generator(generator, device, max_generations=chosen, **settings)
