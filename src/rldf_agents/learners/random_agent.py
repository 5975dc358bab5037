"""Uniformly random actions: the baseline (epsilon = 1 in the paper's Table 3)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.discrete_learner import DiscreteLearner, IndexedStep, register_learner
from rldf_agents.protocols import DiscreteArray, Transitions


@register_learner
class RandomAgent(DiscreteLearner):
    """Take every action with the same probability and learn nothing.

    Args:
        observation_space: Discrete or MultiDiscrete.
        action_space: Discrete or MultiDiscrete.

    Raises:
        AgentError: for other spaces.
    """

    name: ClassVar[str] = "random"

    def _select(self, state: int, sub_env: int) -> int:
        return int(self._random.integers(self._actions.size))

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        return

    def _predict(self, state: int, deterministic: bool) -> int:
        random = self._prediction_random
        return 0 if deterministic else int(random.integers(self._actions.size))

    def select_actions(
        self, observations: DiscreteArray, sub_envs: npt.NDArray[np.int64]
    ) -> DiscreteArray:
        """Return one random action each."""
        random = self._random
        return self._actions.values(random.integers(self._actions.size, size=sub_envs.size))

    def update_all(self, transitions: Transitions) -> None:
        """Count one step of all sub-environments."""
        self.progress.count(transitions)
