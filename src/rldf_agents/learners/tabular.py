"""Q-learning and SARSA on a table of action values (the paper's Alg. 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.action_values import ActionValues, Values
from rldf_agents.learners.discrete_learner import IndexedStep, register_learner, reject_reward
from rldf_agents.learners.space_index import Indices
from rldf_agents.learners.temporal_difference import (
    NextActionRule,
    TemporalDifference,
    check_value_settings,
)
from rldf_agents.protocols import DiscreteArray, Transitions
from rldf_agents.schedules import EpsilonSchedule, StepSizeSchedule, complete_schedules

_MOST_ACTIONS = 10**6
"""Choosing greedily compares all actions of a state."""


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
    """Temporal-difference control with a row of the table for each state that was visited.

    On a vector environment all targets are computed from the values before the step.

    Args:
        observation_space: Discrete or MultiDiscrete.
        action_space: Discrete or MultiDiscrete; joint actions are the columns of the table.
        options: the fields of ``TabularSettings``.

    Raises:
        AgentError: for other spaces, more than a million actions, and options that are unknown or
            out of range.
    """

    settings_type = TabularSettings
    saved_attributes: ClassVar[tuple[str, ...]] = ("_values.updated",)

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        self._require_size("actions", self._actions.size, _MOST_ACTIONS)
        self._values = ActionValues(self._actions.size, self.settings.initial_value)

    def _row(self, state: int) -> list[float]:
        return self._values.row(state)

    def _epsilon_greedy(self, state: int, random: np.random.Generator) -> int:
        """Return an action, ties broken at random.

        One uniform number decides whether to explore and, rescaled, which action it is: given
        that it lies in an interval, it is uniform there.
        """
        draw = random.random()
        epsilon = self.settings.epsilon(self.progress.timesteps)
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
        self.progress.count(transitions)

    def _select_all(self, states: Indices, sub_envs: Indices) -> Indices:
        return self._epsilon_greedy_all(states)

    def _next_values(self, next_states: Indices, transitions: Transitions) -> Values:
        """Return the value of each next state, of the transitions that did not terminate."""
        best: Values = self._values.rows(next_states).max(axis=1)
        return best

    def _epsilon_greedy_all(self, states: Indices) -> Indices:
        """Return an action for each state as ``_epsilon_greedy`` would, int64 [n]."""
        draws = self._random.random(states.size)
        epsilon = self.settings.epsilon(self.progress.timesteps)
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


@register_learner
class QLearning(TabularLearner):
    """``Q(s, a) <- Q(s, a) + alpha [r + gamma max Q(s', .) - Q(s, a)]``, acting epsilon-greedily.

    Watkins 1989; Sutton & Barto §6.5. Arguments are those of ``TabularLearner``.

    Feedback that is positive at every step makes staying near the goal worth more than ending
    the episode there, unless gamma is below 1 - (reward beside the goal) / (reward at the goal),
    0.25 for ``multi_semantic``. A search does not depend on it: it ends at the first visit.
    """

    name: ClassVar[str] = "q_learning"


@register_learner
class SARSA(NextActionRule, TabularLearner):
    """``Q(s, a) <- Q(s, a) + alpha [r + gamma Q(s', a') - Q(s, a)]``, acting epsilon-greedily.

    Rummery & Niranjan 1994; Sutton & Barto §6.4. Arguments are those of ``TabularLearner``.

    On a vector environment all next actions come from the values before the step.
    """

    name: ClassVar[str] = "sarsa"

    def _select_all(self, states: Indices, sub_envs: Indices) -> Indices:
        chosen = [self._chosen.get(sub_env, (-1, -1)) for sub_env in sub_envs.tolist()]
        chosen_states, actions = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
        new = chosen_states != states
        actions[new] = self._epsilon_greedy_all(states[new])
        return actions

    def _next_values(self, next_states: Indices, transitions: Transitions) -> Values:
        actions = self._epsilon_greedy_all(next_states)
        for sub_env in transitions.sub_envs.tolist():
            self._chosen.pop(sub_env, None)
        going = ~transitions.terminated
        pairs = zip(next_states.tolist(), actions.tolist(), strict=True)
        ends = zip(transitions.sub_envs[going].tolist(), transitions.truncated[going], strict=True)
        for (sub_env, truncated), pair in zip(ends, pairs, strict=True):
            if not truncated:
                self._chosen[sub_env] = pair
        return self._values.rows(next_states)[np.arange(next_states.size), actions]
