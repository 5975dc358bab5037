"""Q-learning on one-hot features of every axis (Sutton & Barto §9.5, §10.1)."""

from __future__ import annotations

from typing import ClassVar

from rldf_agents.learners.linear import LinearLearner
from rldf_agents.learners.registry import register_learner


@register_learner
class LinearQLearning(LinearLearner):
    """Q-learning with one weight for each value of each axis; see ``LinearLearner``.

    Off-policy bootstrapping with function approximation has no guarantee of convergence (S&B
    §11.2-11.3), and values that do not add up over axes cannot be represented.

    Args:
        observation_space: Discrete or MultiDiscrete; each component is an axis.
        action_space: Discrete or MultiDiscrete; joint actions have separate weights.
        options: ``gamma``, ``epsilon``, ``step_size``, ``initial_value``, ``bonus``: see
            ``LinearSettings``.

    Raises:
        AgentError: for other spaces, for options that are unknown or out of range, and for more
            weights than fit into memory.
    """

    name: ClassVar[str] = "linear_q_learning"
