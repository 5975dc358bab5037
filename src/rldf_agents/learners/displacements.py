"""Learn the displacement of every action from its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rldf_agents.learners.space_index import Position


class Displacements:
    """The largest observed displacement of every tried action.

    The end of an axis can shorten a displacement and never lengthens one.

    Args:
        action_sizes: numbers of values of the components of an action, in C order.

    Attributes:
        largest: the displacement by action.
        idle_at: by action without one so far, where it was last tried.
    """

    def __init__(self, action_sizes: Sequence[int]) -> None:
        self._sizes = tuple(action_sizes)
        self.largest: dict[int, Position] = {}
        self.idle_at: dict[int, Position] = {}

    def observe(self, action: int, before: Position, after: Position) -> None:
        """Learn from one step."""
        moved = tuple(b - a for a, b in zip(before, after, strict=True))
        known = self.largest.get(action)
        if known is None or _size(moved) >= _size(known):
            self.largest[action] = moved
        if any(self.largest[action]):
            self.idle_at.pop(action, None)
        else:
            self.idle_at[action] = before

    def unit(self, axis: int, direction: int) -> int | None:
        """Return an action that moves one unit along one axis and no other, None if none is known.

        Args:
            axis: from 0.
            direction: 1 or -1.
        """
        for action, moved in self.largest.items():
            if moved[axis] == direction and _size(moved) == 1:
                return action
        return None

    def untried(self, position: Position) -> int | None:
        """Return the action that is worth trying here to learn what it does, None if none is.

        First those that have moved nothing so far, which may have been at the end of an axis. Then
        new ones that differ in one component from a known one, those beside small displacements
        first: where an action moves several axes at once, that leads to those that move one.
        """
        for action, tried_at in self.idle_at.items():
            if tried_at != position:
                return action
        if not self.largest:
            return 0
        by_size = sorted(self.largest, key=lambda action: _size(self.largest[action]))
        beside = (action for known in by_size for action in self._neighbours(known))
        return next((action for action in beside if action not in self.largest), None)

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
