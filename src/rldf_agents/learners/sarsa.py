"""SARSA on a table (Rummery & Niranjan 1994; Sutton & Barto §6.4; the paper's Alg. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.contracts import Callback, Environment, Label, Progress, Transition
from rldf_agents.learners.saved_file import read_learner
from rldf_agents.learners.tabular import Table, TabularSettings, settings_from_json
from rldf_agents.schedules import (
    EpsilonSchedule,
    StepSizeSchedule,
    epsilon_schedule,
    step_size_schedule,
)
from rldf_agents.training import train


class SARSA:
    """``Q(s, a) <- Q(s, a) + alpha [r + gamma Q(s', a') - Q(s, a)]``, acting epsilon-greedily.

    The next action a' is drawn in ``update`` and is the one that ``select_action`` then returns
    for s'. A terminal state is worth nothing; a truncated episode is bootstrapped from an action
    drawn where it stopped, which is never taken.

    Arguments and defaults are those of ``QLearning``, for the reasons given there.

    Args:
        observation_space: Discrete or MultiDiscrete; the table has a row for each element.
        action_space: Discrete or MultiDiscrete; joint actions are the columns of the table.
        gamma: discount, in [0, 1].
        epsilon: probability of a random action, or its schedule.
        step_size: alpha in (0, 1], or its schedule.
        initial_value: of every action value.

    Raises:
        AgentError: for other spaces and for settings out of range.
    """

    name: ClassVar[str] = "sarsa"

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        gamma: float = 0.9,
        epsilon: float | EpsilonSchedule = 0.1,
        step_size: float | StepSizeSchedule = 0.5,
        initial_value: float = 20.0,
    ) -> None:
        settings = TabularSettings(
            gamma, epsilon_schedule(epsilon), step_size_schedule(step_size), initial_value
        )
        self._table = Table(observation_space, action_space, settings)
        self._chosen: tuple[int, int] | None = None
        """State and action that the last update drew and that is to be taken next."""

    @property
    def observation_space(self) -> gym.Space[Any]:
        """The observations it was made for."""
        return self._table.observations.space

    @property
    def action_space(self) -> gym.Space[Any]:
        """The actions it was made for."""
        return self._table.actions.space

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._table.run.progress

    def action_values(self, observation: Label) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order."""
        table = self._table
        return np.array(table.values.row(table.observations.index(observation)))

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        if self._table.run.start(seed):
            self._chosen = None

    def select_action(self, observation: Label) -> Label:
        """Return the action that the last update drew for this observation, or draw one."""
        table = self._table
        state = table.observations.index(observation)
        if self._chosen is not None and self._chosen[0] == state:
            return table.actions.label(self._chosen[1])
        return table.actions.label(table.explore(state, table.run.random))

    def update(self, transition: Transition) -> None:
        """Draw the next action, learn from one step and count it."""
        table = self._table
        state, action = table.pair(transition)
        target = transition.reward
        following: tuple[int, int] | None = None
        if not transition.terminated:
            next_state = table.observations.index(transition.next_observation)
            following = next_state, table.explore(next_state, table.run.random)
            target += table.settings.gamma * table.values.row(next_state)[following[1]]
        table.improve(state, action, target)
        table.run.record(transition)
        self._chosen = None if transition.truncated else following

    def predict(self, observation: Label, deterministic: bool = False) -> tuple[Label, None]:
        """Return the greedy action, or without ``deterministic`` an epsilon-greedy one."""
        return self._table.predict(observation, deterministic), None

    def learn(
        self,
        env: Environment,
        total_timesteps: int,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Train as ``rldf_agents.training.train`` does."""
        train(self, env, total_timesteps, seed, callbacks)

    def save(self, path: str | Path) -> Path:
        """Write table, counts, settings, random state and progress to one ``.safetensors`` file."""
        chosen = None if self._chosen is None else list(self._chosen)
        return self._table.save(path, self.name, extra={"chosen": chosen})

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> SARSA:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        settings = settings_from_json(saved.state["settings"])
        learner = cls(
            saved.observation_space,
            saved.action_space,
            gamma=settings.gamma,
            epsilon=settings.epsilon,
            step_size=settings.step_size,
            initial_value=settings.initial_value,
        )
        learner._table.restore(saved)
        chosen = saved.state["chosen"]
        learner._chosen = None if chosen is None else (chosen[0], chosen[1])
        return learner
