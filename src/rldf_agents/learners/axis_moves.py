"""Moves along one axis at a time: what actions do, supposed from the spaces and learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rldf_agents.learners.displacements import Displacements
from rldf_agents.learners.space_index import Indices, Position
from rldf_agents.learners.value_trees import ValueTree, tree_moves

FAR = 2**31
"""Steps to a value that no known action leads to."""


class AxisMoves(Protocol):
    """What actions do to one axis."""

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Learn from one step; return whether this can still be what actions do."""

    def ways(self, axis: int, value: int) -> tuple[Indices, Indices]:
        """Return steps from a value to each other one of its axis, and the first actions.

        int64 [n_values] each; `FAR` and -1 where no way is known, 0 and -1 for the value itself.
        """

    def untried(self, position: Position) -> int | None:
        """Return an action worth trying to learn what it does, None if there is none."""


class SetValue:
    """Action mode "jump": each action sets an axis to a value, numbered axis by axis.

    Args:
        sizes: values on each axis.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self._starts = np.cumsum([0, *sizes])

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Return whether the action set its axis to its value."""
        axis = int(np.searchsorted(self._starts, action, side="right")) - 1
        value = action - int(self._starts[axis])
        return after == (*before[:axis], value, *before[axis + 1 :])

    def ways(self, axis: int, value: int) -> tuple[Indices, Indices]:
        """Return one step to every value."""
        actions = self._starts[axis] + np.arange(self._sizes[axis])
        steps = np.ones(self._sizes[axis], np.int64)
        steps[value], actions[value] = 0, -1
        return steps, actions

    def untried(self, position: Position) -> int | None:
        """Return None: nothing is left to learn."""
        return None


class TreeSteps:
    """Action mode "tree": to the part before or after, for every level of every axis's tree.

    Args:
        trees: of the axes.
        sizes: values on each axis.
    """

    def __init__(self, trees: Sequence[ValueTree], sizes: Sequence[int]) -> None:
        levels = [tree_moves(tree, size) for tree, size in zip(trees, sizes, strict=True)]
        self._tables = [
            (axis, row) for axis, moves in enumerate(levels) for move in moves for row in move
        ]
        self.n_actions = len(self._tables)

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Return whether the action moved along the tree."""
        axis, table = self._tables[action]
        return after == (*before[:axis], int(table[before[axis]]), *before[axis + 1 :])

    def ways(self, axis: int, value: int) -> tuple[Indices, Indices]:
        """Return the fewest steps to every value (breadth-first search)."""
        tables = [(n, row) for n, (owner, row) in enumerate(self._tables) if owner == axis]
        size = len(tables[0][1]) if tables else 1
        steps, actions = np.full(size, FAR, np.int64), np.full(size, -1, np.int64)
        steps[value] = 0
        reached = [value]
        for here in reached:
            for number, row in tables:
                there = int(row[here])
                if steps[there] == FAR:
                    steps[there] = steps[here] + 1
                    actions[there] = number if here == value else actions[here]
                    reached.append(there)
        return steps, actions

    def untried(self, position: Position) -> int | None:
        """Return None: nothing is left to learn."""
        return None


class LearnedSteps:
    """Action modes "axis" and "joint", and any other: single steps along an axis, as observed.

    Args:
        sizes: values on each axis.
        action_sizes: values of each component of the action.

    Attributes:
        displacements: of the actions tried.
    """

    def __init__(self, sizes: Sequence[int], action_sizes: Sequence[int]) -> None:
        self._sizes = sizes
        self.displacements = Displacements(action_sizes)

    def observe(self, action: int, before: Position, after: Position) -> bool:
        """Record the displacement; always True."""
        self.displacements.observe(action, before, after)
        return True

    def ways(self, axis: int, value: int) -> tuple[Indices, Indices]:
        """Return the steps up and down, as far as such actions are known."""
        offsets = np.arange(self._sizes[axis]) - value
        steps, actions = np.abs(offsets), np.full(len(offsets), -1, np.int64)
        for direction in (-1, 1):
            action = self.displacements.unit(axis, direction)
            side = offsets * direction > 0
            steps[side] = FAR if action is None else steps[side]
            actions[side] = -1 if action is None else action
        return steps, actions

    def untried(self, position: Position) -> int | None:
        """Return an action that may move one axis alone."""
        return self.displacements.untried(position)


def supposed_moves(
    trees: Sequence[ValueTree], sizes: Sequence[int], action_sizes: Sequence[int]
) -> list[AxisMoves]:
    """Return what actions may do, going by their number alone: the most likely first."""
    found: list[AxisMoves] = []
    if tuple(action_sizes) == (sum(sizes),):
        found.append(SetValue(sizes))
    tree = TreeSteps(trees, sizes)
    if tuple(action_sizes) == (tree.n_actions,):
        found.append(tree)
    return found
