"""Tables of action values Q(s, a) with the number of updates n(s, a) of each.

Dense while states times actions are at most 10^7, sparse beyond: both behave alike.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.schedules import StepSizeSchedule

DENSE_LIMIT = 10**7
"""Largest number of action values that are laid out densely: 80 MB, and 80 MB of counts."""

_MOST_ACTIONS = 10**6
"""Choosing greedily looks at all actions of a state; beyond this many a table is no use."""

Tensors = dict[str, npt.NDArray[np.generic]]
Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class ActionValues(Protocol):
    """Q(s, a) and n(s, a) for states 0..n_states-1 and actions 0..n_actions-1."""

    def row(self, state: int) -> list[float]:
        """Return the values of all actions in one state."""

    def rows(self, states: Indices) -> Values:
        """Return the values of all actions in each state, float64 [n, n_actions]."""

    def fill(self, state: int, value: float) -> None:
        """Set the values of all actions in one state, without counting this as updates."""

    def update(self, state: int, action: int, value: float) -> None:
        """Set one value and count the update."""

    def updates(self, state: int, action: int) -> int:
        """Return how often one value was updated."""

    def td_update(
        self, state: int, action: int, target: float, step_size: StepSizeSchedule
    ) -> None:
        """Move Q(s, a) the step of this update towards its target, and count the update."""

    def tensors(self) -> Tensors:
        """Return all that was learned, to be saved."""

    def restore(self, tensors: Tensors) -> None:
        """Take over what ``tensors`` of a table of the same shape returned."""


class DenseActionValues:
    """One array over all states and actions.

    Attributes:
        values: float64 [n_states, n_actions].
        counts: int64 [n_states, n_actions], updates of each value.
    """

    def __init__(self, n_states: int, n_actions: int, initial_value: float) -> None:
        self.values = np.full((n_states, n_actions), initial_value, dtype=np.float64)
        self.counts = np.zeros((n_states, n_actions), dtype=np.int64)

    def row(self, state: int) -> list[float]:
        """Return the values of all actions in one state."""
        row: list[float] = self.values[state].tolist()
        return row

    def rows(self, states: Indices) -> Values:
        """Return the values of all actions in each state, float64 [n, n_actions]."""
        return self.values[states]

    def fill(self, state: int, value: float) -> None:
        """Set the values of all actions in one state, without counting this as updates."""
        self.values[state] = value

    def update(self, state: int, action: int, value: float) -> None:
        """Set one value and count the update."""
        self.values[state, action] = value
        self.counts[state, action] += 1

    def updates(self, state: int, action: int) -> int:
        """Return how often one value was updated."""
        return int(self.counts[state, action])

    def td_update(
        self, state: int, action: int, target: float, step_size: StepSizeSchedule
    ) -> None:
        """Move Q(s, a) the step of this update towards its target, and count the update."""
        visits = self.counts.item(state, action) + 1
        old = self.values.item(state, action)
        self.counts[state, action] = visits
        self.values[state, action] = old + step_size(visits) * (target - old)

    def tensors(self) -> Tensors:
        """Return values and counts."""
        return {"values": self.values, "counts": self.counts}

    def restore(self, tensors: Tensors) -> None:
        """Take over saved values and counts; AgentError if they have another shape."""
        _require_shape(tensors["values"], self.values.shape)
        _require_shape(tensors["counts"], self.counts.shape)
        self.values[...] = tensors["values"]
        self.counts[...] = tensors["counts"]


class SparseActionValues:
    """One row for every state that was updated; all others hold the initial value."""

    def __init__(self, n_states: int, n_actions: int, initial_value: float) -> None:
        self._n_states = n_states
        self._n_actions = n_actions
        self._initial_row = [initial_value] * n_actions
        self._values: dict[int, list[float]] = {}
        self._counts: dict[int, list[int]] = {}

    def row(self, state: int) -> list[float]:
        """Return the values of all actions in one state."""
        return list(self._values.get(state, self._initial_row))

    def rows(self, states: Indices) -> Values:
        """Return the values of all actions in each state, float64 [n, n_actions]."""
        rows = [self._values.get(state, self._initial_row) for state in states.tolist()]
        return np.array(rows, dtype=np.float64).reshape(len(rows), self._n_actions)

    def fill(self, state: int, value: float) -> None:
        """Set the values of all actions in one state, without counting this as updates."""
        self._values[state] = [value] * self._n_actions
        self._counts.setdefault(state, [0] * self._n_actions)

    def update(self, state: int, action: int, value: float) -> None:
        """Set one value and count the update."""
        if state not in self._values:
            self._values[state] = list(self._initial_row)
            self._counts[state] = [0] * self._n_actions
        self._values[state][action] = value
        self._counts[state][action] += 1

    def updates(self, state: int, action: int) -> int:
        """Return how often one value was updated."""
        return self._counts[state][action] if state in self._counts else 0

    def td_update(
        self, state: int, action: int, target: float, step_size: StepSizeSchedule
    ) -> None:
        """Move Q(s, a) the step of this update towards its target, and count the update."""
        alpha = step_size(self.updates(state, action) + 1)
        old = self._values.get(state, self._initial_row)[action]
        self.update(state, action, old + alpha * (target - old))

    def tensors(self) -> Tensors:
        """Return the updated states in ascending order, int64 [n], their values and counts."""
        states = sorted(self._values)
        shape = (len(states), self._n_actions)
        values = np.array([self._values[state] for state in states], dtype=np.float64)
        counts = np.array([self._counts[state] for state in states], dtype=np.int64)
        return {
            "states": np.array(states, dtype=np.int64),
            "values": values.reshape(shape),
            "counts": counts.reshape(shape),
        }

    def restore(self, tensors: Tensors) -> None:
        """Take over saved rows; AgentError if they have another shape."""
        states: list[int] = tensors["states"].tolist()
        if states and not 0 <= min(states) <= max(states) < self._n_states:
            raise AgentError(f"a saved table names states outside 0..{self._n_states - 1}")
        for name in ("values", "counts"):
            _require_shape(tensors[name], (len(states), self._n_actions))
        self._values = dict(zip(states, tensors["values"].tolist(), strict=True))
        self._counts = dict(zip(states, tensors["counts"].tolist(), strict=True))


def make_action_values(n_states: int, n_actions: int, initial_value: float) -> ActionValues:
    """Return a dense table up to ``DENSE_LIMIT`` values, a sparse one beyond.

    Raises:
        AgentError: if there are more than a million actions; nothing is allocated then.
    """
    if n_actions > _MOST_ACTIONS:
        raise AgentError(
            f"the table has {n_actions} actions in each of {n_states} states, "
            f"{8 * n_actions / 1e6:.0f} MB a state: a tabular learner takes at most "
            f"{_MOST_ACTIONS} actions"
        )
    if n_states * n_actions <= DENSE_LIMIT:
        return DenseActionValues(n_states, n_actions, initial_value)
    return SparseActionValues(n_states, n_actions, initial_value)


def _require_shape(tensor: npt.NDArray[np.generic], shape: tuple[int, ...]) -> None:
    if tensor.shape != shape:
        raise AgentError(f"a saved table has shape {tensor.shape}, this learner's has {shape}")
