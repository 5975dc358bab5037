"""SARSA on a table (Rummery & Niranjan 1994; Sutton & Barto §6.4; the paper's Alg. 1)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rldf_agents.learners.action_values import Values
from rldf_agents.learners.registry import register_learner
from rldf_agents.learners.space_index import Indices
from rldf_agents.learners.tabular import TabularLearner
from rldf_agents.learners.temporal_difference import NextActionRule
from rldf_agents.protocols import Transitions


@register_learner
class SARSA(NextActionRule, TabularLearner):
    """``Q(s, a) <- Q(s, a) + alpha [r + gamma Q(s', a') - Q(s, a)]``, acting epsilon-greedily.

    On a vector environment all next actions come from the values before the step.

    Args:
        observation_space: Discrete or MultiDiscrete; the table has a row for each element.
        action_space: Discrete or MultiDiscrete; joint actions are the columns of the table.
        options: ``gamma``, ``epsilon``, ``step_size``, ``initial_value``: see ``TabularSettings``.

    Raises:
        AgentError: for other spaces and for options that are unknown or out of range.
    """

    name: ClassVar[str] = "sarsa"

    def _select_all(self, states: Indices, sub_envs: Indices) -> Indices:
        chosen = [self._chosen.get(sub_env, (-1, -1)) for sub_env in sub_envs.tolist()]
        chosen_states, actions = np.array(chosen, dtype=np.int64).reshape(-1, 2).T
        new = chosen_states != states
        actions[new] = self._epsilon_greedy_all(states[new])
        return actions

    def _next_values(self, next_states: Indices, transitions: Transitions) -> Values:
        actions = self._epsilon_greedy_all(next_states)
        for sub_env in transitions.sub_envs.tolist():
            self._chosen.pop(sub_env, None)
        going = ~transitions.terminated
        pairs = zip(next_states.tolist(), actions.tolist(), strict=True)
        ends = zip(transitions.sub_envs[going].tolist(), transitions.truncated[going], strict=True)
        for (sub_env, truncated), pair in zip(ends, pairs, strict=True):
            if not truncated:
                self._chosen[sub_env] = pair
        return self._values.rows(next_states)[np.arange(next_states.size), actions]
