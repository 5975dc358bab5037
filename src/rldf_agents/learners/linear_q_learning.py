"""Q-learning on one-hot features of every axis (Sutton & Barto §9.5, §10.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.learners.linear import LinearActionValues, LinearSettings
from rldf_agents.learners.saved_file import read_learner
from rldf_agents.protocols import DiscreteValue, Environment, Progress, Transition
from rldf_agents.schedules import (
    EpsilonSchedule,
    StepSizeSchedule,
    epsilon_schedule,
    step_size_schedule,
)
from rldf_agents.training import train


class LinearQLearning:
    """Q-learning with ``Q(s, a) = sum over axes of w[axis, s[axis], a]`` (S&B §9.5.3, §10.1).

    What is learned about a value of one axis holds wherever that value occurs, so that a world of
    n axes with m values is searched with n m weights for each action in place of m^n. A step moves
    Q(s, a) by alpha times its error, shared alike by the n weights that are on: alpha / n each, as
    large steps on all of them would overshoot. A space that is Discrete is one axis, and this is
    then Q-learning on a table.

    Off-policy bootstrapping with function approximation has no guarantee of convergence (S&B
    §11.2-11.3), and what does not add up over axes cannot be represented. A smaller ``gamma``
    relies on bootstrapping less.

    Exploration is directed: an action is valued by Q(s, a) plus ``bonus`` times the mean over axes
    of (1 + n)^-1/2, n the updates of the weight (an upper confidence bound as in S&B §2.7, with
    the counts of features). Chosen by measurement, distinct states visited until the goal on the
    base world of 480 states, 20 to 25 targets, gamma 0.5, alpha 1, means:

    - upper bound, bonus 10: 66 (bonus 5: 91, bonus 20: 82); without epsilon 74
    - optimistic initial value 6 = 3 / (1 - gamma), epsilon 0.05: 86
    - Thompson sampling, weights drawn with deviation 2 (1 + n)^-1/2: 83 (1: 121, 5: 100)
    - the upper bound with gamma 0.9 and its best bonus, 40: 95; with alpha 0.5: 83

    Args:
        observation_space: Discrete or MultiDiscrete; each component is an axis.
        action_space: Discrete or MultiDiscrete; joint actions have weights of their own.
        gamma: discount, in [0, 1].
        epsilon: probability of a random action, or its schedule.
        step_size: alpha in (0, 1], or its schedule.
        initial_value: of every action value.
        bonus: added to the value of an action never tried, in units of value, at least 0.

    Raises:
        AgentError: for other spaces, for settings out of range, and for more weights than fit
            into memory.
    """

    name: ClassVar[str] = "linear_q_learning"

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        gamma: float = 0.5,
        epsilon: float | EpsilonSchedule = 0.05,
        step_size: float | StepSizeSchedule = 1.0,
        initial_value: float = 0.0,
        bonus: float = 10.0,
    ) -> None:
        settings = LinearSettings(
            gamma, epsilon_schedule(epsilon), step_size_schedule(step_size), initial_value, bonus
        )
        self.observation_space, self.action_space = observation_space, action_space
        self._values = LinearActionValues(observation_space, action_space, settings)

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._values.run.progress

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order."""
        return self._values.row(self._values.observations.index(observation))

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        self._values.run.start(seed)

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return an exploring action."""
        values = self._values
        state = values.observations.index(observation)
        return values.actions.label(values.epsilon_greedy(state, values.run.random))

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Learn from one step and count it."""
        values = self._values
        target = transition.reward
        if not transition.terminated:
            following = values.observations.index(transition.next_observation)
            target += values.settings.gamma * float(values.row(following).max())
        values.td_update(*values.pair(transition), target)
        values.run.record(transition, sub_env)

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return the greedy action, or without ``deterministic`` an exploring one."""
        return self._values.predict(observation, deterministic), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write weights, counts, settings, random state and progress to one file."""
        return self._values.save(path, self.name, extra={})

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> LinearQLearning:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        learner = cls(*saved.spaces, **saved.settings)
        learner._values.restore(saved)
        return learner
