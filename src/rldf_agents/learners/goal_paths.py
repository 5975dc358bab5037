"""Find the shortest known or predicted path to the best known state."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.action_effects import Displacement
from rldf_agents.learners.explored_graph import ExploredGraph

_UNREACHABLE = 1e6
_UNTRIED = 10
"""Cost of an untried step where no hypothesis on the actions' structure holds."""

_MOST_EXPANDED = 20_000
"""Limit of the A* search."""


class StepBound:
    """A lower bound of the number of steps between states, from the known displacements."""

    def __init__(self, displacements: Sequence[Displacement | None], n_axes: int) -> None:
        known = [moved for moved in displacements if moved is not None]
        moves = np.array(known or [(0,) * n_axes])
        self._up = _inverse(moves.max(axis=0))
        self._down = _inverse(-moves.min(axis=0))
        self._one_axis = int(np.count_nonzero(moves, axis=1).max()) <= 1

    def steps(
        self, here: npt.NDArray[np.int64], there: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Return the number of steps, float64 [...] for int [..., n_axes]; huge without a way."""
        change = there - here
        by_axis = np.maximum(change * self._up, -change * self._down)
        steps: npt.NDArray[np.float64] = by_axis.sum(-1) if self._one_axis else by_axis.max(-1)
        return steps

    def along(self, axis: int, start: int, size: int) -> npt.NDArray[np.float64]:
        """Return the number of steps from one value of an axis to every other, float64 [size]."""
        change = np.arange(size) - start
        steps: npt.NDArray[np.float64] = np.maximum(
            change * self._up[axis], -change * self._down[axis]
        )
        return steps


def _inverse(most: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where(most > 0, 1.0 / np.maximum(most, 1), _UNREACHABLE)


def goal_groups(graph: ExploredGraph) -> list[list[int]]:
    """Return the states worth going to, those that paid alike together, the best first.

    They are the terminal states that paid the average or more (a hole or a cliff pays less), and
    after these, or where there are none, the states that paid most.
    """
    rewards = graph.rewards
    if not rewards:
        return []
    average = sum(rewards.values()) / len(rewards)
    ends = [state for state in graph.terminals if rewards[state] >= average]
    payments = sorted({rewards[state] for state in ends}, reverse=True)
    groups = [[state for state in ends if rewards[state] == payment] for payment in payments]
    most = max(rewards.values())
    return [*groups, [state for state, reward in rewards.items() if reward == most]]


def first_step(graph: ExploredGraph, start: int, goals: Sequence[int]) -> int | None:
    """Return the first action on the cheapest way to one of the goals by A*, None if none is seen.

    States not met are passed too, other terminal states are not. Steps never tried may turn out
    otherwise than predicted, and are avoided unless the actions are known to be regular.
    """
    reach = StepBound(graph.effects.displacements, len(graph.position(start)))
    ends, positions = frozenset(goals), graph.positions(goals)

    def remaining(state: int) -> float:
        return float(reach.steps(np.array(graph.position(state)), positions).min())

    untried = 1 if graph.effects.regular else _UNTRIED
    left = remaining(start)
    queue = [(left, left, 0, start, -1)]
    costs = {start: 0}
    for _ in range(_MOST_EXPANDED):
        if not queue:
            break
        _, _, cost, state, first = heapq.heappop(queue)
        if state in ends and first >= 0:
            return first
        if cost > costs[state] or (state in graph.terminals and first >= 0):
            continue
        for action in range(len(graph.effects.displacements)):
            there = graph.successor(state, action)
            if there is None:
                continue
            new = cost + (1 if (state, action) in graph.outcomes else untried)
            if new < costs.get(there, math.inf):
                costs[there] = new
                left = remaining(there)
                step = action if first < 0 else first
                heapq.heappush(queue, (new + left, left, new, there, step))
    return None
