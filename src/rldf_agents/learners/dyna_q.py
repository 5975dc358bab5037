"""Dyna-Q with prioritised sweeping, exploring by optimism about what lies next (S&B §8.2-8.4)."""

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
        optimism: how much more than a state an untried neighbour is expected to pay, in units of
            reward, at least 0.
        planning_updates: at most so many after every step, at least 1.
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
    """The last step of an episode under way."""

    action: int
    reward: float


@register_learner
class DynaQ(DiscreteLearner):
    """Learns what every action leads to, and plans on that with prioritised sweeping.

    Each step goes into a deterministic model, the last outcome of (s, a), and is followed by
    ``planning_updates`` updates ``Q(s, a) <- r + gamma max Q(s', .)``, those of the largest
    expected change first (Sutton & Barto §8.4; Moore & Atkeson 1993). A terminal state is worth
    nothing; a truncation is no outcome.

    An action in a state must always do the same, as it does where the generator's seed is fixed.
    Where it does not, the values follow the last outcome: nothing breaks, and nothing converges.

    What is spent in the search of a picture is visits of new states, and the model knows which
    are new. Three rules choose among them, each measured on the base world, 480 states, over
    40 goals with 3 seeds (median of distinct states up to the goal):

    - An action never tried in s is worth (r(s) + ``optimism``) / (1 - gamma), r(s) being the
      reward for arriving in s: beside a good state may be a better one (the paper's semantic
      locality, §3). The sweeping carries this promise to wherever it can be reached from. One
      promise for all states, the highest reward as in R-max (Brafman & Tennenholtz 2002), looks
      into every corner: 230 states instead of 130.
    - Among equally promising actions the last one is repeated: it runs along an axis to its end
      instead of stepping about in a cloud (temporally extended exploration, Dabney et al. 2021):
      50 states.
    - Unless it made things worse when last tried somewhere new: then the action is taken whose
      last such try changed the reward for the better, or the least for the worse: 25 states, and
      28 over 100 goals that had no part in these choices.

    A state where an episode begins is taken to pay the highest reward so far, or 0 if that is
    higher. With ``optimism`` of at least the difference of highest and lowest reward, 0 included,
    every promise is an upper bound, as in R-max. With any, ``epsilon`` above 0 tries everything in
    the end, and deterministic values come as near to Q* as ``threshold`` lets them.

    Args:
        observation_space: Discrete or MultiDiscrete; the table has a row for each element.
        action_space: Discrete or MultiDiscrete; joint actions are the columns of the table.
        options: ``gamma``, ``epsilon``, ``optimism``, ``planning_updates``, ``threshold``: see
            ``DynaQSettings``.

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
        """States whose untried actions have been given their promise."""
        self._highest_reward = 0.0
        """So far, or 0: what a state where an episode begins is expected to pay."""
        self._changes = [0.0] * self._actions.size
        """By action: how it changed the reward when last tried where it had not been tried."""
        self._arrivals: dict[int, _Arrival] = {}
        """By sub-environment."""

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order; 0 in a state not met."""
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
        """Give the actions of a new state their promise."""
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
