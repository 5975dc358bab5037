"""Uniformly random actions: the baseline (epsilon = 1 in the paper's Table 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.learners.run_state import RunState
from rldf_agents.learners.saved_file import SavedLearner, read_learner, write_learner
from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import (
    DiscreteArray,
    DiscreteValue,
    Environment,
    Progress,
    Transition,
    Transitions,
)
from rldf_agents.training import train


class RandomAgent:
    """Takes every action with the same probability and learns nothing.

    Args:
        observation_space: Discrete or MultiDiscrete.
        action_space: Discrete or MultiDiscrete.

    Raises:
        AgentError: for other spaces.
    """

    name: ClassVar[str] = "random"

    def __init__(self, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> None:
        self.observation_space, self.action_space = observation_space, action_space
        self._observations = SpaceIndex(observation_space, "observation")
        self._actions = SpaceIndex(action_space, "action")
        self._run = RunState(self._observations, self._actions)

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._run.progress

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        self._run.start(seed)

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return a random action."""
        return self._actions.label(int(self._run.random.integers(self._actions.size)))

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Count one step."""
        self._run.record(transition, sub_env)

    def select_actions(
        self, observations: DiscreteArray, sub_envs: npt.NDArray[np.int64]
    ) -> DiscreteArray:
        """Return one random action each."""
        return self._actions.labels(
            self._run.random.integers(self._actions.size, size=sub_envs.size)
        )

    def update_all(self, transitions: Transitions) -> None:
        """Count one step of all sub-environments."""
        self._run.record_all(transitions)

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return a random action, or with ``deterministic`` the first one."""
        if deterministic:
            return self._actions.label(0), None
        drawn = int(self._run.prediction_random.integers(self._actions.size))
        return self._actions.label(drawn), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write random state and progress to one ``.safetensors`` file."""
        spaces = self._observations.space, self._actions.space
        state = {"run": self._run.to_json()}
        return write_learner(path, SavedLearner(self.name, spaces, {}, state, tensors={}))

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> RandomAgent:
        """Read a saved agent; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        agent = cls(*saved.spaces)
        agent._run.restore(saved.state["run"])
        return agent
