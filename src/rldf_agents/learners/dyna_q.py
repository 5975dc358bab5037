"""Dyna-Q with prioritised sweeping and optimistic exploration (Sutton & Barto §8.2-8.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import ActionValues, Tensors
from rldf_agents.learners.discrete_learner import DiscreteLearner, IndexedStep
from rldf_agents.learners.prioritised_sweeping import Outcome, PrioritisedSweeping
from rldf_agents.learners.registry import register_learner
from rldf_agents.protocols import DiscreteValue
from rldf_agents.schedules import EpsilonSchedule, complete_schedules


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
        if not 0.0 <= self.gamma < 1.0:
            raise AgentError(
                f"the discount gamma is {self.gamma}: give a number in [0, 1); without discount, "
                "planning round a loop that pays has no end"
            )
        if self.planning_updates < 1:
            raise AgentError(
                f"planning_updates is {self.planning_updates}: give a number of at least 1"
            )
        for name in ("optimism", "threshold"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise AgentError(f"{name} is {value}: give a finite number of at least 0")


class _Arrival(NamedTuple):
    """The last step of a current episode."""

    action: int
    reward: float


@register_learner
class DynaQ(DiscreteLearner):
    """Learn a deterministic model and plan on it with prioritised sweeping.

    The model keeps the last outcome of each (s, a). After each step come ``planning_updates``
    updates ``Q(s, a) <- r + gamma max Q(s', .)``, the largest expected change first (Sutton &
    Barto §8.4; Moore & Atkeson 1993). A terminal state has value 0; a truncation is no outcome.

    Dynamics are assumed deterministic, as they are with a fixed generation seed. Otherwise the
    values follow the last outcome and do not converge.

    In a search only new states cost an image. Three rules select among untried actions, each
    measured on the base world (480 states) over 40 goals and 3 seeds, in the median number of
    distinct states visited until the goal:

    - An untried action in s has the initial value (r(s) + ``optimism``) / (1 - gamma), with r(s)
      the reward for arriving in s: neighbours of a good state may be better (the paper's semantic
      locality, §3). This takes 130 states; the same optimistic value everywhere, as in R-max
      (Brafman & Tennenholtz 2002), takes 230.
    - Among equal values, the last action is repeated (temporally extended exploration, Dabney et
      al. 2021): 50 states.
    - If the last action decreased the reward when last tried for the first time in a state, the
      action with the largest such change is taken instead: 25 states, and 28 over 100 held-out
      goals.

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

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        settings = self.settings
        self._values = ActionValues(self._states.size, self._actions.size, 0.0)
        self._sweeping = PrioritisedSweeping(self._values, settings.gamma, settings.threshold)
        self._met: set[int] = set()
        """States whose untried actions have their initial values."""
        self._highest_reward = 0.0
        """So far, at least 0: the expected reward of a state where an episode begins."""
        self._changes = [0.0] * self._actions.size
        """By action: the change of reward when last tried for the first time in a state."""
        self._arrivals: dict[int, _Arrival] = {}
        """By sub-environment."""

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order; 0 in unvisited states."""
        return np.array(self._values.row(self._states.index(observation)))

    def forget_episodes(self) -> None:
        """Forget the last step of every episode."""
        self._arrivals.clear()

    def _select(self, state: int, sub_env: int) -> int:
        self._meet(state, self._highest_reward)
        arrival = self._arrivals.get(sub_env)
        last = None if arrival is None else arrival.action
        return self._explore(state, last, self._run.random)

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        reward, pair = step.reward, (step.state, step.action)
        self._meet(step.state, self._highest_reward)
        if not step.terminated:
            self._meet(step.next_state, reward)
        before = self._arrivals.pop(sub_env, None)
        if before is not None and pair not in self._sweeping.model.outcomes:
            self._changes[step.action] = reward - before.reward
        self._sweeping.observe(pair, Outcome(reward, step.next_state, step.terminated))
        self._sweeping.plan(self.settings.planning_updates)
        self._highest_reward = max(self._highest_reward, reward)
        if not step.terminated and not step.truncated:
            self._arrivals[sub_env] = _Arrival(step.action, reward)

    def _predict(self, state: int, deterministic: bool) -> int:
        if not deterministic:
            return self._explore(state, None, self._run.prediction_random)
        row = self._values.row(state)
        return row.index(max(row))

    def _state(self) -> dict[str, Any]:
        return {
            "highest_reward": self._highest_reward,
            "arrivals": [[sub_env, *last] for sub_env, last in sorted(self._arrivals.items())],
        }

    def _tensors(self) -> Tensors:
        return {
            **self._values.tensors(),
            **self._sweeping.model.tensors(),
            **self._sweeping.queue.tensors(),
            "met": np.array(sorted(self._met), dtype=np.int64),
            "changes": np.array(self._changes, dtype=np.float64),
        }

    def _restore(self, state: dict[str, Any], tensors: Tensors) -> None:
        self._highest_reward = state["highest_reward"]
        self._arrivals = {
            sub_env: _Arrival(action, reward) for sub_env, action, reward in state["arrivals"]
        }
        self._values.restore(tensors)
        self._sweeping.model.restore(tensors)
        self._sweeping.queue.restore(tensors)
        self._met = set(tensors["met"].tolist())
        self._changes = tensors["changes"].tolist()

    def _meet(self, state: int, reward: float) -> None:
        """Set the initial values of a new state."""
        if state not in self._met:
            self._met.add(state)
            promise = (reward + self.settings.optimism) / (1.0 - self.settings.gamma)
            self._values.fill(state, promise)

    def _explore(self, state: int, last: int | None, random: np.random.Generator) -> int:
        draw = random.random()
        epsilon = self.settings.epsilon(self._run.progress.timesteps)
        if draw < epsilon:
            return min(int(draw / epsilon * self._actions.size), self._actions.size - 1)
        row = self._values.row(state)
        highest = max(row)
        best = [action for action, value in enumerate(row) if value == highest]
        changes = self._changes
        if last in best and changes[last] >= 0.0:
            return last
        kindest = max(changes[action] for action in best)
        best = [action for action in best if changes[action] == kindest]
        return best[min(int((draw - epsilon) / (1.0 - epsilon) * len(best)), len(best) - 1)]
