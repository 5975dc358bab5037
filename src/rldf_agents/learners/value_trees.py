"""Trees over the values of an axis: which values are alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.learners.space_index import Indices

ValueTree: TypeAlias = int | tuple["ValueTree", ...]
"""A value of an axis, from 0, or the parts of a group."""


def bisection(start: int, stop: int) -> ValueTree:
    """Return the tree of an axis without groups: its values in two halves, each in two halves."""
    if stop - start == 1:
        return start
    middle = (start + stop) // 2
    return bisection(start, middle), bisection(middle, stop)


def check_trees(trees: Sequence[ValueTree], sizes: Sequence[int]) -> None:
    """Check that there is a tree for every axis, with its values 0 to size - 1 in order.

    Raises:
        AgentError: otherwise.
    """
    if len(trees) != len(sizes):
        raise AgentError(f"there are {len(trees)} trees for {len(sizes)} axes: give one for each")
    for axis, (tree, size) in enumerate(zip(trees, sizes, strict=True)):
        if [value for value, _ in _leaves(tree, ())] != list(range(size)):
            raise AgentError(
                f"the tree of axis {axis} does not hold its values 0 to {size - 1}, each once and"
                f" in order: {str(tree)[:60]}"
            )


def tree_distances(tree: ValueTree) -> npt.NDArray[np.float32]:
    """Return the steps along the tree between any two of its values, float32 [n, n].

    One group holds siblings 2 steps apart: up to the group, and down.
    """
    ways = [way for _, way in _leaves(tree, ())]
    depths = np.array([len(way) for way in ways])
    padded = np.full((len(ways), depths.max(initial=0)), -1)
    for row, way in zip(padded, ways, strict=True):
        row[: len(way)] = way
    shared = np.zeros((len(ways), len(ways)), np.int64)
    agree = np.ones_like(shared, dtype=bool)
    for column in padded.T:
        agree &= (column[:, np.newaxis] == column) & (column >= 0)
        shared += agree
    distances: npt.NDArray[np.float32] = depths[:, np.newaxis] + depths - 2 * shared
    return distances.astype(np.float32)


def tree_moves(tree: ValueTree, size: int) -> list[Indices]:
    """Return the moves between the parts of a group, by level from the top: int64 [2, size] each.

    The first row is where a move to the part before leads from each value, the second a move to
    the part after: always to the first value of that part. At the ends, the value stays.
    """
    moves: list[Indices] = []

    def fill(part: ValueTree, level: int, start: int) -> int:
        """Add the moves inside a part that starts at this value; return where it ends."""
        if isinstance(part, int):
            return start + 1
        if level == len(moves):
            moves.append(np.tile(np.arange(size), (2, 1)))
        ends = [start]
        for inner in part:
            ends.append(fill(inner, level + 1, ends[-1]))
        for before, middle, after in zip(ends, ends[1:], ends[2:], strict=False):
            moves[level][1, before:middle] = middle
            moves[level][0, middle:after] = before
        return ends[-1]

    fill(tree, 0, 0)
    return moves


def _leaves(tree: ValueTree, way: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield every value with its way down: the number of the part taken at each level."""
    if isinstance(tree, int):
        yield tree, way
        return
    for number, part in enumerate(tree):
        yield from _leaves(part, (*way, number))
