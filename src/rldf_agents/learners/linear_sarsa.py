"""SARSA on one-hot features of every axis (Sutton & Barto §9.5, §10.1)."""

from __future__ import annotations

from typing import ClassVar

from rldf_agents.learners.linear import LinearLearner
from rldf_agents.learners.registry import register_learner
from rldf_agents.learners.temporal_difference import NextActionRule


@register_learner
class LinearSARSA(NextActionRule, LinearLearner):
    """Semi-gradient SARSA with one weight for each value of each axis; see ``LinearLearner``.

    Being on-policy it does not diverge, though it may oscillate near the best weights (S&B §10.1;
    Gordon 2001).

    Args:
        observation_space: Discrete or MultiDiscrete; each component is an axis.
        action_space: Discrete or MultiDiscrete; joint actions have separate weights.
        options: ``gamma``, ``epsilon``, ``step_size``, ``initial_value``, ``bonus``: see
            ``LinearSettings``.

    Raises:
        AgentError: for other spaces, for options that are unknown or out of range, and for more
            weights than fit into memory.
    """

    name: ClassVar[str] = "linear_sarsa"
