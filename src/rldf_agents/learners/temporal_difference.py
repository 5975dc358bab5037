"""Temporal-difference control: one loop of acting and learning, and its two update rules."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import require
from rldf_agents.learners.discrete_learner import DiscreteLearner, IndexedStep
from rldf_agents.protocols import DiscreteValue


def check_value_settings(gamma: float, initial_value: float) -> None:
    """Raise an AgentError if ``gamma`` is outside [0, 1] or ``initial_value`` is not finite."""
    require(0.0 <= gamma <= 1.0, "the discount gamma", gamma, "a number in [0, 1]")
    require(math.isfinite(initial_value), "the initial value", initial_value, "a finite number")


class TemporalDifference(DiscreteLearner):
    """Act on Q(s, a) and move it towards ``r + gamma`` times the value of the next state.

    A subclass stores Q (``_row``), moves it towards ``_target`` in ``_learn``, and explores in
    ``_epsilon_greedy``. The target is that of Q-learning, ``max Q(s', .)``, unless a subclass takes
    another. A terminal state is worth nothing; a truncated episode is bootstrapped
    from where it stopped.
    """

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order."""
        return np.array(self._row(self._states.index(observation)))

    @abstractmethod
    def _row(self, state: int) -> list[float]:
        """Return Q(s, .)."""

    @abstractmethod
    def _epsilon_greedy(self, state: int, random: np.random.Generator) -> int:
        """Return an exploring action, ties broken at random."""

    def _target(self, step: IndexedStep, sub_env: int) -> float:
        """Return what Q(s, a) is moved towards."""
        if step.terminated:
            return step.reward
        best = max(self._row(step.next_state))
        target: float = step.reward + self.settings.gamma * best
        return target

    def _select(self, state: int, sub_env: int) -> int:
        return self._epsilon_greedy(state, self._random)

    def _predict(self, state: int, deterministic: bool) -> int:
        if not deterministic:
            return self._epsilon_greedy(state, self._prediction_random)
        row = self._row(state)
        return row.index(max(row))


class NextActionRule(TemporalDifference):
    """SARSA's rule: the value of the next state is Q(s', a') of the action a' taken there.

    The next action is chosen in ``update`` and is the one that ``select_action`` then returns for
    s'. Where an episode is truncated it is chosen and not kept.
    """

    saved_attributes: ClassVar[tuple[str, ...]] = ("_chosen",)
    _chosen: dict[int, tuple[int, int]]
    """By sub-environment: a state and the action to take there next."""

    def forget_episodes(self) -> None:
        """Forget the actions chosen for the next step."""
        self._chosen = {}

    def _select(self, state: int, sub_env: int) -> int:
        chosen_state, action = self._chosen.get(sub_env, (-1, -1))
        return action if chosen_state == state else super()._select(state, sub_env)

    def _target(self, step: IndexedStep, sub_env: int) -> float:
        self._chosen.pop(sub_env, None)
        if step.terminated:
            return step.reward
        state = step.next_state
        action = self._epsilon_greedy(state, self._random)
        if not step.truncated:
            self._chosen[sub_env] = state, action
        target: float = step.reward + self.settings.gamma * self._row(state)[action]
        return target
