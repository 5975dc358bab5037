"""The most pictures that a command may request from a server that may charge for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rldf_gym.generation import Generator


def limited_generator(
    generator: str, device: str | None, overrides: Mapping[str, Any], max_generations: int | None
) -> str | Generator:
    """Return the generator with the user's limit; ask for a limit where pictures may cost money.

    Args:
        generator: as for `make_generator`.
        device: likewise.
        overrides: generator settings from ``--set``.
        max_generations: from the command line.

    Raises:
        AgentError: a limit for a generator that needs none; or a limit is needed, and there is no
            terminal to ask for it.
        GenerationError: settings that the generator does not have or cannot take.
    """
    from rldf_agents.errors import AgentError
    from rldf_gym.generation import ImagesApiGenerator, make_generator
    from rldf_gym.generation.images_api import OPENAI

    if not generator.startswith(OPENAI):
        if max_generations is not None:
            raise AgentError(
                f"--max-generations is for {OPENAI} servers; {generator} runs on this machine"
            )
        return make_generator(generator, device, **overrides) if overrides else generator
    if "max_generations" in overrides:
        raise AgentError("--set max_generations: give --max-generations")
    made = make_generator(generator, device, max_generations=max_generations, **overrides)
    if not isinstance(made, ImagesApiGenerator) or made.is_local or max_generations is not None:
        return made
    if not sys.stdin.isatty():
        raise AgentError(
            f"{generator} may cost money: set the most pictures to request with --max-generations"
        )
    chosen = typer.prompt(f"{generator} may cost money. Most pictures to request", type=int)
    return make_generator(generator, device, max_generations=chosen, **overrides)
