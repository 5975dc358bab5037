"""Dyna-Q with prioritised sweeping, exploring by optimism about what lies next (S&B §8.2-8.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import Tensors, make_action_values
from rldf_agents.learners.prioritised_sweeping import Outcome, PrioritisedSweeping
from rldf_agents.learners.run_state import RunState
from rldf_agents.learners.saved_file import SavedLearner, read_learner, write_learner
from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import DiscreteValue, Environment, Progress, Transition
from rldf_agents.schedules import EpsilonSchedule, epsilon_schedule
from rldf_agents.training import train


@dataclass(frozen=True)
class DynaQSettings:
    """How to learn, plan and explore.

    Raises:
        AgentError: if ``gamma`` is outside [0, 1), ``planning_updates`` below 1, or ``threshold``
            or ``optimism`` negative or not finite.
    """

    gamma: float
    epsilon: EpsilonSchedule
    optimism: float
    planning_updates: int
    threshold: float

    def __post_init__(self) -> None:
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


class DynaQ:
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
        gamma: discount, in [0, 1).
        epsilon: probability of a random action, or its schedule.
        optimism: how much more than a state an untried neighbour is taken to pay, in units of
            reward, at least 0.
        planning_updates: at most so many after every step, at least 1.
        threshold: theta, in units of value; smaller expected changes are not queued.

    Raises:
        AgentError: for other spaces and for settings out of range.
    """

    name: ClassVar[str] = "dyna_q"

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        gamma: float = 0.9,
        epsilon: float | EpsilonSchedule = 0.01,
        optimism: float = 1.0,
        planning_updates: int = 10,
        threshold: float = 1e-3,
    ) -> None:
        self._settings = DynaQSettings(
            gamma, epsilon_schedule(epsilon), optimism, planning_updates, threshold
        )
        self.observation_space, self.action_space = observation_space, action_space
        self._observations = SpaceIndex(observation_space, "observation")
        self._actions = SpaceIndex(action_space, "action")
        self._run = RunState(self._observations, self._actions)
        self._values = make_action_values(self._observations.size, self._actions.size, 0.0)
        self._sweeping = PrioritisedSweeping(self._values, gamma, threshold)
        self._met: set[int] = set()
        """States whose untried actions have been given their promise."""
        self._highest_reward = 0.0
        """So far, or 0: what a state where an episode begins is taken to pay."""
        self._changes = [0.0] * self._actions.size
        """By action: how it changed the reward when last tried where it had not been tried."""
        self._arrivals: dict[int, _Arrival] = {}
        """By sub-environment."""

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._run.progress

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order; 0 in a state not met."""
        return np.array(self._values.row(self._observations.index(observation)))

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        if self._run.start(seed):
            self._arrivals.clear()

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return an epsilon-greedy action, ties broken by the rules of the class's docstring."""
        state = self._observations.index(observation)
        self._meet(state, self._highest_reward)
        arrival = self._arrivals.get(sub_env)
        last = None if arrival is None else arrival.action
        return self._actions.label(self._explore(state, last, self._run.random))

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Learn from one step, plan and count it.

        Raises:
            AgentError: if the reward is not finite; nothing is learned then.
        """
        reward = float(transition.reward)
        if not math.isfinite(reward):
            raise AgentError(f"the environment gave a reward of {reward}: nothing is learned of it")
        state = self._observations.index(transition.observation)
        action = self._actions.index(transition.action)
        next_state = self._observations.index(transition.next_observation)
        self._meet(state, self._highest_reward)
        if not transition.terminated:
            self._meet(next_state, reward)
        before = self._arrivals.pop(sub_env, None)
        if before is not None and (state, action) not in self._sweeping.model.outcomes:
            self._changes[action] = reward - before.reward
        outcome = Outcome(reward, next_state, transition.terminated)
        self._sweeping.observe((state, action), outcome)
        self._sweeping.plan(self._settings.planning_updates)
        self._highest_reward = max(self._highest_reward, reward)
        if not transition.terminated and not transition.truncated:
            self._arrivals[sub_env] = _Arrival(action, reward)
        self._run.record(transition, sub_env)

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return the first greedy action, or without ``deterministic`` one as it explores."""
        state = self._observations.index(observation)
        if deterministic:
            row = self._values.row(state)
            return self._actions.label(row.index(max(row))), None
        return self._actions.label(self._explore(state, None, self._run.prediction_random)), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write table, model, queue, settings and progress to one ``.safetensors`` file."""
        state = {
            "run": self._run.to_json(),
            "highest_reward": self._highest_reward,
            "arrivals": [[sub_env, *last] for sub_env, last in sorted(self._arrivals.items())],
        }
        tensors: Tensors = {
            **self._values.tensors(),
            **self._sweeping.model.tensors(),
            **self._sweeping.queue.tensors(),
            "met": np.array(sorted(self._met), dtype=np.int64),
            "changes": np.array(self._changes, dtype=np.float64),
        }
        spaces = self._observations.space, self._actions.space
        return write_learner(
            path, SavedLearner(self.name, spaces, vars(self._settings), state, tensors)
        )

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> DynaQ:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        learner = cls(*saved.spaces, **saved.settings)
        learner._restore(saved)
        return learner

    def _restore(self, saved: SavedLearner) -> None:
        self._run.restore(saved.state["run"])
        self._highest_reward = saved.state["highest_reward"]
        self._arrivals = {
            sub_env: _Arrival(action, reward) for sub_env, action, reward in saved.state["arrivals"]
        }
        self._values.restore(saved.tensors)
        self._sweeping.model.restore(saved.tensors)
        self._sweeping.queue.restore(saved.tensors)
        self._met = set(saved.tensors["met"].tolist())
        self._changes = saved.tensors["changes"].tolist()

    def _meet(self, state: int, reward: float) -> None:
        """Give the actions of a new state their promise."""
        if state not in self._met:
            self._met.add(state)
            settings = self._settings
            promise = (reward + settings.optimism) / (1.0 - settings.gamma)
            self._values.fill(state, promise)

    def _explore(self, state: int, last: int | None, random: np.random.Generator) -> int:
        draw = random.random()
        epsilon = self._settings.epsilon(self._run.progress.timesteps)
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
