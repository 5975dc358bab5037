"""SARSA on one-hot features of every axis (Sutton & Barto §9.5, §10.1)."""

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


class LinearSARSA:
    """Semi-gradient SARSA with ``Q(s, a) = sum over axes of w[axis, s[axis], a]`` (S&B §10.1).

    The next action is drawn in ``update`` and is the one that ``select_action`` then returns for
    the next state. A terminal state is worth nothing; a truncated episode is bootstrapped from an
    action drawn where it stopped, which is never taken.

    Features, steps, exploration and defaults are those of ``LinearQLearning``, for the reasons
    given there. Being on-policy it does not diverge, though it may oscillate near the best weights
    (S&B §10.1; Gordon 2001).

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

    name: ClassVar[str] = "linear_sarsa"

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
        self._chosen: dict[int, tuple[int, int]] = {}
        """By sub-environment: state and action that the last update drew and that come next."""

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._values.run.progress

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order."""
        return self._values.row(self._values.observations.index(observation))

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        if self._values.run.start(seed):
            self._chosen.clear()

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return the action that the last update drew for this observation, or draw one."""
        values = self._values
        state = values.observations.index(observation)
        chosen_state, action = self._chosen.get(sub_env, (-1, -1))
        if chosen_state != state:
            action = values.epsilon_greedy(state, values.run.random)
        return values.actions.label(action)

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Draw the next action, learn from one step and count it."""
        values = self._values
        target = transition.reward
        self._chosen.pop(sub_env, None)
        if not transition.terminated:
            following = values.observations.index(transition.next_observation)
            action = values.epsilon_greedy(following, values.run.random)
            target += values.settings.gamma * float(values.row(following)[action])
            if not transition.truncated:
                self._chosen[sub_env] = following, action
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
        chosen = [[sub_env, *pair] for sub_env, pair in sorted(self._chosen.items())]
        return self._values.save(path, self.name, extra={"chosen": chosen})

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> LinearSARSA:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        learner = cls(*saved.spaces, **saved.settings)
        learner._values.restore(saved)
        learner._chosen = {row[0]: (row[1], row[2]) for row in saved.state["chosen"]}
        return learner
