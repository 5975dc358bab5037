"""What the tabular learners are made of: settings, a table, an epsilon-greedy policy on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import gymnasium as gym
import numpy as np

from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import Indices, Values, make_action_values
from rldf_agents.learners.run_state import RunState
from rldf_agents.learners.saved_file import SavedLearner, write_learner
from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import DiscreteValue, Transition, Transitions
from rldf_agents.schedules import EpsilonSchedule, StepSizeSchedule


@dataclass(frozen=True)
class TabularSettings:
    """How to learn.

    Raises:
        AgentError: if ``gamma`` is outside [0, 1] or ``initial_value`` is not a finite number.
    """

    gamma: float
    epsilon: EpsilonSchedule
    step_size: StepSizeSchedule
    initial_value: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.gamma <= 1.0:
            raise AgentError(f"the discount gamma is {self.gamma}: give a number in [0, 1]")
        if not math.isfinite(self.initial_value):
            raise AgentError(f"the initial value is {self.initial_value}: give a finite number")


class Table:
    """Action values over two discrete spaces, the policy on them, and the run they come from."""

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        settings: TabularSettings,
    ) -> None:
        self.observations = SpaceIndex(observation_space, "observation")
        self.actions = SpaceIndex(action_space, "action")
        self.settings = settings
        self.run = RunState(self.observations, self.actions)
        self.values = make_action_values(
            self.observations.size, self.actions.size, settings.initial_value
        )

    def epsilon_greedy(self, state: int, random: np.random.Generator) -> int:
        """Return an action, epsilon-greedy with ties broken at random.

        One uniform number decides whether to explore and, rescaled, which action it is: given
        that it lies in an interval, it is uniform there.
        """
        draw = random.random()
        epsilon = self.settings.epsilon(self.run.progress.timesteps)
        if draw < epsilon:
            return min(int(draw / epsilon * self.actions.size), self.actions.size - 1)
        best = self._best(state)
        if len(best) == 1:
            return best[0]
        return best[min(int((draw - epsilon) / (1.0 - epsilon) * len(best)), len(best) - 1)]

    def td_update(self, state: int, action: int, target: float) -> None:
        """Move Q(s, a) a step towards the target.

        Raises:
            AgentError: if the target is not finite: one such value would spread over the table.
        """
        if not math.isfinite(target):
            _refuse_target(target)
        self.values.td_update(state, action, target, self.settings.step_size)

    def epsilon_greedy_all(self, states: Indices, random: np.random.Generator) -> Indices:
        """Return an action for each state as ``explore`` would, int64 [n]."""
        draws = random.random(states.size)
        epsilon = self.settings.epsilon(self.run.progress.timesteps)
        exploring = draws < epsilon
        rows = self.values.rows(states)
        candidates = (rows == rows.max(axis=1, keepdims=True)) | exploring[:, np.newaxis]
        counts = np.count_nonzero(candidates, axis=1)
        shares = np.where(
            exploring, draws / (epsilon or 1.0), (draws - epsilon) / ((1.0 - epsilon) or 1.0)
        )
        ranks = np.minimum((shares * counts).astype(np.int64), counts - 1)
        actions: Indices = (candidates.cumsum(axis=1) > ranks[:, np.newaxis]).argmax(axis=1)
        return actions

    def td_update_all(self, transitions: Transitions, targets: Values) -> None:
        """Move each Q(s, a) a step towards its target, by ascending sub-environment.

        Raises:
            AgentError: if a target is not finite; nothing is learned then.
        """
        finite = np.isfinite(targets)
        if not finite.all():
            _refuse_target(float(targets[~finite][0]))
        states = self.observations.indices(transitions.observations)
        actions = self.actions.indices(transitions.actions)
        td_update, step_size = self.values.td_update, self.settings.step_size
        for update in zip(states.tolist(), actions.tolist(), targets.tolist(), strict=True):
            td_update(*update, step_size)

    def predict(self, observation: DiscreteValue, deterministic: bool) -> DiscreteValue:
        """Return the first greedy action, or one drawn from the policy as it now explores."""
        state = self.observations.index(observation)
        if deterministic:
            return self.actions.label(self._best(state)[0])
        return self.actions.label(self.epsilon_greedy(state, self.run.prediction_random))

    def pair(self, transition: Transition) -> tuple[int, int]:
        """Return the row and column of Q(s, a)."""
        state = self.observations.index(transition.observation)
        return state, self.actions.index(transition.action)

    def save(self, path: str | Path, learner: str, extra: dict[str, Any]) -> Path:
        """Write everything to one file; ``extra`` is what the learner itself remembers."""
        spaces = self.observations.space, self.actions.space
        state = {"run": self.run.to_json(), **extra}
        saved = SavedLearner(learner, spaces, vars(self.settings), state, self.values.tensors())
        return write_learner(path, saved)

    def restore(self, saved: SavedLearner) -> None:
        """Take over table and run from a file made with the same spaces and settings."""
        self.run.restore(saved.state["run"])
        self.values.restore(saved.tensors)

    def _best(self, state: int) -> list[int]:
        row = self.values.row(state)
        highest = max(row)
        if row.count(highest) == 1:
            return [row.index(highest)]
        return [action for action, value in enumerate(row) if value == highest]


def _refuse_target(target: float) -> NoReturn:
    raise AgentError(f"the environment's reward made a learning target of {target}")
