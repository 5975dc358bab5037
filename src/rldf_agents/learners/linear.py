"""What the linear learners are made of: settings, weights of one-hot features, a policy on them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import Tensors
from rldf_agents.learners.run_state import RunState
from rldf_agents.learners.saved_file import SavedLearner, write_learner
from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import DiscreteValue, Transition
from rldf_agents.schedules import EpsilonSchedule, StepSizeSchedule

_MOST_WEIGHTS = 10**8
"""800 MB, and as much for the counts."""


@dataclass(frozen=True)
class LinearSettings:
    """How to learn and explore.

    Raises:
        AgentError: if ``gamma`` is outside [0, 1], ``initial_value`` is not a finite number, or
            ``bonus`` is negative or not finite.
    """

    gamma: float
    epsilon: EpsilonSchedule
    step_size: StepSizeSchedule
    initial_value: float
    bonus: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.gamma <= 1.0:
            raise AgentError(f"the discount gamma is {self.gamma}: give a number in [0, 1]")
        if not math.isfinite(self.initial_value):
            raise AgentError(f"the initial value is {self.initial_value}: give a finite number")
        if not 0.0 <= self.bonus < math.inf:
            raise AgentError(f"the bonus is {self.bonus}: give a finite number of at least 0")


class LinearActionValues:
    """``Q(s, a) = sum over axes of weight[axis, s[axis], a]``, the policy on it, and the run.

    Attributes:
        weights: float64 [sum of axis sizes, n_actions], axis after axis.
        counts: int64 of the same shape, updates of each weight.
    """

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        settings: LinearSettings,
    ) -> None:
        self.observations = SpaceIndex(observation_space, "observation")
        self.actions = SpaceIndex(action_space, "action")
        self.settings = settings
        self.run = RunState(self.observations, self.actions)
        sizes = self.observations.sizes
        shape = sum(sizes), self.actions.size
        if math.prod(shape) > _MOST_WEIGHTS:
            raise AgentError(
                f"a linear learner needs {shape[0]} x {shape[1]} weights here, "
                f"{16e-9 * math.prod(shape):.0f} GB with their counts: it takes spaces with up to "
                f"{_MOST_WEIGHTS:.0e} weights"
            )
        self._sizes = np.array(sizes)
        self._strides = np.array([math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))])
        self._starts = np.cumsum([0, *sizes[:-1]])
        self.weights = np.full(shape, settings.initial_value / len(sizes))
        self.counts = np.zeros(shape, dtype=np.int64)

    def row(self, state: int) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions]."""
        values: npt.NDArray[np.float64] = self.weights[self._features(state)].sum(axis=0)
        return values

    def epsilon_greedy(self, state: int, random: np.random.Generator) -> int:
        """Return an action, epsilon-greedy on value plus bonus, ties broken at random."""
        settings = self.settings
        if random.random() < settings.epsilon(self.run.progress.timesteps):
            return int(random.integers(self.actions.size))
        features = self._features(state)
        values = self.weights[features].sum(axis=0)
        if settings.bonus:
            values += settings.bonus * (1.0 / np.sqrt(1.0 + self.counts[features])).mean(axis=0)
        best = np.flatnonzero(values >= values.max() - 1e-12 * np.abs(values).max())
        return int(best[random.integers(best.size)] if best.size > 1 else best[0])

    def td_update(self, state: int, action: int, target: float) -> None:
        """Move Q(s, a) a step of alpha towards the target, shared alike by the axes.

        Raises:
            AgentError: if the target is not finite: one such value would spread over the weights.
        """
        if not math.isfinite(target):
            raise AgentError(f"the environment's reward made a learning target of {target}")
        features = self._features(state)
        error = target - float(self.weights[features, action].sum())
        self.counts[features, action] += 1
        alpha = self.settings.step_size(int(self.counts[features, action].min()))
        self.weights[features, action] += alpha / features.size * error

    def predict(self, observation: DiscreteValue, deterministic: bool) -> DiscreteValue:
        """Return the first greedy action, or one drawn from the policy as it now explores."""
        state = self.observations.index(observation)
        if deterministic:
            return self.actions.label(int(self.row(state).argmax()))
        return self.actions.label(self.epsilon_greedy(state, self.run.prediction_random))

    def pair(self, transition: Transition) -> tuple[int, int]:
        """Return the numbers of state and action."""
        state = self.observations.index(transition.observation)
        return state, self.actions.index(transition.action)

    def save(self, path: str | Path, learner: str, extra: dict[str, Any]) -> Path:
        """Write everything to one file; ``extra`` is what the learner itself remembers."""
        spaces = self.observations.space, self.actions.space
        state = {"run": self.run.to_json(), **extra}
        tensors: Tensors = {"weights": self.weights, "counts": self.counts}
        saved = SavedLearner(learner, spaces, vars(self.settings), state, tensors)
        return write_learner(path, saved)

    def restore(self, saved: SavedLearner) -> None:
        """Take over weights and run from a file made with the same spaces and settings.

        Raises:
            AgentError: if the saved weights have another shape.
        """
        for name, own in (("weights", self.weights), ("counts", self.counts)):
            if saved.tensors[name].shape != own.shape:
                raise AgentError(
                    f"the saved {name} have shape {saved.tensors[name].shape}, "
                    f"this learner's have {own.shape}"
                )
        self.weights = saved.tensors["weights"].astype(np.float64)
        self.counts = saved.tensors["counts"].astype(np.int64)
        self.run.restore(saved.state["run"])

    def _features(self, state: int) -> npt.NDArray[np.int64]:
        """Return the rows of the features that are on, int64 [n_axes]."""
        features: npt.NDArray[np.int64] = self._starts + state // self._strides % self._sizes
        return features
