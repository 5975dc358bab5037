"""Learn the displacements of actions on a factored observation from a few steps.

An observation is a point on a grid of axes; an action displaces it along some of them, not
beyond the ends: there an axis stays where it is. How the
components of an action make up the displacement is a hypothesis, held as long as experience does
not contradict it: that keeps the tries few where an environment is regular and does no harm where
it is not (structured transition models: Boutilier, Dean & Hanks 1999; Strehl, Diuk & Littman 2007).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from rldf_agents.learners.space_index import Grid, Position

Displacement = tuple[int, ...]


class EffectHypothesis(Protocol):
    """A way in which the components of an action decide its displacement."""

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Learn from one step; return whether the hypothesis can still be true."""

    def displacement(self, action: int) -> Displacement | None:
        """Return the displacement away from the ends, None if it is not known."""


class AxisAndDirection:
    """The first component chooses the axis, the second how far it moves, alike on every axis.

    Where there are two directions, the one that was not yet seen to move anything is taken to be
    the opposite of the other.

    Args:
        sizes: values on each axis of the observation.
        n_directions: size of the second component.
    """

    def __init__(self, sizes: Sequence[int], n_directions: int) -> None:
        self._sizes = tuple(sizes)
        self._n_directions = n_directions
        self._moves: dict[int, int] = {}

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Learn from one step; False if another axis moved, or this one otherwise than known."""
        axis, direction = divmod(action, self._n_directions)
        if any(a != b for x, (a, b) in enumerate(zip(before, after, strict=True)) if x != axis):
            return False
        moved = after[axis] - before[axis]
        if direction in self._moves:
            return after[axis] == _moved(before[axis], self._moves[direction], self._sizes[axis])
        if moved:
            self._moves[direction] = moved
        return True

    def displacement(self, action: int) -> Displacement | None:
        """Return the displacement, None if nothing is known of this direction."""
        axis, direction = divmod(action, self._n_directions)
        move = self._moves.get(direction)
        if move is None and self._n_directions == 2 and self._moves:
            move = -self._moves[1 - direction]
        if move is None:
            return None
        return tuple(move if x == axis else 0 for x in range(len(self._sizes)))


class ComponentPerAxis:
    """Every component moves the axis of its own number.

    Args:
        sizes: values on each axis of the observation.
        action_sizes: values of each component of the action.
    """

    def __init__(self, sizes: Sequence[int], action_sizes: Sequence[int]) -> None:
        self._sizes = tuple(sizes)
        self._actions = Grid(action_sizes)
        self._moves: list[dict[int, int]] = [{} for _ in sizes]

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Learn from one step; False if an axis moved otherwise than known."""
        values = self._actions.position(action)
        axes = zip(values, self._moves, before, after, self._sizes, strict=True)
        for value, moves, old, new, size in axes:
            if value in moves:
                if new != _moved(old, moves[value], size):
                    return False
            elif new != old or 0 < old < size - 1:
                moves[value] = new - old
        return True

    def displacement(self, action: int) -> Displacement | None:
        """Return the displacement, None if that of one of its components is not known."""
        pairs = list(zip(self._actions.position(action), self._moves, strict=True))
        if any(value not in moves for value, moves in pairs):
            return None
        return tuple(moves[value] for value, moves in pairs)


class EachActionAlone:
    """No structure: the most frequent displacement of each action, independent of others."""

    def __init__(self) -> None:
        self._seen: dict[int, Counter[Displacement]] = {}

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Count one movement; always True."""
        moved = tuple(b - a for a, b in zip(before, after, strict=True))
        if any(moved):
            self._seen.setdefault(action, Counter())[moved] += 1
        return True

    def displacement(self, action: int) -> Displacement | None:
        """Return the most frequent movement, the first seen among equals; None if none was seen."""
        seen = self._seen.get(action)
        return None if seen is None else max(seen, key=seen.__getitem__)


class ActionEffects:
    """The displacements of all actions under the first hypothesis that is not contradicted.

    Args:
        sizes: values on each axis of the observation.
        action_sizes: values of each component of the action.

    Attributes:
        displacements: by action, None where not known.
        idle: by action, how often it moved nothing while its displacement was not known.
    """

    def __init__(self, sizes: Sequence[int], action_sizes: Sequence[int]) -> None:
        self._sizes = tuple(sizes)
        n_actions = math.prod(action_sizes)
        self._hypotheses = _hypotheses(self._sizes, tuple(action_sizes))
        self.displacements: list[Displacement | None] = [None] * n_actions
        self.idle = [0] * n_actions

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Learn from one step; return whether any displacement is now another one."""
        if before == after and self.displacements[action] is None:
            self.idle[action] += 1
        held = [h for h in self._hypotheses if h.observe(action, before, after)]
        unchanged = len(held) == len(self._hypotheses) and (
            self.displacements[action] == held[0].displacement(action)
        )
        self._hypotheses = held
        if unchanged:
            return False
        new = [held[0].displacement(a) for a in range(len(self.displacements))]
        changed = new != self.displacements
        self.displacements = new
        return changed

    @property
    def regular(self) -> bool:
        """Whether a hypothesis holds that says how actions are alike."""
        return len(self._hypotheses) > 1

    def predict(self, position: Position, action: int) -> Position | None:
        """Return where the action should lead, None if its displacement is not known."""
        displacement = self.displacements[action]
        if displacement is None:
            return None
        return tuple(
            _moved(old, move, size)
            for old, move, size in zip(position, displacement, self._sizes, strict=True)
        )


def _hypotheses(sizes: Position, action_sizes: Position) -> list[EffectHypothesis]:
    held: list[EffectHypothesis] = []
    if len(sizes) > 1 and len(action_sizes) == 2 and action_sizes[0] == len(sizes):
        held.append(AxisAndDirection(sizes, action_sizes[1]))
    if len(sizes) > 1 and len(action_sizes) == len(sizes):
        held.append(ComponentPerAxis(sizes, action_sizes))
    return [*held, EachActionAlone()]


def _moved(value: int, move: int, size: int) -> int:
    return value + move if 0 <= value + move < size else value
