"""Action modes: what an action does to a state.

Modes "axis", "jump" and "tree" change one axis at a time: by one value, to any value, or along the
axis's vocabulary tree. Mode "joint" moves along every axis at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction
from numpy.typing import ArrayLike, NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.grammar import Axis, Tree

DOWN = 0
UP = 1
"""Directions of modes "axis" and "tree": to what comes before, to what comes after.

Mode "joint" has a third choice between them: 0 is down, 1 is stay, 2 is up.
"""

_STAY = 1

Labels = NDArray[np.int64]


class ActionMode(ABC):
    """Applies actions to states.

    Attributes:
        space: the actions, Discrete or MultiDiscrete.
        opposites: pairs of actions, down and up: one for every axis, in mode "tree" one for every
            level of every axis, in mode "jump" none.
    """

    space: spaces.Space[Any]
    opposites: Sequence[tuple[Any, Any]] = ()

    @abstractmethod
    def apply(self, actions: ArrayLike, states: Labels) -> Labels:
        """Return where actions ``[n, ...]`` lead from states: a new array int64 ``[n, n_axes]``.

        Raises:
            InvalidAction: one of the actions is not in the space, or there are not ``n``.
        """

    @cached_property
    def masked(self) -> bool:
        """Whether the actions are numbers, so that each is valid in a state or not."""
        return isinstance(self.space, spaces.Discrete)

    def masks(self, states: Labels) -> NDArray[np.int8]:
        """Return which actions change states ``[n, n_axes]``, 1 or 0: int8 ``[n, n_actions]``.

        Components of MultiDiscrete actions are not valid or invalid each by itself: for these, 1
        for every choice of every component, ``[n, sum of their sizes]``.
        """
        assert isinstance(self.space, spaces.MultiDiscrete)
        return np.ones((len(states), int(self.space.nvec.sum())), np.int8)


class _OneAxisMode(ActionMode):
    """Numbered actions that change one axis each.

    Args:
        space: the actions.
        axes: which axis each action changes, ``[n_actions]``.
    """

    def __init__(self, space: spaces.Space[Any], axes: Sequence[int]) -> None:
        self.space = space
        self._axes = np.array(axes, np.int64)

    @abstractmethod
    def _targets(self, numbers: Labels, labels: Labels) -> Labels:
        """Return the new labels of the actions' axes; all arrays have one shape."""

    def _numbers(self, actions: ArrayLike) -> Labels | None:
        """Return the numbers ``[n]`` of actions ``[n]``, None if one is outside the space."""
        array = np.asarray(actions)
        outside = array.ndim != 1 or array.dtype.kind not in "iu"
        if outside or array.min(initial=0) < 0 or array.max(initial=0) >= len(self._axes):
            return None
        return array.astype(np.int64, copy=False)

    def apply(self, actions: ArrayLike, states: Labels) -> Labels:
        """Return states that differ on one axis, or not at all."""
        numbers = self._numbers(actions)
        if numbers is None or len(numbers) != len(states):
            raise invalid_action(actions, self.space)
        rows, axes = np.arange(len(states)), self._axes[numbers]
        moved = states.copy()
        moved[rows, axes] = self._targets(numbers, states[rows, axes])
        return moved

    def masks(self, states: Labels) -> NDArray[np.int8]:
        """Return which actions change the states; see `ActionMode`."""
        if not self.masked:
            return super().masks(states)
        labels = states[:, self._axes]
        numbers = np.broadcast_to(np.arange(len(self._axes)), labels.shape)
        changes: NDArray[np.bool_] = self._targets(numbers, labels) != labels
        return changes.astype(np.int8)


class JumpMode(_OneAxisMode):
    """``Discrete(sum of the axes' sizes)``: set an axis to a value.

    The actions are numbered axis by axis: first all values of axis 0, then those of axis 1.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        owners = [number for number, axis in enumerate(axes) for _ in range(len(axis))]
        super().__init__(spaces.Discrete(len(owners)), owners)
        self._values = np.concatenate([np.arange(len(axis)) for axis in axes])

    def _targets(self, numbers: Labels, labels: Labels) -> Labels:
        return self._values[numbers]


class _SiblingMode(_OneAxisMode):
    """Actions in pairs, down and up, one pair for every level of every axis.

    Args:
        space: the actions.
        levels: for every axis, its levels from the top: the new labels int64 ``[2, n_values]``
            after a move down and after a move up.
    """

    def __init__(self, space: spaces.Space[Any], levels: Sequence[Sequence[Labels]]) -> None:
        rows = [row for axis in levels for level in axis for row in level]
        super().__init__(space, [n for n, axis in enumerate(levels) for _ in range(2 * len(axis))])
        self._table = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for number, row in enumerate(rows):
            self._table[number, : len(row)] = row

    def _targets(self, numbers: Labels, labels: Labels) -> Labels:
        return self._table[numbers, labels]


class AxisMode(_SiblingMode):
    """``MultiDiscrete([n_axes, 2])``: which axis, and `DOWN` or `UP`; the gridworld's moves."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        space = spaces.MultiDiscrete([len(axes), 2])
        super().__init__(space, [_levels(tuple(range(len(axis))), len(axis)) for axis in axes])
        self._sizes = (len(axes), 2)
        actions = [np.array(pair, np.int64) for pair in np.ndindex(self._sizes)]
        self.opposites = list(zip(actions[::2], actions[1::2], strict=True))

    def _numbers(self, actions: ArrayLike) -> Labels | None:
        array = np.asarray(actions)
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
            return None
        try:
            numbers: Labels = np.ravel_multi_index(tuple(array.T), self._sizes)
        except ValueError:
            return None
        return numbers


