"""Learn the displacement of every action from its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rldf_agents.learners.action_values import Tensors
from rldf_agents.learners.space_index import Position


class Displacements:
    """The largest observed displacement of every tried action.

    The end of an axis can shorten a displacement and never lengthens one.

    Args:
        action_sizes: numbers of values of the components of an action, in C order.
    """

    def __init__(self, action_sizes: Sequence[int]) -> None:
        self._sizes = tuple(action_sizes)
        self._seen: dict[int, Position] = {}
        self._idle_at: dict[int, Position] = {}
        """Where an action without a displacement so far was last tried."""

    def observe(self, action: int, before: Position, after: Position) -> None:
        """Learn from one step."""
        moved = tuple(b - a for a, b in zip(before, after, strict=True))
        known = self._seen.get(action)
        if known is None or _size(moved) >= _size(known):
            self._seen[action] = moved
        if any(self._seen[action]):
            self._idle_at.pop(action, None)
        else:
            self._idle_at[action] = before

    def unit(self, axis: int, direction: int) -> int | None:
        """Return an action that moves one unit along one axis and no other, None if none is known.

        Args:
            axis: from 0.
            direction: 1 or -1.
        """
        for action, moved in self._seen.items():
            if moved[axis] == direction and _size(moved) == 1:
                return action
        return None

    def untried(self, position: Position) -> int | None:
        """Return the action that is worth trying here to learn what it does, None if none is.

        First those that have moved nothing so far, which may have been at the end of an axis. Then
        new ones that differ in one component from a known one, those beside small displacements
        first: where an action moves several axes at once, that leads to those that move one.
        """
        for action, tried_at in self._idle_at.items():
            if tried_at != position:
                return action
        if not self._seen:
            return 0
        by_size = sorted(self._seen, key=lambda action: _size(self._seen[action]))
        beside = (action for known in by_size for action in self._neighbours(known))
        return next((action for action in beside if action not in self._seen), None)

    def tensors(self) -> Tensors:
        """Return all that was learned: actions int64 [n], where they move, where they are idle."""
        return {
            "displaced_by": np.array(list(self._seen), dtype=np.int64),
            "displacements": np.array(list(self._seen.values()), dtype=np.int64),
            "idle": np.array(list(self._idle_at), dtype=np.int64),
            "idle_at": np.array(list(self._idle_at.values()), dtype=np.int64),
        }

    def restore(self, tensors: Tensors) -> None:
        """Take over what ``tensors`` returned."""
        self._seen = _by_action(tensors["displaced_by"], tensors["displacements"])
        self._idle_at = _by_action(tensors["idle"], tensors["idle_at"])

    def _neighbours(self, action: int) -> Iterator[int]:
        stride = 1
        for size in reversed(self._sizes):
            value = action // stride % size
            for other in range(size):
                if other != value:
                    yield action + (other - value) * stride
            stride *= size


def _size(displacement: Position) -> int:
    return sum(map(abs, displacement))


def _by_action(
    actions: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    positions: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> dict[int, Position]:
    return dict(zip(actions.tolist(), map(tuple, positions.tolist()), strict=True))
