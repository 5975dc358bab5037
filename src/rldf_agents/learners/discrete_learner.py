"""The part that all learners share: spaces, settings, progress, predictions and files."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from abc import ABC, abstractmethod
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeVar

import gymnasium as gym
import numpy as np

from rldf_agents.errors import AgentError
from rldf_agents.learners.saved_file import read_learner, write_learner
from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import DiscreteValue, Environment, Progress, Transition
from rldf_agents.seeding import ACTIONS, PREDICTIONS, random_seed, stream
from rldf_agents.training import require_same_spaces, train

_L = TypeVar("_L", bound="DiscreteLearner")
_Class = TypeVar("_Class", bound="type[DiscreteLearner]")

LEARNERS: dict[str, type[DiscreteLearner]] = {}
"""The learners by the name that saved files and the command line use."""

_ARGUMENTS = "observation_space", "action_space", "settings"
"""Saved with every learner: what its constructor received."""


def register_learner(learner: _Class) -> _Class:
    """Register a class under its ``name``; use it as a decorator.

    Raises:
        AgentError: if another class has this name.
    """
    if LEARNERS.setdefault(learner.name, learner) is not learner:
        raise AgentError(f"there is a learner named {learner.name!r} already: name it otherwise")
    return learner


class IndexedStep(NamedTuple):
    """One step, its observations and action as indices."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool
    truncated: bool


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """The settings of a learner that has none."""


