"""The options that choose a grammar, what generates its pictures, and what reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from rldf_agents.cli import options

if TYPE_CHECKING:
    from rldf_gym.evaluator import StateEvaluator
    from rldf_gym.generation import Generator


@dataclass(frozen=True)
class World:
    """A grammar and its models, as named on the command line."""

    grammar: options.Grammar = "base"
    generator: options.Generator = "embedded"
    perception: options.Perception = "auto"
    generation_seed: options.GenerationSeed = 0
    store: options.Store = "default"
    device: options.Device = None
    assignments: options.Assignments = None
    max_generations: options.MaxGenerations = None

    @contextmanager
    def open(self, generator: str | Generator | None = None) -> Iterator[StateEvaluator]:
        """Make the grammar's evaluator; close its store in the end.

        Args:
            generator: in place of `limited_generator`'s.

        Raises:
            RLDFError: an option that cannot be used.
            AgentError: see `limited_generator`.
        """
        from rldf_gym.factory import make_evaluator
        from rldf_gym.grammar import load_grammar
        from rldf_gym.model_loading import open_device

        grammar = load_grammar(self.grammar)
        generator = self.limited_generator() if generator is None else generator
        if self.device not in (None, "cpu"):
            # States from the store never open the device, but a wrong name should be an error.
            open_device(self.device)
        evaluator = make_evaluator(
            *(grammar, generator, self.perception, self.store, self.generation_seed),
            device=self.device,
            prefetch=None,
        )
        try:
            yield evaluator
        finally:
            evaluator.store.close()

    def arguments(self) -> dict[str, Any]:
        """Return the same world as arguments of ``gym.make("RLDF-v0")``.

        Raises:
            AgentError: an assignment of another form, or a name that is given twice.
        """
        return {
            "grammar": self.grammar,
            "generator": self.generator,
            "perception": self.perception,
            "generation_seed": self.generation_seed,
            "store": self.store,
            "device": self.device,
            "generator_kwargs": options.read_assignments(self.assignments),
        }

    def limited_generator(self) -> str | Generator:
        """Return the generator with the user's limit; ask for one where pictures may cost money.

        Raises:
            AgentError: a limit for a generator that needs none; or a limit is needed, and there is
                no terminal to ask for it.
            GenerationError: settings that the generator does not have or cannot take.
        """
        from rldf_agents.errors import AgentError
        from rldf_gym.generation import ImagesApiGenerator, make_generator
        from rldf_gym.generation.images_api import OPENAI

        name, device, most = self.generator, self.device, self.max_generations
        overrides = options.read_assignments(self.assignments)
        if not name.startswith(OPENAI):
            if most is not None:
                raise AgentError(
                    f"--max-generations is for {OPENAI} servers; {name} runs on this machine"
                )
            return make_generator(name, device, **overrides) if overrides else name
        if "max_generations" in overrides:
            raise AgentError("--set max_generations: give --max-generations")
        made = make_generator(name, device, max_generations=most, **overrides)
        if not isinstance(made, ImagesApiGenerator) or made.is_local or most is not None:
            return made
        if not sys.stdin.isatty():
            raise AgentError(
                f"{name} may cost money: set the most pictures to request with --max-generations"
            )
        most = typer.prompt(f"{name} may cost money. Most pictures to request", type=int)
        return make_generator(name, device, max_generations=most, **overrides)
