"""Q-learning on a table (Watkins 1989; Sutton & Barto §6.5; the paper's Alg. 1)."""

from __future__ import annotations

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


class QLearning:
    """``Q(s, a) <- Q(s, a) + alpha [r + gamma max Q(s', .) - Q(s, a)]``, acting epsilon-greedily.

    A terminal state is worth nothing; a truncated episode is bootstrapped from where it stopped.
    On a vector environment all targets are taken from the values before the step.

    The defaults are chosen for the search of a picture, 2,000 steps in a world of about 480
    states, most of them never seen before:

    - ``gamma`` 0.9 looks some ten steps ahead, about the way across such a world.
    - ``epsilon`` 0.1 is what the paper finds best (Table 3).
    - ``step_size`` 0.5: with the generator's seed fixed, feedback and moves are deterministic, so
      a constant step converges and learns from the first visit on. Where they are noisy, use
      ``VisitCountStepSize``.
    - ``initial_value`` 20 = 2 / (1 - gamma) promises reward 2 a step for anything untried:
      optimism drives exploration (Sutton & Barto §2.6). In that world ``multi_semantic`` pays 2
      wherever people and scene match, which the agent then prefers, and yet leaves for something
      untried. A promise below what some place pays at every step is harmful: only epsilon leaves
      that place, and with 0 fewer targets are found than by a random walk. So raise it for higher
      rewards; the highest one over 1 - gamma is safe, and explores evenly.

    Feedback that is positive at every step makes staying near the goal worth more than ending
    the episode there, unless gamma is below 1 - (reward beside the goal) / (reward at the goal),
    0.25 for ``multi_semantic``. The search does not depend on it: it ends at the first visit.

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

    name: ClassVar[str] = "q_learning"

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
        self._table.run.start(seed)

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return an epsilon-greedy action, ties broken at random."""
        table = self._table
        state = table.observations.index(observation)
        return table.actions.label(table.epsilon_greedy(state, table.run.random))

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Learn from one step and count it."""
        table = self._table
        state, action = table.pair(transition)
        target = transition.reward
        if not transition.terminated:
            following = table.observations.index(transition.next_observation)
            target += table.settings.gamma * max(table.values.row(following))
        table.td_update(state, action, target)
        table.run.record(transition, sub_env)

    def select_actions(self, observations: DiscreteArray, sub_envs: Indices) -> DiscreteArray:
        """Return epsilon-greedy actions, ties broken at random."""
        table = self._table
        states = table.observations.indices(observations)
        return table.actions.labels(table.epsilon_greedy_all(states, table.run.random))

    def update_all(self, transitions: Transitions) -> None:
        """Learn from one step of all sub-environments, targets first, and count it."""
        table = self._table
        going = ~transitions.terminated
        following = table.observations.indices(transitions.next_observations[going])
        targets = transitions.rewards.copy()
        targets[going] += table.settings.gamma * table.values.rows(following).max(axis=1)
        table.td_update_all(transitions, targets)
        table.run.record_all(transitions)

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return the greedy action, or without ``deterministic`` an epsilon-greedy one."""
        return self._table.predict(observation, deterministic), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write table, counts, settings, random state and progress to one ``.safetensors`` file."""
        return self._table.save(path, self.name, extra={})

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> QLearning:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        learner = cls(*saved.spaces, **saved.settings)
        learner._table.restore(saved)
        return learner
