"""A table of action values Q(s, a) with the number of updates n(s, a) of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.learners.space_index import Indices
from rldf_agents.schedules import StepSizeSchedule

DENSE_LIMIT = 10**7
"""Largest number of action values that are laid out densely: 80 MB, and 80 MB of counts."""

_MOST_ACTIONS = 10**6
"""Choosing greedily compares all actions of a state; a table with more is too slow to use."""

_MOST_LISTS = 2**16

Tensors = dict[str, npt.NDArray[np.generic]]
Values = npt.NDArray[np.float64]


class ActionValues:
    """Q(s, a) and n(s, a) for states 0..n_states-1 and actions 0..n_actions-1.

    The table is dense up to ``dense_limit`` values. Beyond, it is sparse: only states that were
    written have a row of their own, and all others share row 0 with the initial values.

    Args:
        n_states: at least 1.
        n_actions: 1..10^6.
        initial_value: of every action value.
        dense_limit: largest number of values in a dense table.

    Raises:
        AgentError: if there are more than a million actions; nothing is allocated then.
    """

    def __init__(
        self,
        n_states: int,
        n_actions: int,
        initial_value: float,
        dense_limit: int = DENSE_LIMIT,
    ) -> None:
        if n_actions > _MOST_ACTIONS:
            raise AgentError(
                f"the table has {n_actions} actions in each of {n_states} states, "
                f"{8 * n_actions / 1e6:.0f} MB a state: a tabular learner takes at most "
                f"{_MOST_ACTIONS} actions"
            )
        dense = n_states * n_actions <= dense_limit
        self._n_states = n_states
        self._row_of: dict[int, int] | None = None if dense else {}
        shape = (n_states if dense else 1, n_actions)
        self._values = np.full(shape, initial_value, dtype=np.float64)
        self._counts = np.zeros(shape, dtype=np.int64)
        self._lists: dict[int, tuple[list[float], list[int]]] = {}
        """Values and counts of states used one by one: Python's lists are faster there than an
        array. They are newer than the arrays, until ``_flush``."""

    def row(self, state: int) -> list[float]:
        """Return the values of all actions in one state: not a copy, leave it as it is."""
        lists = self._lists.get(state)
        return self._read(state)[0] if lists is None else lists[0]

    def rows(self, states: Indices) -> Values:
        """Return the values of all actions in each state, float64 [n, n_actions]."""
        self._flush()
        if self._row_of is None:
            return self._values[states]
        numbers = [self._row_of.get(state, 0) for state in states.tolist()]
        return self._values[np.array(numbers, dtype=np.int64)]

    def fill(self, state: int, value: float) -> None:
        """Set the values of all actions in one state, without counting this as updates."""
        row = self._own_row(state)  # may replace the array
        self._values[row] = value
        if state in self._lists:
            self._lists[state][0][:] = self._values[row].tolist()

    def update(self, state: int, action: int, value: float) -> None:
        """Set one value and count the update."""
        values, counts = self._lists.get(state) or self._read(state)
        values[action] = value
        counts[action] += 1

    def updates(self, state: int, action: int) -> int:
        """Return how often one value was updated."""
        return (self._lists.get(state) or self._read(state))[1][action]

    def td_update(
        self, state: int, action: int, target: float, step_size: StepSizeSchedule
    ) -> None:
        """Move Q(s, a) the step of this update towards its target, and count the update."""
        lists = self._lists.get(state)
        if lists is not None:
            values, counts = lists
            visits = counts[action] = counts[action] + 1
            values[action] += step_size(visits) * (target - values[action])
            return
        row = self._own_row(state)
        visits = self._counts.item(row, action) + 1
        old = self._values.item(row, action)
        self._counts[row, action] = visits
        self._values[row, action] = old + step_size(visits) * (target - old)

    def tensors(self) -> Tensors:
        """Return values float64 [n, n_actions] and counts int64 [n, n_actions].

        The rows of a sparse table are those written, ``states`` int64 [n] in ascending order.
        """
        self._flush()
        if self._row_of is None:
            return {"values": self._values, "counts": self._counts}
        states = np.array(sorted(self._row_of), dtype=np.int64)
        rows = np.array([self._row_of[state] for state in states.tolist()], dtype=np.int64)
        return {"states": states, "values": self._values[rows], "counts": self._counts[rows]}

    def restore(self, tensors: Tensors) -> None:
        """Take over what ``tensors`` returned.

        Raises:
            AgentError: if the tensors have the shapes or states of another table.
        """
        self._lists.clear()
        rows: slice | list[int] = slice(None)
        n_rows = self._n_states
        if self._row_of is not None:
            states: list[int] = tensors["states"].tolist()
            if states and not 0 <= min(states) <= max(states) < self._n_states:
                raise AgentError(f"a saved table names states outside 0..{self._n_states - 1}")
            rows, n_rows = [self._own_row(state) for state in states], len(states)
        for name, own in (("values", self._values), ("counts", self._counts)):
            require_shape(name, tensors[name], (n_rows, own.shape[1]))
            own[rows] = tensors[name]

    def _read(self, state: int) -> tuple[list[float], list[int]]:
        """Return values and counts of one state as lists, kept for the next time."""
        if len(self._lists) >= _MOST_LISTS:
            self._flush()
        row = state if self._row_of is None else self._row_of.get(state, 0)
        lists = self._lists[state] = self._values[row].tolist(), self._counts[row].tolist()
        return lists

    def _flush(self) -> None:
        """Write the lists to the arrays; a state that was never updated is there already."""
        for state, (values, counts) in self._lists.items():
            if any(counts):
                row = self._own_row(state)
                self._values[row], self._counts[row] = values, counts
        self._lists.clear()

    def _own_row(self, state: int) -> int:
        """Return the row of a state, in a sparse table a new one where there is none."""
        if self._row_of is None:
            return state
        row = self._row_of.get(state)
        if row is None:
            row = self._row_of[state] = len(self._row_of) + 1
            if row == len(self._values):
                more = np.repeat(self._values[:1], row, axis=0)
                self._values = np.concatenate([self._values, more])
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
        return row


def require_shape(name: str, saved: npt.NDArray[np.generic], shape: tuple[int, ...]) -> None:
    """Raise an AgentError if a saved tensor does not have the shape of the learner's own."""
    if saved.shape != shape:
        raise AgentError(f"the saved {name} have shape {saved.shape}, this learner's have {shape}")
