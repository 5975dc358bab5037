"""Dyna-Q with prioritised sweeping and optimistic exploration (Sutton & Barto §8.2-8.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import require
from rldf_agents.learners.discrete_learner import DiscreteLearner, IndexedStep, register_learner
from rldf_agents.learners.prioritised_sweeping import PrioritisedSweeping
from rldf_agents.protocols import DiscreteValue
from rldf_agents.schedules import EpsilonSchedule, complete_schedules

_MOST_ACTIONS = 10**6
"""Choosing greedily compares all actions of a state."""


@dataclass(frozen=True)
class DynaQSettings:
    """How to learn, plan and explore.

    Attributes:
        gamma: discount, in [0, 1).
        epsilon: probability of a random action in [0, 1], or its schedule.
        optimism: expected reward of an untried neighbour above that of the state, at least 0.
        planning_updates: maximum number of updates after every step, at least 1.
        threshold: theta, in units of value, at least 0; smaller expected changes are not queued.

    Raises:
        AgentError: for a value out of range.
    """

    gamma: float = 0.9
    epsilon: float | EpsilonSchedule = 0.01
    optimism: float = 1.0
    planning_updates: int = 10
    threshold: float = 1e-3

    def __post_init__(self) -> None:
        complete_schedules(self)
        # Without discount, planning round a loop that pays has no end.
        require(0.0 <= self.gamma < 1.0, "the discount gamma", self.gamma, "a number in [0, 1)")
        updates = self.planning_updates
        require(updates >= 1, "planning_updates", updates, "a number of at least 1")
        for name in ("optimism", "threshold"):
            value = getattr(self, name)
            require(0.0 <= value < math.inf, name, value, "a finite number of at least 0")


@register_learner
class DynaQ(DiscreteLearner):
    """Learn a deterministic model and plan on it with prioritised sweeping.

    The model keeps the last outcome of each (s, a). After each step come ``planning_updates``
    updates ``Q(s, a) <- r + gamma max Q(s', .)``, the largest expected change first (Sutton &
    Barto §8.4; Moore & Atkeson 1993). A terminal state has value 0; a truncation is no outcome.

    Dynamics are assumed deterministic, as they are with a fixed generation seed. Otherwise the
    values follow the last outcome and do not converge.

    In a search only new states cost an image. Three rules select among untried actions (what each
    is worth: ``docs/learners.md``):

    - An untried action in s has the initial value (r(s) + ``optimism``) / (1 - gamma), with r(s)
      the reward for arriving in s: neighbours of a good state may be better (the paper's semantic
      locality, §3). R-max (Brafman & Tennenholtz 2002) has the same value everywhere.
    - Among equal values, the last action is repeated (temporally extended exploration, Dabney et
      al. 2021).
    - If the last action decreased the reward when last tried for the first time in a state, the
      action with the largest such change is taken instead.

    A state where an episode begins is assumed to have the highest reward so far, at least 0. With
    ``optimism`` of at least the range of rewards, 0 included, all initial values are upper bounds,
    as in R-max. With ``epsilon`` above 0 every pair is tried eventually, and in deterministic
    environments the values converge to Q* up to ``threshold``.

    Args:
        observation_space: Discrete or MultiDiscrete; the table has a row for each element.
        action_space: Discrete or MultiDiscrete; joint actions are the columns of the table.
        options: the fields of ``DynaQSettings``.

    Raises:
        AgentError: for other spaces and for options that are unknown or out of range.
    """

    name: ClassVar[str] = "dyna_q"
    settings_type = DynaQSettings
    saved_attributes: ClassVar[tuple[str, ...]] = (
        "_sweeping.values",
        "_sweeping.outcomes",
        "_sweeping.predecessors",
        "_sweeping.queue.priorities",
        "_highest_reward",
        "_changes",
        "_arrivals",
    )

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        self._require_size("actions", self._actions.size, _MOST_ACTIONS)
        self._sweeping = PrioritisedSweeping(self.settings.gamma, self.settings.threshold)
        self._highest_reward = 0.0
        """So far, at least 0: the expected reward of a state where an episode begins."""
        self._changes = [0.0] * self._actions.size
        """By action: the change of reward when last tried for the first time in a state."""

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order; 0 in unvisited states."""
        return np.array(self._row(self._states.index(observation)))

    def forget_episodes(self) -> None:
        """Forget the last step of every episode."""
        self._arrivals: dict[int, tuple[int, float]] = {}
        """By sub-environment: the last action of the current episode and its reward."""

    def _restored(self) -> None:
        self._sweeping.queue.rebuild()

    def _select(self, state: int, sub_env: int) -> int:
        self._meet(state, self._highest_reward)
        last, _ = self._arrivals.get(sub_env, (None, 0.0))
        return self._explore(state, last, self._random)

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        reward, pair = step.reward, (step.state, step.action)
        self._meet(step.state, self._highest_reward)
        if not step.terminated:
            self._meet(step.next_state, reward)
        before = self._arrivals.pop(sub_env, None)
        if before is not None and pair not in self._sweeping.outcomes:
            self._changes[step.action] = reward - before[1]
        self._sweeping.observe(pair, (reward, step.next_state, step.terminated))
        self._sweeping.plan(self.settings.planning_updates)
        self._highest_reward = max(self._highest_reward, reward)
        if not step.terminated and not step.truncated:
            self._arrivals[sub_env] = step.action, reward

    def _predict(self, state: int, deterministic: bool) -> int:
        if not deterministic:
            return self._explore(state, None, self._prediction_random)
        row = self._row(state)
        return row.index(max(row))

    def _row(self, state: int) -> list[float]:
        return self._sweeping.values.get(state) or [0.0] * self._actions.size

    def _meet(self, state: int, reward: float) -> None:
        """Set the initial values of a new state."""
        if state not in self._sweeping.values:
            promise = (reward + self.settings.optimism) / (1.0 - self.settings.gamma)
            self._sweeping.values[state] = [promise] * self._actions.size

    def _explore(self, state: int, last: int | None, random: np.random.Generator) -> int:
        draw = random.random()
        epsilon = self.settings.epsilon(self.progress.timesteps)
        if draw < epsilon:
            return min(int(draw / epsilon * self._actions.size), self._actions.size - 1)
        row = self._row(state)
        highest = max(row)
        best = [action for action, value in enumerate(row) if value == highest]
        changes = self._changes
        if last in best and changes[last] >= 0.0:
            return last
        kindest = max(changes[action] for action in best)
        best = [action for action in best if changes[action] == kindest]
        return best[min(int((draw - epsilon) / (1.0 - epsilon) * len(best)), len(best) - 1)]
