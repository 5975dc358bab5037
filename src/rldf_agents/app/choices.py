"""What visitors of the page can choose, and the models that they share."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rldf_agents.applications.settings import AUTO_GRAMMAR, SearchSettings, display_name
from rldf_agents.errors import AgentError
from rldf_agents.learners import LEARNERS
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.factory import make_evaluator, make_models
from rldf_gym.generation import (
    PRESETS,
    DiffusersGenerator,
    GenerationError,
    Generator,
    LimitedVocabulary,
    check_words,
)
from rldf_gym.grammar import Grammar, GrammarError, load_grammar, shipped_grammars
from rldf_gym.perception import Perception
from rldf_gym.rewards import REWARDS

MADE = "made from the picture"
"""What the page calls a grammar that is made for each picture."""


@dataclass(frozen=True)
class Choice:
    """What one visitor chose, by the names on the page.

    Attributes:
        world: a grammar, or `MADE`.
        generator: by its name.
        learner: by its name.
        reward: by its name.
    """

    world: str
    generator: str
    learner: str
    reward: str


class Choices:
    """What visitors can choose.

    Args:
        settings: the defaults. Their grammar and generator are offered beside the shipped ones;
            device, store and seeds hold for every search.

    Attributes:
        default: the visitor's choice at first.
        generators: names of generators whose files are on this machine.
        learners: names.
        rewards: names.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self._settings = settings
        given, world = settings.generator, str(settings.grammar)
        self._generators: Mapping[str, str | Generator] = {
            display_name(given): given,
            **{name: name for name in PRESETS if is_on_this_machine(name)},
        }
        own = () if world == AUTO_GRAMMAR else (world,)
        self._grammars: dict[str, str | Grammar] = {
            name: name for name in (*own, *shipped_grammars())
        }
        self._loaded: dict[str, tuple[Generator, Perception]] = {}
        self._worlds: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()
        self.default = Choice(
            MADE if world == AUTO_GRAMMAR else world,
            display_name(given),
            settings.learner_name,
            settings.reward_name,
        )
        self.generators = tuple(self._generators)
        self.learners = tuple(dict.fromkeys([self.default.learner, *LEARNERS]))
        self.rewards = tuple(dict.fromkeys([self.default.reward, *REWARDS]))

    def warm_up(self) -> None:
        """Load the default models, so that the first visitor does not wait for them."""
        name = self.default.generator
        # An error will be reported to the visitor whose search runs into it.
        with contextlib.suppress(Exception):
            generator, perception = self._models(name)
            if isinstance(generator, DiffusersGenerator):  # others may cost money
                grammar = self._grammar(self.worlds(name)[0])
                prompt = grammar.decode(grammar.state(0))
                pictures = generator([prompt], [self._settings.generation_seed])
                for model in perception.models().values():
                    model(pictures)

    def worlds(self, generator: str) -> tuple[str, ...]:
        """Return the names of the grammars that a generator has words for, and `MADE`.

        Raises:
            AgentError: the generator is not among the choices.
            RLDFError: it cannot be used.
        """
        with self._lock:  # two threads must not compile all grammars at once
            if generator not in self._worlds:
                made, _ = self._models(generator)
                known = [name for name in self._grammars if self._has_words(made, name)]
                self._worlds[generator] = (*known, MADE)
            return self._worlds[generator]

    def world_of(self, prompt: str, generator: str) -> str | None:
        """Return the first of a generator's worlds in which a prompt is a sentence, or None."""
        for name in self.worlds(generator):
            if name != MADE:
                with contextlib.suppress(GrammarError):
                    self._grammar(name).encode(prompt)
                    return name
        return None

    def settings(self, choice: Choice) -> SearchSettings:
        """Return how to search, with models that are shared by all visitors.

        Raises:
            AgentError: a name that is not among the choices.
            RLDFError: models that cannot be used; the message says which and why.
        """
        self._require("learner", choice.learner, self.learners)
        self._require("reward", choice.reward, self.rewards)
        self._require("world", choice.world, self.worlds(choice.generator))
        generator, perception = self._models(choice.generator)
        return replace(
            self._settings,
            grammar=AUTO_GRAMMAR if choice.world == MADE else self._grammar(choice.world),
            generator=generator,
            perception=perception,
            learner=choice.learner,
            reward=choice.reward,
        )

    def evaluator(self, world: str, generator: str) -> StateEvaluator:
        """Return what makes the pictures of a world, for a link.

        Raises:
            AgentError: a name that is not among the choices.
            RLDFError: see `settings`.
        """
        self._require("world", world, [name for name in self.worlds(generator) if name != MADE])
        settings = self._settings
        return make_evaluator(
            self._grammar(world),
            *self._models(generator),
            settings.store,
            settings.generation_seed,
            settings.device,
        )

    def _has_words(self, generator: Generator, world: str) -> bool:
        if not isinstance(generator, LimitedVocabulary):
            return True
        try:
            values = (value for axis in self._grammar(world).axes for value in axis.values)
            check_words(generator, values)
        except GenerationError:
            return False
        return True

    def _grammar(self, name: str) -> Grammar:
        found = self._grammars[name]
        if not isinstance(found, Grammar):
            found = self._grammars[name] = load_grammar(found)
        return found

    def _models(self, generator: str) -> tuple[Generator, Perception]:
        self._require("generator", generator, self.generators)
        if generator not in self._loaded:
            perception = self._settings.perception
            self._loaded[generator] = make_models(
                self._generators[generator],
                perception if generator == self.default.generator else "auto",
                self._settings.device,
            )
        return self._loaded[generator]

    @staticmethod
    def _require(kind: str, name: str, known: Collection[str]) -> None:
        if name not in known:
            raise AgentError(f"unknown {kind} {name!r}; known: {', '.join(known)}")


def is_on_this_machine(preset: str) -> bool:
    """Return whether the files of a preset are here, without asking the Hub."""
    from huggingface_hub import try_to_load_from_cache

    found = PRESETS[preset]
    if Path(found.repository).is_dir():
        return True
    kept = try_to_load_from_cache(found.repository, "model_index.json", revision=found.revision)
    return isinstance(kept, str)
