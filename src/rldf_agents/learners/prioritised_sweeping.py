"""Prioritised sweeping on a learned model (Moore & Atkeson 1993; Sutton & Barto §8.4).

Rewards and moves are taken to be deterministic: the model of a state-action pair is the last
outcome that was observed there.
"""

from __future__ import annotations

import heapq
import math

Pair = tuple[int, int]
"""A state and an action, by their indices."""

Outcome = tuple[float, int, bool]
"""What an action led to: the reward, the next state and whether it is terminal."""

_STALE_ENTRIES = 1024


class PriorityQueue:
    """Pairs by priority, the highest first; equal ones in ascending order of the pair.

    Attributes:
        priorities: by pair.
        heap: a heap of these, negated, and of outdated entries.
    """

    def __init__(self) -> None:
        self.priorities: dict[Pair, float] = {}
        self.heap: list[tuple[float, Pair]] = []

    def push(self, pair: Pair, priority: float) -> None:
        """Put a pair in, or raise its priority; one that is there with a higher one keeps it."""
        if priority <= self.priorities.get(pair, -math.inf):
            return
        self.priorities[pair] = priority
        heapq.heappush(self.heap, (-priority, pair))
        if len(self.heap) > 2 * len(self.priorities) + _STALE_ENTRIES:
            self.rebuild()

    def pop(self) -> Pair:
        """Take out the first pair; IndexError if there is none."""
        while True:
            priority, pair = heapq.heappop(self.heap)
            if self.priorities.get(pair) == -priority:
                del self.priorities[pair]
                return pair

    def rebuild(self) -> None:
        """Make a new heap of the priorities."""
        self.heap = [(-priority, pair) for pair, priority in self.priorities.items()]
        heapq.heapify(self.heap)


class PrioritisedSweeping:
    """``Q(s, a) <- r + gamma max Q(s', .)`` on the model, the largest expected changes first.

    The step size is 1: an outcome that is always the same needs no averaging. In a stochastic
    environment a value therefore follows the last outcome.

    Args:
        gamma: discount, in [0, 1).
        threshold: theta; expected changes of at most this are not worth an update.

    Attributes:
        values: Q(s, .) by state, of all states of the model that are not terminal.
        outcomes: the last one by state-action pair, in the order in which they were first tried.
        predecessors: by state, the pairs whose last outcome was to continue there.
        queue: the pairs that are worth an update.
    """

    def __init__(self, gamma: float, threshold: float) -> None:
        self._gamma = gamma
        self._threshold = threshold
        self.values: dict[int, list[float]] = {}
        self.outcomes: dict[Pair, Outcome] = {}
        self.predecessors: dict[int, dict[Pair, None]] = {}
        self.queue = PriorityQueue()

    def observe(self, pair: Pair, outcome: Outcome) -> None:
        """Learn an outcome, and queue its pair if its value should change."""
        _, before, was_terminal = self.outcomes.get(pair, (0.0, -1, True))
        if not was_terminal:
            self.predecessors[before].pop(pair)
        self.outcomes[pair] = outcome
        _, next_state, terminal = outcome
        if not terminal:
            self.predecessors.setdefault(next_state, {})[pair] = None
        self._queue(pair, self._target(outcome))

    def plan(self, updates: int) -> int:
        """Make at most so many updates, fewer when the queue runs empty; return how many."""
        for done in range(updates):
            if not self.queue.priorities:
                return done
            self._update(self.queue.pop())
        return updates

    def _update(self, pair: Pair) -> None:
        state, action = pair
        values = self.values[state]
        before = max(values)
        values[action] = self._target(self.outcomes[pair])
        after = max(values)
        if after != before:
            for predecessor in self.predecessors.get(state, ()):
                reward, _, _ = self.outcomes[predecessor]
                self._queue(predecessor, reward + self._gamma * after)

    def _target(self, outcome: Outcome) -> float:
        reward, next_state, terminal = outcome
        return reward + self._gamma * (0.0 if terminal else max(self.values[next_state]))

    def _queue(self, pair: Pair, target: float) -> None:
        state, action = pair
        change = abs(target - self.values[state][action])
        if change > self._threshold:
            self.queue.push(pair, change)