class DiscreteLearner(ABC):
    """A learner on the indices of Discrete and MultiDiscrete spaces; see ``ResumableLearner``.

    A subclass sets ``name``, ``settings_type`` and ``saved_attributes`` and implements ``_select``,
    ``_learn`` and ``_predict`` on indices 0..size-1 of states and actions.

    Args:
        observation_space: Discrete or MultiDiscrete.
        action_space: Discrete or MultiDiscrete.
        options: the fields of ``settings_type``.

    Attributes:
        settings: the options with their defaults, an instance of ``settings_type``.
        progress: seed and counters of the run.

    Raises:
        AgentError: for other spaces, and for options that are unknown or out of range.
    """

    name: ClassVar[str]
    """The learner's name in saved files and on the command line."""

    settings_type: ClassVar[type[Any]] = NoSettings
    """A frozen dataclass, a schedule or a plain value in every field."""

    saved_attributes: ClassVar[tuple[str, ...]] = (
        "progress.seed",
        "progress.timesteps",
        "progress.episodes",
        "progress.actions",
        "progress.observation",
        "_random.bit_generator.state",
    )
    """What to save, beside the attributes of the classes above; ``encode`` lists the types."""

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls) -> None:
        """Show the settings as keyword arguments in ``help`` and ``inspect.signature``."""
        super().__init_subclass__()
        spaces = [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("observation_space", "action_space")
        ]
        options = inspect.signature(cls.settings_type).parameters.values()
        keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in options]
        cls.__signature__ = inspect.Signature([*spaces, *keywords])

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.Space[Any], **options: Any
    ) -> None:
        known = [field.name for field in dataclasses.fields(self.settings_type)]
        for option in options:
            if option not in known:
                raise AgentError(
                    f"{self.name} has no setting {option!r}; known: {', '.join(known) or 'none'}"
                )
        self.settings = self.settings_type(**options)
        self.observation_space, self.action_space = observation_space, action_space
        self._states = SpaceIndex(observation_space, "observation")
        self._actions = SpaceIndex(action_space, "action")
        self.progress = Progress()
        self._random = np.random.default_rng()
        self._prediction_random = np.random.default_rng()
        """A separate stream for ``predict``: predictions do not change the training."""
        self._selected: tuple[Any, int, Any, int] = (None, 0, None, 0)
        """The last observation and action of ``select_action``, each with its index."""
        self._reached: tuple[Any, int] = (None, 0)
        """The last observation of ``update`` with its index, if its episode continues."""
        self.forget_episodes()

    def start_run(self, seed: int | None) -> None:
        """Start the run of this seed; with the seed of the current run, or None, continue it.

        None picks a seed if there is no current run.
        """
        if seed is None:
            seed = random_seed() if self.progress.seed is None else self.progress.seed
        if seed != self.progress.seed:
            self.progress = Progress(seed=seed)
            self._random = stream(seed, ACTIONS)
            self._prediction_random = stream(seed, PREDICTIONS)
            self.forget_episodes()

    def forget_episodes(self) -> None:
        """Forget what spans steps, such as plans: all episodes that follow are new ones.

        The constructor calls it too, so it may also set the attributes of these.
        """
        return

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return the action to take now, exploring, in sub-environment ``sub_env``."""
        reached, state = self._reached
        if observation is not reached:
            state = self._states.index(observation)
        index = self._select(state, sub_env)
        action = self._actions.value(index)
        self._selected = observation, state, action, index
        return action

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Learn from one step and count it.

        Raises:
            AgentError: if the reward is not finite; nothing is learned then.
        """
        observation, action, reward, next_observation, terminated, truncated = transition
        if not math.isfinite(reward):
            reject_reward(reward)
        selected, state, taken, index = self._selected
        # Most updates receive the two objects of the last selection, whose indices are known.
        if observation is not selected or action is not taken:
            state, index = self._states.index(observation), self._actions.index(action)
        next_state = self._states.index(next_observation)
        values = (state, index, float(reward), next_state, terminated, truncated)
        step = tuple.__new__(IndexedStep, values)  # a third of the time of IndexedStep(*values)
        self._learn(step, sub_env)
        progress = self.progress
        progress.timesteps += 1
        if terminated or truncated:
            progress.episodes += 1
            self._reached = None, 0
        else:
            self._reached = next_observation, next_state

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return the best action known, or without ``deterministic`` one as training explores.

        This leaves the random numbers of training untouched.
        """
        action = self._predict(self._states.index(observation), deterministic)
        return self._actions.value(action), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.safetensors`` file and return its path.

        Raises:
            AgentError: if a schedule is not one of ``rldf_agents.schedules``.
        """
        values = {name: attrgetter(name)(self) for name in self._saved_names()}
        arguments = self.observation_space, self.action_space, vars(self.settings)
        values.update(zip(_ARGUMENTS, arguments, strict=True))
        return write_learner(path, self.name, values)

    @classmethod
    def load(cls: type[_L], path: str | Path, env: Environment | None = None) -> _L:
        """Read a saved learner.

        Args:
            path: of the file, ``.safetensors`` added when missing.
            env: if given, its spaces must be those of the learner.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name)
        observation_space, action_space, settings = [saved[name] for name in _ARGUMENTS]
        learner = cls(observation_space, action_space, **settings)
        if env is not None:
            require_same_spaces(learner, env)
        for name in cls._saved_names():
            *owners, attribute = name.split(".")
            setattr(functools.reduce(getattr, owners, learner), attribute, saved[name])
        if learner.progress.seed is not None:
            learner._prediction_random = stream(learner.progress.seed, PREDICTIONS)
        learner._restored()
        return learner

    @classmethod
    def _saved_names(cls) -> list[str]:
        classes = reversed(cls.__mro__)
        return [name for base in classes for name in vars(base).get("saved_attributes", ())]

    def _restored(self) -> None:
        """Compute what follows from the attributes, which ``load`` has just set."""
        return

    @abstractmethod
    def _select(self, state: int, sub_env: int) -> int:
        """Return the action to take now, exploring."""

    @abstractmethod
    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        """Learn from one step."""

    @abstractmethod
    def _predict(self, state: int, deterministic: bool) -> int:
        """Return an action without changing anything but ``_prediction_random``."""

    def _require_size(self, what: str, size: int, most: int) -> None:
        """Raise an AgentError if the spaces are too large for this learner."""
        if size > most:
            raise AgentError(
                f"{self.name} takes up to {most:,} {what}, these spaces have {size:,}: make them "
                "smaller or take another learner"
            )


def reject_reward(reward: float) -> NoReturn:
    """Raise an AgentError for a reward that is not finite: it would spread over all values."""
    raise AgentError(f"the environment gave a reward of {reward}: nothing is learned from it")
