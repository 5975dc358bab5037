"""Action modes: one step along one axis, or one step along every axis at once."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction
from numpy.typing import ArrayLike, NDArray

from rldf_gym.errors import RLDFError

DOWN = 0
UP = 1
"""Directions of ``action_mode="axis"``: to the value before, to the value after.

``action_mode="joint"`` has a third choice between them: 0 is down, 1 is stay, 2 is up.
"""

_STAY = 1


class ActionMode(Protocol):
    """Turns an action into moves."""

    @property
    def space(self) -> "spaces.MultiDiscrete[np.int64]":
        """The actions."""
        ...

    def encode(self, axis: int, change: int) -> NDArray[np.int64]:
        """Return the action that moves along one axis by -1 or +1, and nothing else."""
        ...

    def decode(self, action: Any) -> Iterable[tuple[int, int]]:
        """Return the moves of an action: pairs (axis, -1 or +1).

        Raises:
            InvalidAction: the action is not in the space.
        """
        ...

    def decode_batch(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Return the moves of actions ``[n, len(space)]``: int64 ``[n, n_axes]``, -1, 0 or +1.

        Raises:
            InvalidAction: one of the actions is not in the space.
        """
        ...


class AxisMode:
    """``MultiDiscrete([n_axes, 2])``: which axis, and `DOWN` or `UP`; the gridworld's moves."""

    def __init__(self, n_axes: int) -> None:
        self.space = spaces.MultiDiscrete([n_axes, 2])
        self._sizes = (n_axes, 2)
        steps = np.array([-1, 1], np.int64)
        self._changes = np.kron(np.eye(n_axes, dtype=np.int64), steps[:, np.newaxis])
        self._moves: dict[tuple[int, ...], tuple[tuple[int, int]]] = {
            (axis, direction): ((axis, 2 * direction - 1),)
            for axis in range(n_axes)
            for direction in (DOWN, UP)
        }

    def encode(self, axis: int, change: int) -> NDArray[np.int64]:
        """Return axis and direction."""
        return np.array([axis, UP if change > 0 else DOWN], np.int64)

    def decode(self, action: Any) -> Iterable[tuple[int, int]]:
        """Return the one move."""
        array = action if isinstance(action, np.ndarray) else np.asarray(action)
        if array.ndim == 1 and array.dtype.kind in "iu":
            found = self._moves.get(tuple(array.tolist()))
            if found is not None:
                return found
        raise invalid_action(action, self.space)

    def decode_batch(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Return moves along one axis each."""
        array = _integers(actions, self.space)
        try:
            numbers = np.ravel_multi_index((array[:, 0], array[:, 1]), self._sizes)
        except ValueError as error:
            raise invalid_action(actions, self.space) from error
        changes: NDArray[np.int64] = self._changes.take(numbers, axis=0)
        return changes


class JointMode:
    """``MultiDiscrete([3] * n_axes)``: down, stay or up on every axis at once."""

    def __init__(self, n_axes: int) -> None:
        self.space = spaces.MultiDiscrete([3] * n_axes)
        self._n_axes = n_axes

    def encode(self, axis: int, change: int) -> NDArray[np.int64]:
        """Return an action that stays on every other axis."""
        action = np.full(self._n_axes, _STAY, np.int64)
        action[axis] += change
        return action

    def decode(self, action: Any) -> Iterable[tuple[int, int]]:
        """Return a move for every axis that does not stay."""
        [changes] = self.decode_batch([action]).tolist()
        return [(axis, change) for axis, change in enumerate(changes) if change]

    def decode_batch(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Return moves along any number of axes each."""
        array = _integers(actions, self.space)
        if array.min(initial=0) < 0 or array.max(initial=2) > 2:
            raise invalid_action(actions, self.space)
        changes: NDArray[np.int64] = array.astype(np.int64) - _STAY
        return changes


ACTION_MODES: Mapping[str, type[AxisMode | JointMode]] = MappingProxyType(
    {"axis": AxisMode, "joint": JointMode}
)
"""The action modes that ``gym.make("RLDF-v0", action_mode=...)`` knows by name."""


def make_action_mode(name: str, n_axes: int) -> ActionMode:
    """Return the action mode of that name for a grammar with so many axes.

    Raises:
        RLDFError: unknown name; the message lists the known ones.
    """
    if name not in ACTION_MODES:
        raise RLDFError(f"unknown action_mode {name!r}; known: {', '.join(ACTION_MODES)}")
    return ACTION_MODES[name](n_axes)


def _integers(actions: ArrayLike, space: "spaces.MultiDiscrete[Any]") -> NDArray[np.integer[Any]]:
    """Return the same actions as an integer array ``[n, len(space)]``."""
    array = np.asarray(actions)
    if array.ndim != 2 or array.shape[1] != len(space.nvec) or array.dtype.kind not in "iu":
        raise invalid_action(actions, space)
    return array


def invalid_action(action: Any, space: spaces.Space[Any]) -> InvalidAction:
    """Return the error for an action outside its space."""
    return InvalidAction(f"{action!r} is not an action here; the action space is {space}")
