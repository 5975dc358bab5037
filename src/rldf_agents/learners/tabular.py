"""Temporal-difference control on a table of action values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.action_values import ActionValues, Tensors, Values
from rldf_agents.learners.discrete_learner import IndexedStep, reject_reward
from rldf_agents.learners.space_index import Indices
from rldf_agents.learners.temporal_difference import TemporalDifference, check_value_settings
from rldf_agents.protocols import DiscreteArray, Transitions
from rldf_agents.schedules import (
    EpsilonSchedule,
    StepSizeSchedule,
    complete_schedules,
)


@dataclass(frozen=True)
class TabularSettings:
    """How to learn on a table.

    The defaults are chosen for the search of a picture, 2,000 steps in a world of about 480
    states, most of them never visited before:

    - ``gamma`` 0.9 looks some ten steps ahead, about the way across such a world.
    - ``epsilon`` 0.1 is what the paper finds best (Table 3).
    - ``step_size`` 0.5: with the generator's seed fixed, feedback and moves are deterministic, so
      a constant step converges and learns from the first visit on. Where they are noisy, use
      ``VisitCountStepSize``.
    - ``initial_value`` 20 = 2 / (1 - gamma) promises reward 2 a step for every untried action:
      optimism drives exploration (Sutton & Barto §2.6). In that world ``multi_semantic`` pays 2
      wherever people and scene match. The agent prefers such places, and still leaves them for
      untried actions. A promise below what some place pays at every step is harmful: only epsilon
      leaves that place, and with 0 fewer targets are found than by a random walk. Raise it for
      higher rewards; the highest one over 1 - gamma is safe, and explores evenly.

    Attributes:
        gamma: discount, in [0, 1].
        epsilon: probability of a random action in [0, 1], or its schedule.
        step_size: alpha in (0, 1], or its schedule.
        initial_value: of every action value.

    Raises:
        AgentError: for a value out of range.
    """

    gamma: float = 0.9
    epsilon: float | EpsilonSchedule = 0.1
    step_size: float | StepSizeSchedule = 0.5
    initial_value: float = 20.0

    def __post_init__(self) -> None:
        complete_schedules(self)
        check_value_settings(self.gamma, self.initial_value)


class TabularLearner(TemporalDifference):
    """Temporal-difference control with a row of the table for each state.

    On a vector environment all targets are computed from the values before the step.
    """

    settings_type = TabularSettings

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        self._values = ActionValues(
            self._states.size, self._actions.size, self.settings.initial_value
        )

    def _row(self, state: int) -> list[float]:
        return self._values.row(state)

    def _epsilon_greedy(self, state: int, random: np.random.Generator) -> int:
        """Return an action, ties broken at random.

        One uniform number decides whether to explore and, rescaled, which action it is: given
        that it lies in an interval, it is uniform there.
        """
        draw = random.random()
        epsilon = self.settings.epsilon(self._run.progress.timesteps)
        if draw < epsilon:
            return min(int(draw / epsilon * self._actions.size), self._actions.size - 1)
        row = self._values.row(state)
        highest = max(row)
        action, ties = row.index(highest), row.count(highest)
        if ties > 1:
            rank = min(int((draw - epsilon) / (1.0 - epsilon) * ties), ties - 1)
            for _ in range(rank):
                action = row.index(highest, action + 1)
        return action

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        self._values.td_update(
            step.state, step.action, self._target(step, sub_env), self.settings.step_size
        )

    def select_actions(
        self, observations: DiscreteArray, sub_envs: npt.NDArray[np.int64]
    ) -> DiscreteArray:
        """Return the actions to take now, exploring; row i in sub-environment sub_envs[i]."""
        return self._actions.values(self._select_all(self._states.indices(observations), sub_envs))

    def update_all(self, transitions: Transitions) -> None:
        """Learn from one step of all sub-environments, targets first, and count it.

        Raises:
            AgentError: if a reward is not finite; nothing is learned then.
        """
        rewards = transitions.rewards
        finite = np.isfinite(rewards)
        if not finite.all():
            reject_reward(float(rewards[~finite][0]))
        going = ~transitions.terminated
        next_states = self._states.indices(transitions.next_observations[going])
        targets = rewards.copy()
        targets[going] += self.settings.gamma * self._next_values(next_states, transitions)
        states = self._states.indices(transitions.observations)
        actions = self._actions.indices(transitions.actions)
        td_update, step_size = self._values.td_update, self.settings.step_size
        for update in zip(states.tolist(), actions.tolist(), targets.tolist(), strict=True):
            td_update(*update, step_size)
        self._run.count(transitions)

    def _select_all(self, states: Indices, sub_envs: Indices) -> Indices:
        return self._epsilon_greedy_all(states)

    def _next_values(self, next_states: Indices, transitions: Transitions) -> Values:
        """Return the value of each next state, of the transitions that did not terminate."""
        best: Values = self._values.rows(next_states).max(axis=1)
        return best

    def _epsilon_greedy_all(self, states: Indices) -> Indices:
        """Return an action for each state as ``_epsilon_greedy`` would, int64 [n]."""
        draws = self._run.random.random(states.size)
        epsilon = self.settings.epsilon(self._run.progress.timesteps)
        exploring = draws < epsilon
        rows = self._values.rows(states)
        candidates = (rows == rows.max(axis=1, keepdims=True)) | exploring[:, np.newaxis]
        counts = np.count_nonzero(candidates, axis=1)
        shares = np.where(
            exploring, draws / (epsilon or 1.0), (draws - epsilon) / ((1.0 - epsilon) or 1.0)
        )
        ranks = np.minimum((shares * counts).astype(np.int64), counts - 1)
        actions: Indices = (candidates.cumsum(axis=1) > ranks[:, np.newaxis]).argmax(axis=1)
        return actions

    def _tensors(self) -> Tensors:
        return self._values.tensors()

    def _restore(self, state: dict[str, Any], tensors: Tensors) -> None:
        self._values.restore(tensors)
