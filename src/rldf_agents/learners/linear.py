"""Temporal-difference control on one-hot features of every axis (Sutton & Barto §9.5, §10.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rldf_agents.errors import require
from rldf_agents.learners.discrete_learner import IndexedStep, register_learner
from rldf_agents.learners.space_index import Indices
from rldf_agents.learners.temporal_difference import (
    NextActionRule,
    TemporalDifference,
    check_value_settings,
)
from rldf_agents.schedules import EpsilonSchedule, StepSizeSchedule, complete_schedules

_MOST_WEIGHTS = 10**8
"""800 MB, and as much for the counts."""


@dataclass(frozen=True)
class LinearSettings:
    """How to learn with linear action values.

    Attributes:
        gamma: discount, in [0, 1]. A smaller one relies on bootstrapping less.
        epsilon: probability of a random action in [0, 1], or its schedule.
        step_size: alpha in (0, 1], or its schedule.
        initial_value: of every action value.
        bonus: added to the value of an action never tried, in units of value, at least 0.

    Raises:
        AgentError: for a value out of range.
    """

    gamma: float = 0.5
    epsilon: float | EpsilonSchedule = 0.05
    step_size: float | StepSizeSchedule = 1.0
    initial_value: float = 0.0
    bonus: float = 10.0

    def __post_init__(self) -> None:
        complete_schedules(self)
        check_value_settings(self.gamma, self.initial_value)
        holds = 0.0 <= self.bonus < math.inf
        require(holds, "the bonus", self.bonus, "a finite number of at least 0")


class LinearLearner(TemporalDifference):
    """Temporal-difference control with ``Q(s, a) = sum over axes of weight[axis, s[axis], a]``.

    What is learned about a value of one axis holds wherever that value occurs, so a world of n
    axes with m values is searched with n m weights for each action instead of m^n. A step moves
    Q(s, a) by alpha times its error, shared equally by the n weights that are on: alpha / n each,
    as large steps on all of them would overshoot. A Discrete space is one axis, and this is then
    a table.

    Exploration is directed: an action is valued by Q(s, a) plus ``bonus`` times the mean over axes
    of (1 + n)^-1/2, n the updates of the weight (an upper confidence bound as in S&B §2.7, with
    the counts of features). ``docs/learners.md`` compares it with other ways.

    Args:
        observation_space: Discrete or MultiDiscrete; each component is an axis.
        action_space: Discrete or MultiDiscrete; joint actions have separate weights.
        options: the fields of ``LinearSettings``.

    Raises:
        AgentError: for other spaces, options that are unknown or out of range, and more than 10^8
            weights, too many for the memory.
    """

    settings_type = LinearSettings
    saved_attributes: ClassVar[tuple[str, ...]] = ("_weights", "_counts")

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        sizes = self._states.grid.sizes
        shape = sum(sizes), self._actions.size
        self._require_size("weights", math.prod(shape), _MOST_WEIGHTS)
        self._starts: Indices = np.cumsum([0, *sizes[:-1]])
        self._weights = np.full(shape, self.settings.initial_value / len(sizes))
        """float64 [sum of axis sizes, n_actions], axis after axis."""
        self._counts = np.zeros(shape, dtype=np.int64)
        """Updates of each weight."""

    def _row(self, state: int) -> list[float]:
        row: list[float] = self._weights[self._features(state)].sum(axis=0).tolist()
        return row

    def _epsilon_greedy(self, state: int, random: np.random.Generator) -> int:
        """Return an action, epsilon-greedy on value plus bonus, ties broken at random."""
        settings = self.settings
        if random.random() < settings.epsilon(self.progress.timesteps):
            return int(random.integers(self._actions.size))
        features = self._features(state)
        values = self._weights[features].sum(axis=0)
        if settings.bonus:
            values += settings.bonus * (1.0 / np.sqrt(1.0 + self._counts[features])).mean(axis=0)
        best = np.flatnonzero(values >= values.max() - 1e-12 * np.abs(values).max())
        return int(best[random.integers(best.size)] if best.size > 1 else best[0])

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        features, action = self._features(step.state), step.action
        error = self._target(step, sub_env) - float(self._weights[features, action].sum())
        self._counts[features, action] += 1
        alpha = self.settings.step_size(int(self._counts[features, action].min()))
        self._weights[features, action] += alpha / features.size * error

    def _features(self, state: int) -> Indices:
        """Return the rows of the features that are on, int64 [n_axes]."""
        features: Indices = self._starts + np.array(self._states.grid.position(state))
        return features


@register_learner
class LinearQLearning(LinearLearner):
    """Q-learning with one weight for each value of each axis; see ``LinearLearner``.

    Off-policy bootstrapping with function approximation has no guarantee of convergence (S&B
    §11.2-11.3), and values that do not add up over axes cannot be represented.
    """

    name: ClassVar[str] = "linear_q_learning"


@register_learner
class LinearSARSA(NextActionRule, LinearLearner):
    """Semi-gradient SARSA with one weight for each value of each axis; see ``LinearLearner``.

    Being on-policy it does not diverge, though it may oscillate near the best weights (S&B §10.1;
    Gordon 2001).
    """

    name: ClassVar[str] = "linear_sarsa"
