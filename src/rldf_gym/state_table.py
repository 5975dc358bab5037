"""The states that an environment has visited: one row each, one column for each fact.

Single and vector environment look a state up here: its number gives a row, and the row gives
reading, information, reward and end. A row is computed at a state's first visit. This is the one
cache of readings in memory, and it is bounded: a full table is emptied, and the store is read anew.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal, infer_goal
from rldf_gym.perception import Readings
from rldf_gym.rewards import (
    RewardFunction,
    coarse_gain,
    evaluate_reward,
    fine_gain,
    nothing_recognised,
)

MOST_ROWS = 100_000
"""Rows until the table is emptied; a row takes some kilobytes."""

MOST_DENSE_STATES = 10_000_000
"""Grammars with at most this number of states have a row number for every state (40 MB)."""

INFO_KEYS = (
    "prompt",
    "values",
    "confidence",
    "embedding",
    "fine",
    "coarse",
    "distance",
    "matches",
    "at_goal",
    "outside",
)
"""The columns that are part of ``info``."""

COUNTERS = ("generations", "states_seen")
"""The keys of ``info`` that count what the environment did so far."""

ARRAY_KEYS = ("values", "confidence", "embedding")
"""Those that hold arrays: the reading."""

STOP_CONDITIONS: Mapping[str, str] = {
    "goal_state": "at_goal",
    "match": "matches",
    "unrecognised": "unrecognised",
}
"""The conditions that ``stop_at`` accepts, and the column that is true where an episode ends."""

StopAt = str | tuple[str, ...] | None
Rows = NDArray[np.integer[Any]]
Columns = dict[str, NDArray[Any]]
ActionKey = tuple[np.dtype[Any], tuple[int, ...], bytes]

_UNVISITED, _FORGOTTEN = 0, -1
_FIRST_CAPACITY = 256


@dataclass(frozen=True, eq=False, slots=True)
class Visit:
    """A state as a single environment needs it.

    Attributes:
        state: int64 ``[n_axes]``.
        reward: of arriving here.
        terminal: whether the episode ends here.
        values, confidence, embedding: the reading, as in `Reading`.
        info: ``info`` under all its keys, so that a copy need not grow.
        successors: where actions that were tried here lead, by their dtype, shape and bytes.
    """

    state: NDArray[np.int64]
    reward: float
    terminal: bool
    values: NDArray[np.int64]
    confidence: NDArray[np.float32]
    embedding: NDArray[np.float32]
    info: dict[str, Any]
    successors: dict[ActionKey, "Visit"] = field(default_factory=dict)


class StateTable:
    """The visited states of one search, and what is known of each for its goal and reward.

    Attributes:
        goal: what the columns are computed for.
        n_visited: number of different states that were visited.
        visits: results of `visit` for this goal by state number, for fast steps.
    """

    def __init__(
        self,
        evaluator: StateEvaluator,
        goal: Goal,
        reward: RewardFunction | None,
        stop_at: StopAt = "goal_state",
    ) -> None:
        """Make an empty table.

        Raises:
            RLDFError: an unknown stop condition, or a reward that does not work for the goal.
        """
        self.goal = goal
        self._goal_index = evaluator.grammar.index(goal.state)
        self._evaluator = evaluator
        self._reward = reward
        self._stops = check_stop_at(stop_at)
        self._numbers = _row_numbers(evaluator.grammar.n_states)
        self._columns: Columns = {}
        self.visits: dict[int, Visit] = {}
        self._n_rows = 1  # row 0 is that of states without one
        self.n_visited = 0
        # A reward that fails does so now, not at the first step.
        self._facts(goal.state[np.newaxis], Readings.of([goal.reading]), goal)

    def rows(self, indices: NDArray[np.int64]) -> Rows:
        """Return the rows int ``[n]`` of the states with these numbers ``[n]`` (`Grammar.index`).

        New states are evaluated together, each once; if that fails, none of them counts as
        visited. Rows that were returned earlier may be invalid afterwards.
        """
        rows = self._numbers.find(indices)
        if rows.min(initial=1) > 0:
            return rows
        missing = np.unique(indices[rows <= 0])
        if self._n_rows + len(missing) > MOST_ROWS:
            self._forget()
            missing = np.unique(indices)
        grammar, row = self._evaluator.grammar, self._n_rows
        states = np.stack([grammar.state(index) for index in missing])
        for batch in self._evaluator.evaluate(missing.tolist()):
            some, readings = states[row - self._n_rows :][: len(batch)], Readings.of(batch)
            columns = {
                "state": some,
                "prompt": np.array([grammar.decode(state) for state in some], object),
                **vars(readings),
            }
            self._write(row, columns | self._facts(some, readings, self.goal))
            row += len(batch)
        self._n_rows = row
        self.n_visited += int((self._numbers.find(missing) == _UNVISITED).sum())
        self._numbers.add(missing, row - len(missing))
        return self._numbers.find(indices)

    def column(self, name: str, rows: Rows) -> NDArray[Any]:
        """Return one fact of these rows: a new array ``[n, ...]``."""
        return self._columns[name].take(rows, axis=0)

    def information(self, rows: Rows) -> Columns:
        """Return the part of ``infos`` under `INFO_KEYS`: new arrays ``[n, ...]``."""
        return {name: self._columns[name].take(rows, axis=0) for name in INFO_KEYS}

    def visit(self, index: int, row: int) -> Visit:
        """Return the state with this number, which has this row; every time the same object."""
        if index in self.visits:
            return self.visits[index]
        facts = {name: _plain(column[row]) for name, column in self._columns.items()}
        visit = self.visits[index] = Visit(
            info={name: facts[name] for name in INFO_KEYS} | dict.fromkeys(COUNTERS, 0),
            **{name: facts[name] for name in ("state", "reward", "terminal", *ARRAY_KEYS)},
        )
        return visit

    def random_start(self, random: np.random.Generator) -> int:
        """Return the number of a random state, any but the goal with equal chances."""
        index = int(random.integers(self._evaluator.grammar.n_states - 1))
        return index + (index >= self._goal_index)

    @contextmanager
    def goal_for(self, options: Mapping[str, Any]) -> Iterator[None]:
        """Compute everything for the target among the options of a reset, if there is one.

        If the reset fails, the goal before it is the goal again.

        Raises:
            TargetError: the target cannot be used.
            RewardError: the reward does not work for this goal; nothing has changed.
        """
        before = self.goal
        if "target" in options:
            self._set_goal(infer_goal(self._evaluator, options["target"]))
        try:
            yield
        except BaseException:
            if self.goal is not before:
                self._set_goal(before)
            raise

    def _set_goal(self, goal: Goal) -> None:
        columns = {name: column[1 : self._n_rows] for name, column in self._columns.items()}
        if self._n_rows > 1:
            readings = Readings(*(columns[name] for name in ARRAY_KEYS))
            self._write(1, self._facts(columns["state"], readings, goal))
        self.goal, self._goal_index = goal, self._evaluator.grammar.index(goal.state)
        self.visits = {}

    def _facts(self, states: NDArray[np.int64], readings: Readings, goal: Goal) -> Columns:
        """Return the columns ``[n]`` that depend on goal and reward."""
        grammar, values = goal.grammar, readings.values
        distance = np.abs(states - goal.state).sum(axis=1)
        facts: Columns = {
            "fine": fine_gain(values, goal.state, grammar),
            "coarse": coarse_gain(values, goal.state, grammar),
            "distance": distance,
            "matches": (values == goal.reading.values).all(axis=1),
            "at_goal": distance == 0,
            "outside": np.full(len(states), goal.outside),
            "unrecognised": nothing_recognised(readings, grammar),
            "reward": np.zeros(len(states)),
        }
        if self._reward is not None:
            facts["reward"] = evaluate_reward(self._reward, readings, goal).astype(np.float64)
        stops = [facts[name] for name in self._stops]
        facts["terminal"] = np.any([np.zeros(len(states), np.bool_), *stops], axis=0)
        return facts

    def _write(self, first: int, columns: Columns) -> None:
        """Write columns ``[n, ...]`` into the rows from ``first`` on."""
        for name, values in columns.items():
            column = self._columns.get(name)
            if column is None:
                column = np.zeros((_FIRST_CAPACITY, *values.shape[1:]), values.dtype)
            self._columns[name] = _with_capacity(column, first + len(values))
            self._columns[name][first : first + len(values)] = values

    def _forget(self) -> None:
        """Remove all rows, but not which states were visited."""
        self._numbers.forget()
        self._columns, self.visits, self._n_rows = {}, {}, 1


def check_stop_at(stop_at: StopAt) -> tuple[str, ...]:
    """Return the columns of `StateTable` that are true where an episode ends.

    Raises:
        RLDFError: unknown condition; the message lists the known ones.
    """
    names = () if stop_at is None else (stop_at,) if isinstance(stop_at, str) else tuple(stop_at)
    if unknown := [name for name in names if name not in STOP_CONDITIONS]:
        known = ", ".join(map(repr, STOP_CONDITIONS))
        raise RLDFError(
            f"unknown stop_at {unknown[0]!r}; known: {known}, None, or a tuple of several"
        )
    return tuple(STOP_CONDITIONS[name] for name in names)


class _RowNumbers(Protocol):
    """Which row each state has."""

    def find(self, indices: NDArray[np.int64]) -> Rows:
        """Return the rows ``[n]`` of states ``[n]``; `_UNVISITED` or `_FORGOTTEN` for none."""
        ...

    def add(self, indices: NDArray[np.int64], first: int) -> None:
        """Give rows ``first, first + 1, ...`` to these states."""
        ...

    def forget(self) -> None:
        """Make every row `_FORGOTTEN`."""
        ...


class _DenseRowNumbers:
    """A row number for every state; zeros take no memory until they are written."""

    def __init__(self, n_states: int) -> None:
        self._rows = np.zeros(n_states, np.int32)

    def find(self, indices: NDArray[np.int64]) -> Rows:
        return self._rows.take(indices)

    def add(self, indices: NDArray[np.int64], first: int) -> None:
        self._rows[indices] = np.arange(first, first + len(indices))

    def forget(self) -> None:
        self._rows[self._rows > 0] = _FORGOTTEN


class _SparseRowNumbers:
    """A row number for each visited state alone, for grammars with too many states to list."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}

    def find(self, indices: NDArray[np.int64]) -> Rows:
        found = map(self._rows.get, indices.tolist(), repeat(_UNVISITED))
        return np.fromiter(found, np.int64, len(indices))

    def add(self, indices: NDArray[np.int64], first: int) -> None:
        self._rows.update(zip(indices.tolist(), range(first, first + len(indices)), strict=True))

    def forget(self) -> None:
        self._rows = dict.fromkeys(self._rows, _FORGOTTEN)


def _row_numbers(n_states: int) -> _RowNumbers:
    if n_states <= MOST_DENSE_STATES:
        return _DenseRowNumbers(n_states)
    return _SparseRowNumbers()


def _plain(value: Any) -> Any:
    """Return a Python scalar or string, or an array of its own."""
    if isinstance(value, np.generic):
        return value.item()
    return value.copy() if isinstance(value, np.ndarray) else value


def _with_capacity(array: NDArray[Any], length: int) -> NDArray[Any]:
    """Return the array, or a copy of at least twice its length if it is shorter than ``length``."""
    if length <= len(array):
        return array
    larger = np.zeros((max(length, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
