"""Choose the next state to visit: high promise, few new states on the way."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.additive_reward import AdditiveReward
from rldf_agents.learners.explored_graph import ExploredGraph, Pair, Paths
from rldf_agents.learners.goal_paths import StepBound
from rldf_agents.learners.space_index import Position

_N_CANDIDATES = 4
"""Number of promising states whose paths are compared."""

_MOST_ENUMERATED = 5000
_NEAREST = 64
"""States met, in order of distance, in which an action of unknown effect may be tried."""

_TIE = 1e-6

_Steps = Callable[[int, int, int], npt.NDArray[np.float64]]
"""From axis, value and size of the axis to the number of steps to each of its values."""


class Option(NamedTuple):
    """A possible plan."""

    score: float
    state: int
    """To go there first."""
    action: int | None
    """To be taken there; None if arriving is enough."""


@dataclass(frozen=True)
class FrontierPlanner:
    """Weigh promise against cost, both in units of the rewards' standard deviation.

    Attributes:
        confidence: standard deviations by which a promise exceeds what is expected.
        state_cost: of every new state on the way.
        step_cost: of every step through states already met, small against ``state_cost``.
    """

    confidence: float
    state_cost: float
    step_cost: float

    def plan(
        self, graph: ExploredGraph, model: AdditiveReward, start: int, random: np.random.Generator
    ) -> list[int]:
        """Return actions to take from ``start``, at least one.

        In this order of scores: a new state on the way to the most promising one, or an action of
        unknown effect, or a state met and not yet rewarded (where an episode began), or a terminal
        state that pays more than all this promises. Where nothing of it is left, a pair of state
        and action never tried, then the best state known.
        """
        weighing = _OptionScorer(self, graph, model, start, random)
        best = max(weighing.options(), key=lambda option: option.score, default=None)
        if best is None:
            best = _untried(graph, weighing.paths) or _best_known(graph, weighing.paths)
        actions = weighing.paths.actions(best.state)
        if best.action is not None:
            actions.append(best.action)
        return actions or [int(random.integers(len(graph.effects.displacements)))]


class _OptionScorer:
    """The options of one decision, with their scores."""

    def __init__(
        self,
        planner: FrontierPlanner,
        graph: ExploredGraph,
        model: AdditiveReward,
        start: int,
        random: np.random.Generator,
    ) -> None:
        self._graph, self._start = graph, start
        self._state_cost = planner.state_cost * model.scale
        self._step_cost = planner.step_cost * model.scale
        self._reach = StepBound(graph.effects.displacements, len(graph.position(start)))
        self._tie = _TIE * model.scale
        self._random = random
        self.paths = graph.paths(start)
        self._bounds = [
            bounds + self._tie * random.random(bounds.size)
            for bounds in model.upper_bounds(planner.confidence)
        ]
        self._lists: list[list[float]] = [bounds.tolist() for bounds in self._bounds]
        top = max(self.paths.depths, key=lambda state: self._promise(graph.position(state)))
        self._centres = [graph.position(state) for state in dict.fromkeys((start, top))]

    def options(self) -> Iterator[Option]:
        """Yield all options."""
        yield from self._at_frontier()
        yield from self._not_rewarded()
        yield from self._unknown_effects()
        for state in self._graph.terminals:
            if state in self.paths.depths and state != self._start:
                walked = self._step_cost * self.paths.depths[state]
                yield Option(self._graph.rewards[state] - walked, state, None)

    def _promise(self, position: Position) -> float:
        return sum(bounds[value] for bounds, value in zip(self._lists, position, strict=True))

    def _at_frontier(self) -> Iterator[Option]:
        """Yield the frontier state with the highest score, its path onwards included."""
        depths, terminals = self.paths.depths, self._graph.terminals
        arrivals: list[tuple[int, int, Pair]] = []
        for new, pairs in self._graph.frontier.items():
            ways = [
                (depths[pair[0]], pair)
                for pair in pairs
                if pair[0] in depths and (pair[0] not in terminals or pair[0] == self._start)
            ]
            if ways:
                arrivals.append((new, *min(ways)))
        if not arrivals:
            return
        there = self._graph.positions([arrival[0] for arrival in arrivals])
        goals = self._promising(self._reach.along) | self._known_ends()
        by_axis = [bounds[there[:, axis]] for axis, bounds in enumerate(self._bounds)]
        values = np.sum(by_axis, axis=0)
        if goals:
            steps = self._reach.steps(there[:, np.newaxis, :], np.array(list(goals)))
            beyond = np.array(list(goals.values())) - self._state_cost * steps
            values = np.maximum(values, beyond.max(axis=1))
        walked = np.array([arrival[1] for arrival in arrivals])
        scores = values - self._state_cost - self._step_cost * walked
        best = int(np.argmax(scores))
        yield Option(float(scores[best]), *arrivals[best][2])

    def _promising(self, steps: _Steps) -> dict[Position, float]:
        """Return states without a known reward, and their promise."""
        found: dict[Position, float] = {}
        for centre in self._centres:
            tables = [
                (bounds - self._state_cost * steps(axis, centre[axis], bounds.size)).tolist()
                for axis, bounds in enumerate(self._bounds)
            ]
            new = (p for p in _in_order(tables) if self._graph.index(p) not in self._graph.rewards)
            for position, _ in zip(new, range(_N_CANDIDATES), strict=False):
                found[position] = self._promise(position)
        return found

    def _known_ends(self) -> dict[Position, float]:
        graph = self._graph
        return {graph.position(state): graph.rewards[state] for state in graph.terminals}

    def _not_rewarded(self) -> Iterator[Option]:
        """Yield visited states without a known reward: returning to them costs no generation."""
        graph, depths = self._graph, self.paths.depths
        for state, depth in depths.items():
            if state in graph.rewards:
                continue
            promise = self._promise(graph.position(state))
            if state != self._start:
                yield Option(promise - self._step_cost * depth, state, None)
                continue
            for action, there in graph.neighbours(state).items():
                if there == state:
                    yield Option(promise - self._step_cost, state, action)
                    break

    def _unknown_effects(self) -> Iterator[Option]:
        """Yield actions of unknown effect, at a higher cost if they were idle before."""
        graph = self._graph
        unknown = [a for a, moved in enumerate(graph.effects.displacements) if moved is None]
        if not unknown:
            return
        goals = self._promising(_apart)
        nearest = [s for s, _ in zip(self.paths.depths.items(), range(_NEAREST), strict=False)]
        for state, depth in nearest:
            if state in graph.terminals and state != self._start:
                continue
            position = graph.position(state)
            promises = [
                promise
                - self._state_cost * sum(abs(a - b) for a, b in zip(position, goal, strict=True))
                for goal, promise in goals.items()
            ]
            value = max(promises, default=self._promise(position)) - self._step_cost * depth
            for action in unknown:
                if (state, action) not in graph.outcomes:
                    cost = self._state_cost * (1 + graph.effects.idle[action])
                    yield Option(value - cost + self._tie * self._random.random(), state, action)


def _in_order(tables: Sequence[Sequence[float]]) -> Iterator[Position]:
    """Yield positions by descending sum of their entries, one entry per axis."""
    orders = [sorted(range(len(table)), key=table.__getitem__, reverse=True) for table in tables]
    first = (0,) * len(tables)
    total = sum(table[order[0]] for table, order in zip(tables, orders, strict=True))
    heap, known = [(-total, first)], {first}
    for _ in range(_MOST_ENUMERATED):
        if not heap:
            return
        negated, ranks = heapq.heappop(heap)
        yield tuple(order[rank] for order, rank in zip(orders, ranks, strict=True))
        for axis, (table, order, rank) in enumerate(zip(tables, orders, ranks, strict=True)):
            if rank + 1 < len(order):
                worse = (*ranks[:axis], rank + 1, *ranks[axis + 1 :])
                if worse not in known:
                    known.add(worse)
                    lost = table[order[rank]] - table[order[rank + 1]]
                    heapq.heappush(heap, (negated + lost, worse))


def _apart(axis: int, start: int, size: int) -> npt.NDArray[np.float64]:
    """Return the distances between values of an axis, independent of the actions."""
    return np.abs(np.arange(size) - start).astype(np.float64)


def _untried(graph: ExploredGraph, paths: Paths) -> Option | None:
    """Return the nearest pair of state and action that was never tried."""
    for state in paths.depths:
        if state not in graph.terminals:
            for action in range(len(graph.effects.displacements)):
                if (state, action) not in graph.outcomes:
                    return Option(-math.inf, state, action)
    return None


def _best_known(graph: ExploredGraph, paths: Paths) -> Option:
    """Return the state that paid most, the nearest among equals."""
    state = max(paths.depths, key=lambda state: graph.rewards.get(state, -math.inf))
    return Option(-math.inf, state, None)
