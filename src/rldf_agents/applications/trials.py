"""Images generated after the walk, where the goal state's own image does not match the target."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from rldf_agents.applications.trajectory import StateVisit, distance_between
from rldf_gym.evaluator import StateEvaluator, neighbours
from rldf_gym.goal import Goal

_LARGEST_SEED = 2**63 - 1


def try_further_images(
    evaluator: StateEvaluator, goal: Goal, more_seeds: int, visited: Collection[tuple[int, ...]]
) -> Iterator[StateVisit]:
    """Yield images of the goal state with further seeds, then of its neighbours, until one matches.

    The prompt of the goal state says what was read in the target, so another seed is the likeliest
    remedy. Of the states one unit away, those that the walk visited are known not to match.

    Args:
        evaluator: of the search, with the seed that its images have.
        goal: of the search.
        more_seeds: how many further seeds to try.
        visited: states of the walk, which are not tried again with the same seed.
    """
    first_seed = evaluator.generation_seed
    seeds = range(first_seed + 1, min(first_seed + more_seeds, _LARGEST_SEED) + 1)
    candidates = [(goal.state, seed) for seed in seeds]
    grammar = evaluator.grammar
    around = (grammar.state(index) for index in neighbours(grammar, grammar.index(goal.state)))
    candidates += [(s, first_seed) for s in around if tuple(s.tolist()) not in visited]
    for state, seed in candidates:
        trial = look_at(evaluator, goal, state, seed)
        yield trial
        if trial.matches:
            return


def look_at(
    evaluator: StateEvaluator, goal: Goal, state: NDArray[np.int64], seed: int
) -> StateVisit:
    """Return what is read in a state's image with a seed, generated if the store has none."""
    [reading] = evaluator.with_seed(seed).readings(state[np.newaxis])
    labels = tuple(state.tolist())
    return StateVisit(
        state=labels,
        step=None,
        reward=None,
        similarity=float(reading.embedding @ goal.reading.embedding),
        distance=distance_between(labels, goal.state.tolist()),
        matches=bool(np.array_equal(reading.values, goal.reading.values)),
        seed=seed,
    )
