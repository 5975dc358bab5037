"""A table of action values Q(s, a) with the number of updates n(s, a) of each."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.space_index import Indices
from rldf_agents.schedules import StepSizeSchedule

Values = npt.NDArray[np.float64]


class ActionValues:
    """Q(s, a) and n(s, a), with a row for every state that was updated.

    All other states share one row of initial values. A row is a list: for values used one by one
    that is faster than an array.

    Args:
        n_actions: number of actions.
        initial_value: of every action value.
    """

    def __init__(self, n_actions: int, initial_value: float) -> None:
        self._initial = [initial_value] * n_actions, [0] * n_actions
        self.updated: dict[int, tuple[list[float], list[int]]] = {}
        """By state: the values and the numbers of their updates."""

    def row(self, state: int) -> list[float]:
        """Return the values of all actions in one state: not a copy, leave it as it is."""
        return self.updated.get(state, self._initial)[0]

    def rows(self, states: Indices) -> Values:
        """Return the values of all actions in each state, float64 [n, n_actions]."""
        rows = (self.updated.get(state, self._initial)[0] for state in states.tolist())
        shape = states.size, len(self._initial[0])
        return np.fromiter(chain.from_iterable(rows), np.float64, math.prod(shape)).reshape(shape)

    def td_update(
        self, state: int, action: int, target: float, step_size: StepSizeSchedule
    ) -> None:
        """Move Q(s, a) the step of this update towards its target, and count the update."""
        values, counts = self.updated.get(state, self._initial)
        if values is self._initial[0]:
            values, counts = self.updated[state] = values.copy(), counts.copy()
        visits = counts[action] = counts[action] + 1
        values[action] += step_size(visits) * (target - values[action])
