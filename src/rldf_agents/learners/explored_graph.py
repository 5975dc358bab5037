"""The observed part of a deterministic environment: states, outcomes and the frontier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rldf_agents.learners.action_effects import ActionEffects
from rldf_agents.learners.space_index import Grid, Indices, Position

Pair = tuple[int, int]
"""State and action."""


class Paths(NamedTuple):
    """Shortest ways through known states, from one state to all that can be reached."""

    depths: dict[int, int]
    """Number of steps by state, in ascending order."""
    arrivals: dict[int, Pair]
    """The last step on the way to each state but the first."""

    def actions(self, state: int) -> list[int]:
        """Return the actions that lead to a state."""
        actions = []
        while state in self.arrivals:
            state, action = self.arrivals[state]
            actions.append(action)
        return actions[::-1]


class ExploredGraph:
    """The states met so far, joined by what actions did, or should do where not tried.

    ``SpaceIndex`` numbers the states. A pair that was tried leads where it last led; for others
    the displacement of the action predicts it.

    Args:
        sizes: values on each axis of the observation.
        action_sizes: values of each component of the action.

    Attributes:
        effects: what is known of the actions' displacements.
        outcomes: the next state of each state and action tried.
        rewards: of the states arrived at, as first received.
        terminals: the states that ended an episode, in the order of being found.
        frontier: states not met that a single action should lead to, with those actions.
    """

    def __init__(self, sizes: Sequence[int], action_sizes: Sequence[int]) -> None:
        self._grid = Grid(sizes)
        self.effects = ActionEffects(sizes, action_sizes)
        self.outcomes: dict[Pair, int] = {}
        self.rewards: dict[int, float] = {}
        self.terminals: dict[int, None] = {}
        self.frontier: dict[int, dict[Pair, None]] = {}
        self._neighbours: dict[int, dict[int, int]] = {}
        """By state met and action: the next state, if that was met too."""

    def __contains__(self, state: int) -> bool:
        """Whether the state was met."""
        return state in self._neighbours

    def position(self, state: int) -> Position:
        """Return the value on each axis."""
        return self._grid.position(state)

    def positions(self, states: Sequence[int]) -> Indices:
        """Return the values on each axis of several states, int64 [n, n_axes]."""
        return self._grid.positions(states)

    def index(self, position: Sequence[int]) -> int:
        """Return the index of a state."""
        return self._grid.index(position)

    def meet(self, state: int) -> None:
        """Add a state; nothing happens if it is known."""
        if state in self._neighbours:
            return
        self._neighbours[state] = {}
        for source, action in self.frontier.pop(state, ()):
            self._neighbours[source][action] = state
        self._link(state)

    def record(self, pair: Pair, next_state: int, terminated: bool) -> None:
        """Add what an action did, both states included."""
        state, action = pair
        if terminated:
            self.terminals[next_state] = None
        self.meet(state)
        self.meet(next_state)
        self._unlink(pair)
        self.outcomes[pair] = next_state
        self._neighbours[state][action] = next_state
        before, after = self.position(state), self.position(next_state)
        if self.effects.observe(action, before, after):
            self._relink()

    def successor(self, state: int, action: int) -> int | None:
        """Return the next state, tried or predicted, met or not; None if nothing is known."""
        known = self.outcomes.get((state, action))
        if known is not None:
            return known
        position = self.effects.predict(self.position(state), action)
        return None if position is None else self.index(position)

    def neighbours(self, state: int) -> dict[int, int]:
        """Return the next states by action, those that were met."""
        if state in self._neighbours:
            return self._neighbours[state]
        found = {a: self.successor(state, a) for a in range(len(self.effects.displacements))}
        return {a: there for a, there in found.items() if there is not None and there in self}

    def paths(self, start: int) -> Paths:
        """Return the shortest ways through states that were met; none leads on from a terminal."""
        depths, arrivals, queue = {start: 0}, {}, [start]
        for state in queue:
            if state in self.terminals and state != start:
                continue
            depth = depths[state] + 1
            for action, there in self.neighbours(state).items():
                if there not in depths:
                    depths[there] = depth
                    arrivals[there] = (state, action)
                    queue.append(there)
        return Paths(depths, arrivals)

    def _link(self, state: int) -> None:
        position = self.position(state)
        neighbours = self._neighbours[state]
        for action in range(len(self.effects.displacements)):
            if (state, action) in self.outcomes:
                continue
            predicted = self.effects.predict(position, action)
            if predicted is None:
                continue
            there = self.index(predicted)
            if there in self._neighbours:
                neighbours[action] = there
            else:
                self.frontier.setdefault(there, {})[state, action] = None

    def _unlink(self, pair: Pair) -> None:
        """Forget where a pair was predicted to lead."""
        predicted = self.successor(*pair)
        if predicted in self.frontier:
            self.frontier[predicted].pop(pair, None)
            if not self.frontier[predicted]:
                del self.frontier[predicted]

    def _relink(self) -> None:
        """Predict anew from every state: what is known of the actions has changed."""
        self.frontier.clear()
        for state, neighbours in self._neighbours.items():
            tried = {a: there for a, there in neighbours.items() if (state, a) in self.outcomes}
            neighbours.clear()
            neighbours.update(tried)
            self._link(state)
