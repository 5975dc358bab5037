"""Q-learning on a table (Watkins 1989; Sutton & Barto §6.5; the paper's Alg. 1)."""

from __future__ import annotations

from typing import ClassVar

from rldf_agents.learners.registry import register_learner
from rldf_agents.learners.tabular import TabularLearner


@register_learner
class QLearning(TabularLearner):
    """``Q(s, a) <- Q(s, a) + alpha [r + gamma max Q(s', .) - Q(s, a)]``, acting epsilon-greedily.

    Feedback that is positive at every step makes staying near the goal worth more than ending
    the episode there, unless gamma is below 1 - (reward beside the goal) / (reward at the goal),
    0.25 for ``multi_semantic``. A search does not depend on it: it ends at the first visit.

    Args:
        observation_space: Discrete or MultiDiscrete; the table has a row for each element.
        action_space: Discrete or MultiDiscrete; joint actions are the columns of the table.
        options: ``gamma``, ``epsilon``, ``step_size``, ``initial_value``: see ``TabularSettings``.

    Raises:
        AgentError: for other spaces and for options that are unknown or out of range.
    """

    name: ClassVar[str] = "q_learning"
