"""What is known of the states visited so far: one row each, one column for every piece of it.

Stepping many sub-environments is thereby a matter of array lookups: state to row, row to
information. What a column holds is worked out once, at a state's first visit; in a world so large
that not all of it can be remembered, all is forgotten now and then.
"""

from collections.abc import Mapping
from itertools import repeat
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rldf_gym.evaluator import MOST_REMEMBERED, StateEvaluator
from rldf_gym.goal import Goal
from rldf_gym.rewards import coarse_gain, fine_gain

MOST_DENSE_STATES = 10_000_000
"""Worlds up to this size have a row number kept for every state (40 MB at most)."""

Rows = NDArray[np.integer[Any]]

_UNVISITED, _FORGOTTEN = -1, -2
_COLUMNS: Mapping[str, Any] = MappingProxyType(
    {
        "prompt": object,
        "reading": object,
        "fine": np.int64,
        "coarse": np.int64,
        "distance": np.int64,
        "matches": np.bool_,
        "at_goal": np.bool_,
    }
)

_FIRST_CAPACITY = 256


class StateTable:
    """The states that a vector environment has visited, and what its ``info`` tells of them.

    A row's information is what the single environment's ``info`` has under the same names:
    ``prompt`` and `Reading` as objects, ``fine``, ``coarse`` and ``distance`` int64, ``matches``
    and ``at_goal`` bool.
    """

    def __init__(self, evaluator: StateEvaluator, goal: Goal) -> None:
        grammar = evaluator.grammar
        self._evaluator = evaluator
        self._goal = goal
        self._numbers = _row_numbers(grammar.n_states)
        self._states = np.empty((_FIRST_CAPACITY, grammar.n_axes), np.int64)
        self._columns = _no_rows()
        self._n_rows = 0
        self._n_visited = 0

    def __len__(self) -> int:
        """How many states were visited."""
        return self._n_visited

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """The rows int ``[n]`` of the states that have these numbers ``[n]`` (`Grammar.index`).

        States not visited before are looked up or drawn, in one batch, each once; if that fails,
        none of them counts as visited. Rows found earlier may mean nothing afterwards.
        """
        rows = self._numbers.find(indices)
        if rows.min(initial=0) < 0:
            missing = np.unique(indices[rows < 0])
            if self._n_rows + len(missing) > MOST_REMEMBERED:
                self._forget()
                missing = np.unique(indices)
            self._visit(missing)
            rows = self._numbers.find(indices)
        return rows

    def information(self, rows: Rows) -> dict[str, NDArray[Any]]:
        """What is known of these rows: for every column a fresh array ``[n]``."""
        return {name: column.take(rows) for name, column in self._columns.items()}

    def readings(self, rows: Rows) -> NDArray[np.object_]:
        """The `Reading` of every row, object ``[n]``."""
        return self._columns["reading"].take(rows)

    def set_goal(self, goal: Goal) -> None:
        """Tell everything with respect to another goal from now on."""
        self._goal = goal
        self._recompute(0)

    def _visit(self, indices: NDArray[np.int64]) -> None:
        """Append a row for each state; the world may fail here, before anything has changed."""
        states = np.stack([self._evaluator.grammar.state(index) for index in indices])
        readings = self._evaluator.readings(states)
        before, after = self._n_rows, self._n_rows + len(indices)
        self._states = _with_room(self._states, after)
        self._columns = {name: _with_room(column, after) for name, column in self._columns.items()}
        self._states[before:after] = states
        prompts = [self._evaluator.grammar.decode(state) for state in states]
        for row, prompt, reading in zip(range(before, after), prompts, readings, strict=True):
            self._columns["prompt"][row] = prompt
            self._columns["reading"][row] = reading
        self._n_rows = after
        self._recompute(before)
        self._n_visited += int((self._numbers.find(indices) == _UNVISITED).sum())
        self._numbers.add(indices, before)

    def _forget(self) -> None:
        """Drop all rows, but not which states were visited."""
        self._numbers.forget()
        self._columns = _no_rows()
        self._n_rows = 0

    def _recompute(self, first: int) -> None:
        """Work out what depends on the goal, for the rows from ``first`` on."""
        told = slice(first, self._n_rows)
        if first == self._n_rows:
            return
        grammar, goal, columns = self._evaluator.grammar, self._goal.state, self._columns
        values = np.stack([reading.values for reading in columns["reading"][told]])
        columns["fine"][told] = fine_gain(values, goal, grammar)
        columns["coarse"][told] = coarse_gain(values, goal, grammar)
        columns["distance"][told] = np.abs(self._states[told] - goal).sum(axis=1)
        columns["matches"][told] = (values == self._goal.reading.values).all(axis=1)
        columns["at_goal"][told] = columns["distance"][told] == 0


class _RowNumbers(Protocol):
    """Which row each state has."""

    def find(self, indices: NDArray[np.int64]) -> Rows:
        """The rows ``[n]`` of states numbered ``[n]``; `_UNVISITED` or `_FORGOTTEN` for none."""
        ...

    def add(self, indices: NDArray[np.int64], first: int) -> None:
        """Give rows ``first, first + 1, ...`` to these states."""
        ...

    def forget(self) -> None:
        """Make every row `_FORGOTTEN`."""
        ...


class _DenseRowNumbers:
    """A row number for every state of the world."""

    def __init__(self, n_states: int) -> None:
        self._rows = np.full(n_states, _UNVISITED, np.int32)

    def find(self, indices: NDArray[np.int64]) -> Rows:
        """One array lookup."""
        return self._rows.take(indices)

    def add(self, indices: NDArray[np.int64], first: int) -> None:
        """Write the numbers in place."""
        self._rows[indices] = np.arange(first, first + len(indices))

    def forget(self) -> None:
        """Overwrite the numbers in place."""
        self._rows[self._rows >= 0] = _FORGOTTEN


class _SparseRowNumbers:
    """A row number for the visited states alone, for worlds too large to list."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}

    def find(self, indices: NDArray[np.int64]) -> Rows:
        """One dictionary lookup for every state."""
        found = map(self._rows.get, indices.tolist(), repeat(_UNVISITED))
        return np.fromiter(found, np.int64, len(indices))

    def add(self, indices: NDArray[np.int64], first: int) -> None:
        """Add the numbers."""
        self._rows.update(zip(indices.tolist(), range(first, first + len(indices)), strict=True))

    def forget(self) -> None:
        """Overwrite the numbers."""
        self._rows = dict.fromkeys(self._rows, _FORGOTTEN)


def _row_numbers(n_states: int) -> _RowNumbers:
    if n_states <= MOST_DENSE_STATES:
        return _DenseRowNumbers(n_states)
    return _SparseRowNumbers()


def _no_rows() -> dict[str, NDArray[Any]]:
    return {name: np.empty(_FIRST_CAPACITY, kind) for name, kind in _COLUMNS.items()}


def _with_room(array: NDArray[Any], length: int) -> NDArray[Any]:
    """The same array, or a copy with at least twice the room if it is shorter than ``length``."""
    if length <= len(array):
        return array
    larger = np.empty((max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
