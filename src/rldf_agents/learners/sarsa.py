"""SARSA on a table (Rummery & Niranjan 1994; Sutton & Barto §6.4; the paper's Alg. 1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.learners.action_values import Indices
from rldf_agents.learners.saved_file import read_learner
from rldf_agents.learners.tabular import Table, TabularSettings
from rldf_agents.protocols import (
    DiscreteArray,
    DiscreteValue,
    Environment,
    Progress,
    Transition,
    Transitions,
)
from rldf_agents.schedules import (
    EpsilonSchedule,
    StepSizeSchedule,
    epsilon_schedule,
    step_size_schedule,
)
from rldf_agents.training import train

_NOTHING = (-1, -1)


class _ChosenActions:
    """State and action that the last update drew, to be taken next, by sub-environment."""

    def __init__(self, pairs: Sequence[Sequence[int]] = ()) -> None:
        self._pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def of(self, sub_envs: int | Indices) -> Indices:
        """Return the pair of each, (-1, -1) where nothing is chosen, int64 [2] or [n, 2]."""
        self._grow(sub_envs)
        return self._pairs[sub_envs]

    def keep(self, sub_envs: int | Indices, pairs: tuple[int, int] | Indices) -> None:
        """Replace the pair of each."""
        self._grow(sub_envs)
        self._pairs[sub_envs] = pairs

    def to_json(self) -> list[list[int]]:
        """Return what a new one can be made from."""
        pairs: list[list[int]] = self._pairs.tolist()
        return pairs

    def _grow(self, sub_envs: int | Indices) -> None:
        needed = 1 + (sub_envs if isinstance(sub_envs, int) else int(sub_envs.max(initial=-1)))
        missing = needed - len(self._pairs)
        if missing > 0:
            self._pairs = np.vstack([self._pairs, np.full((missing, 2), _NOTHING)])


class SARSA:
    """``Q(s, a) <- Q(s, a) + alpha [r + gamma Q(s', a') - Q(s, a)]``, acting epsilon-greedily.

    The next action a' is drawn in ``update`` and is the one that ``select_action`` then returns
    for s'. A terminal state is worth nothing; a truncated episode is bootstrapped from an action
    drawn where it stopped, which is never taken. On a vector environment all next actions and
    targets come from the values before the step.

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
        self.observation_space, self.action_space = observation_space, action_space
        self._table = Table(observation_space, action_space, settings)
        self._chosen = _ChosenActions()

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._table.run.progress

    def action_values(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Q(s, .), float64 [n_actions], joint actions in C order."""
        table = self._table
        return np.array(table.values.row(table.observations.index(observation)))

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        if self._table.run.start(seed):
            self._chosen = _ChosenActions()

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return the action that the last update drew for this observation, or draw one."""
        table = self._table
        state = table.observations.index(observation)
        chosen_state, action = self._chosen.of(sub_env).tolist()
        if chosen_state != state:
            action = table.epsilon_greedy(state, table.run.random)
        return table.actions.label(action)

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Draw the next action, learn from one step and count it."""
        table = self._table
        state, action = table.pair(transition)
        target = transition.reward
        following = _NOTHING
        if not transition.terminated:
            next_state = table.observations.index(transition.next_observation)
            following = next_state, table.epsilon_greedy(next_state, table.run.random)
            target += table.settings.gamma * table.values.row(next_state)[following[1]]
        table.td_update(state, action, target)
        table.run.record(transition, sub_env)
        self._chosen.keep(sub_env, _NOTHING if transition.truncated else following)

    def select_actions(self, observations: DiscreteArray, sub_envs: Indices) -> DiscreteArray:
        """Return the actions that the last update drew for these observations, or draw some."""
        table = self._table
        states = table.observations.indices(observations)
        chosen = self._chosen.of(sub_envs)
        actions = chosen[:, 1]
        new = chosen[:, 0] != states
        actions[new] = table.epsilon_greedy_all(states[new], table.run.random)
        return table.actions.labels(actions)

    def update_all(self, transitions: Transitions) -> None:
        """Draw the next actions, learn from one step of all sub-environments and count it."""
        table = self._table
        going = ~transitions.terminated
        next_states = table.observations.indices(transitions.next_observations[going])
        next_actions = table.epsilon_greedy_all(next_states, table.run.random)
        next_values = table.values.rows(next_states)[np.arange(next_states.size), next_actions]
        targets = transitions.rewards.copy()
        targets[going] += table.settings.gamma * next_values
        table.td_update_all(transitions, targets)
        table.run.record_all(transitions)
        chosen = np.full((going.size, 2), _NOTHING)
        chosen[going] = np.stack([next_states, next_actions], axis=1)
        chosen[transitions.truncated] = _NOTHING
        self._chosen.keep(transitions.sub_envs, chosen)

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return the greedy action, or without ``deterministic`` an epsilon-greedy one."""
        return self._table.predict(observation, deterministic), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write table, counts, settings, random state and progress to one ``.safetensors`` file."""
        return self._table.save(path, self.name, extra={"chosen": self._chosen.to_json()})

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> SARSA:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        learner = cls(*saved.spaces, **saved.settings)
        learner._table.restore(saved)
        learner._chosen = _ChosenActions(saved.state["chosen"])
        return learner
