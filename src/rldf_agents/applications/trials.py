"""Images generated beside the walk: what may match, and variations of what does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rldf_agents.applications.trajectory import Picture, StateVisit, distance_between
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal
from rldf_gym.grammar.enumeration import neighbours
from rldf_gym.perception import Reading

_LARGEST_SEED = 2**63 - 1

Seeded = tuple[tuple[int, ...], int]
"""A state and the seed of its image."""


def further_images(
    evaluator: StateEvaluator, goal: Goal, more_seeds: int, known: Collection[Picture]
) -> Iterator[Seeded]:
    """Yield the goal state with further seeds, then its neighbours.

    The prompt of the goal state says what was read in the target, so another seed is the likeliest
    remedy.

    Args:
        evaluator: of the search, with the seed that its images have.
        goal: of the search.
        more_seeds: how many further seeds to try.
        known: pictures that are known not to match.
    """
    first = evaluator.generation_seed
    grammar, state = evaluator.grammar, tuple(goal.state.tolist())
    candidates = [(state, seed) for seed in (first, *seeds_after(first, more_seeds))]
    around = neighbours(grammar, grammar.index(goal.state))
    candidates += [(tuple(grammar.state(index).tolist()), first) for index in around]
    for candidate in candidates:
        if candidate not in known:
            yield candidate


def variations(
    first: int, states: Sequence[tuple[int, ...]], known: Collection[Picture]
) -> Iterator[Seeded]:
    """Yield states at further seeds, in turns, without end.

    Args:
        first: the seed that the images of the search have.
        states: at least one, whose images matched or are likely to.
        known: pictures that are left out.
    """
    # itertools.product would first make a list of all seeds.
    for state, seed in ((state, seed) for seed in seeds_after(first) for state in states):
        if (state, seed) not in known:
            yield state, seed


def seeds_after(first: int, at_most: int = _LARGEST_SEED) -> Iterable[int]:
    """Return the seeds that follow a seed, as far as there are any."""
    return range(first + 1, min(first + at_most, _LARGEST_SEED) + 1)


def look_at(evaluator: StateEvaluator, goal: Goal, images: Sequence[Seeded]) -> list[StateVisit]:
    """Return what is read in images of states with seeds, generated where the store has none."""
    readings = evaluator.readings([s for s, _ in images], [seed for _, seed in images])
    return [visit_of(goal, *image, r) for image, r in zip(images, readings, strict=True)]


def visit_of(goal: Goal, state: tuple[int, ...], seed: int, reading: Reading) -> StateVisit:
    """Return what a reading of a state's image with a seed says of the goal."""
    return StateVisit(
        state=state,
        step=None,
        reward=None,
        similarity=float(reading.embedding @ goal.reading.embedding),
        distance=distance_between(state, goal.state.tolist()),
        matches=bool(np.array_equal(reading.values, goal.reading.values)),
        seed=seed,
    )


def copy_distances(target: NDArray[np.uint8], pictures: Sequence[NDArray[np.uint8]]) -> list[float]:
    """Return how far pictures are from being copies of the target, pixel by pixel.

    Args:
        target: uint8 ``[H, W, 3]``.
        pictures: uint8 ``[h, w, 3]`` each.

    Returns:
        For each picture the root mean square of the differences of its pixels, 0 to 1, from the
        target's at the same size, or from those of the target's mirror image if they are nearer.
    """
    from PIL import Image

    distances = []
    for picture in pictures:
        size = (picture.shape[1], picture.shape[0])
        scaled = np.asarray(Image.fromarray(target).resize(size), np.float32)
        off = [np.sqrt(np.square(each - picture).mean()) for each in (scaled, scaled[:, ::-1])]
        distances.append(float(min(off)) / 255)
    return distances
