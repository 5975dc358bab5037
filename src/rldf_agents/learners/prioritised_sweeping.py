"""Prioritised sweeping on a learned model (Moore & Atkeson 1993; Sutton & Barto §8.4).

Rewards and moves are taken to be deterministic: the model of a state-action pair is the last
outcome that was seen there.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from rldf_agents.learners.action_values import ActionValues, Tensors

Pair = tuple[int, int]
"""A state and an action, by their numbers."""

_STALE_ENTRIES = 1024


class Outcome(NamedTuple):
    """What an action led to."""

    reward: float
    next_state: int
    terminal: bool


class DeterministicModel:
    """The last outcome of every action tried, and which pairs lead to a state.

    Attributes:
        outcomes: by state-action pair, in the order in which they were first tried.
    """

    def __init__(self) -> None:
        self.outcomes: dict[Pair, Outcome] = {}
        self._predecessors: dict[int, set[Pair]] = {}

    def learn(self, pair: Pair, outcome: Outcome) -> None:
        """Take over an outcome; it replaces an earlier one of the same pair."""
        known = self.outcomes.get(pair)
        if known is not None and not known.terminal:
            self._predecessors[known.next_state].discard(pair)
        self.outcomes[pair] = outcome
        if not outcome.terminal:
            self._predecessors.setdefault(outcome.next_state, set()).add(pair)

    def predecessors(self, state: int) -> Collection[Pair]:
        """Return the pairs whose last outcome was to go on from this state."""
        return self._predecessors.get(state, ())

    def tensors(self) -> Tensors:
        """Return all outcomes: pairs int64 [n, 2], rewards float64 [n], states and ends [n]."""
        outcomes = self.outcomes.values()
        return {
            "model_pairs": _pairs_array(self.outcomes),
            "model_rewards": np.array([o.reward for o in outcomes], dtype=np.float64),
            "model_next_states": np.array([o.next_state for o in outcomes], dtype=np.int64),
            "model_terminal": np.array([o.terminal for o in outcomes], dtype=np.bool_),
        }

    def restore(self, tensors: Tensors) -> None:
        """Take over what ``tensors`` returned."""
        self.outcomes.clear()
        self._predecessors.clear()
        names = ("model_rewards", "model_next_states", "model_terminal")
        columns = (tensors[name].tolist() for name in names)
        for pair, *outcome in zip(_pairs(tensors["model_pairs"]), *columns, strict=True):
            self.learn(pair, Outcome(*outcome))


class PriorityQueue:
    """Pairs by priority, the highest first; equal ones in ascending order of the pair.

    The order depends on what it holds alone, not on how that came in: a restored queue hands out
    the same pairs as the saved one.
    """

    def __init__(self) -> None:
        self._priorities: dict[Pair, float] = {}
        self._heap: list[tuple[float, Pair]] = []

    def __len__(self) -> int:
        return len(self._priorities)

    def push(self, pair: Pair, priority: float) -> None:
        """Put a pair in, or raise its priority; one that is there with a higher one keeps it."""
        if priority <= self._priorities.get(pair, -math.inf):
            return
        self._priorities[pair] = priority
        heapq.heappush(self._heap, (-priority, pair))
        if len(self._heap) > 2 * len(self._priorities) + _STALE_ENTRIES:
            self._rebuild()

    def pop(self) -> Pair:
        """Take out the first pair; IndexError if there is none."""
        while True:
            priority, pair = heapq.heappop(self._heap)
            if self._priorities.get(pair) == -priority:
                del self._priorities[pair]
                return pair

    def tensors(self) -> Tensors:
        """Return its content, in ascending order: pairs int64 [n, 2], priorities float64 [n]."""
        pairs = sorted(self._priorities)
        priorities = [self._priorities[pair] for pair in pairs]
        return {
            "queue_pairs": _pairs_array(pairs),
            "queue_priorities": np.array(priorities, dtype=np.float64),
        }

    def restore(self, tensors: Tensors) -> None:
        """Take over what ``tensors`` returned."""
        priorities = tensors["queue_priorities"].tolist()
        self._priorities = dict(zip(_pairs(tensors["queue_pairs"]), priorities, strict=True))
        self._rebuild()

    def _rebuild(self) -> None:
        self._heap = [(-priority, pair) for pair, priority in self._priorities.items()]
        heapq.heapify(self._heap)


class PrioritisedSweeping:
    """``Q(s, a) <- r + gamma max Q(s', .)`` on the model, the largest expected changes first.

    The step size is 1: an outcome that is always the same needs no averaging. In a stochastic
    environment a value therefore follows the last outcome.

    Args:
        values: the table that planning improves.
        gamma: discount, in [0, 1).
        threshold: theta; expected changes of at most this are not worth an update.

    Attributes:
        model: what is known.
        queue: what is worth an update.
    """

    def __init__(self, values: ActionValues, gamma: float, threshold: float) -> None:
        self._values = values
        self._gamma = gamma
        self._threshold = threshold
        self.model = DeterministicModel()
        self.queue = PriorityQueue()

    def observe(self, pair: Pair, outcome: Outcome) -> None:
        """Learn an outcome, and queue its pair if its value should change."""
        self.model.learn(pair, outcome)
        value = 0.0 if outcome.terminal else max(self._values.row(outcome.next_state))
        self._queue(pair, outcome.reward + self._gamma * value)

    def plan(self, updates: int) -> int:
        """Make at most so many updates, fewer when the queue runs empty; return how many."""
        for done in range(updates):
            if not self.queue:
                return done
            self._update(self.queue.pop())
        return updates

    def _update(self, pair: Pair) -> None:
        state, action = pair
        values = self._values
        outcome = self.model.outcomes[pair]
        before = max(values.row(state))
        following = 0.0 if outcome.terminal else max(values.row(outcome.next_state))
        values.update(state, action, outcome.reward + self._gamma * following)
        after = max(values.row(state))
        if after != before:
            outcomes = self.model.outcomes
            for predecessor in self.model.predecessors(state):
                self._queue(predecessor, outcomes[predecessor].reward + self._gamma * after)

    def _queue(self, pair: Pair, target: float) -> None:
        change = abs(target - self._values.row(pair[0])[pair[1]])
        if change > self._threshold:
            self.queue.push(pair, change)


def _pairs_array(pairs: Collection[Pair]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(list(pairs), dtype=np.int64).reshape(len(pairs), 2)


def _pairs(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> list[Pair]:
    return [(state, action) for state, action in array.tolist()]