class TreeMode(_SiblingMode):
    """``Discrete``: an axis, a level of its vocabulary tree, and `DOWN` or `UP`, numbered so.

    The parts of an axis, and of every group, are words and groups. At level 0 a move leads from
    one part of the axis to the part before or after it, at level 1 from one part of such a group
    to the next, and so on. The state is a word always: a move to a group leads to its first word,
    and a move at a deeper level then chooses inside the group. From the first word of a part, the
    opposite move leads back. A move beyond the first or last part, or at a level below the word,
    changes nothing.

    An axis without groups has level 0 alone: its moves are those of mode "axis".
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        levels = [_levels(axis.tree, len(axis)) for axis in axes]
        n_actions = 2 * sum(map(len, levels))
        super().__init__(spaces.Discrete(n_actions), levels)
        self.opposites = [(number, number + 1) for number in range(0, n_actions, 2)]


def _levels(tree: tuple[Tree, ...], size: int) -> list[Labels]:
    """Return the moves at every level of an axis's tree, from the top: int64 ``[2, size]`` each."""
    levels = [np.tile(np.arange(size), (2, 1)) for _ in range(_depth(tree))]

    def fill(parts: tuple[Tree, ...], depth: int, start: int) -> int:
        """Fill in the moves between the parts of a group, and below; return where it ends."""
        ends = [start]
        for part in parts:
            end = ends[-1] + 1 if isinstance(part, int) else fill(part, depth + 1, ends[-1])
            ends.append(end)
        for before, middle, after in zip(ends, ends[1:], ends[2:], strict=False):
            levels[depth][UP, before:middle] = middle
            levels[depth][DOWN, middle:after] = before
        return ends[-1]

    fill(tree, 0, 0)
    return levels


def _depth(tree: Tree) -> int:
    return 1 + max(map(_depth, tree)) if isinstance(tree, tuple) else 0


class JointMode(ActionMode):
    """``MultiDiscrete([3] * n_axes)``: down, stay or up on every axis at once."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.space = spaces.MultiDiscrete([3] * len(axes))
        self._highest = np.array([len(axis) - 1 for axis in axes])
        moves = _STAY + np.kron(np.eye(len(axes), dtype=np.int64), [[-1], [1]])
        self.opposites = list(zip(moves[::2], moves[1::2], strict=True))

    def apply(self, actions: ArrayLike, states: Labels) -> Labels:
        """Return states that differ on any number of axes."""
        array = np.asarray(actions)
        inside = array.shape == states.shape and array.dtype.kind in "iu"
        if not inside or array.min(initial=0) < 0 or array.max(initial=2) > 2:
            raise invalid_action(actions, self.space)
        moved: Labels = np.clip(states + array - _STAY, 0, self._highest)
        return moved


ACTION_MODES: Mapping[str, Callable[[Sequence[Axis]], ActionMode]] = MappingProxyType(
    {"axis": AxisMode, "joint": JointMode, "jump": JumpMode, "tree": TreeMode}
)
"""The action modes that ``gym.make("RLDF-v0", action_mode=...)`` knows by name."""


def make_action_mode(name: str, axes: Sequence[Axis]) -> ActionMode:
    """Return the action mode of that name for a grammar's axes.

    Raises:
        RLDFError: unknown name; the message lists the known ones.
    """
    if name not in ACTION_MODES:
        raise RLDFError(f"unknown action_mode {name!r}; known: {', '.join(ACTION_MODES)}")
    return ACTION_MODES[name](axes)


def invalid_action(action: Any, space: spaces.Space[Any]) -> InvalidAction:
    """Return the error for an action outside its space."""
    return InvalidAction(f"{action!r} is not an action here; the action space is {space}")
