"""Which steps of a search are worth a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rldf_agents.applications.history import StepLog
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.rendering import trajectory_strip

N_BEST = 6
N_FRAMES = 8

Picture = tuple[tuple[int, ...], int | None]
"""A state, one label for each axis, and the seed of its image."""


@dataclass(frozen=True, eq=False)
class StateVisit:
    """A state to show, and when and how it was visited.

    Attributes:
        state: one label for each axis.
        step: of the run, from 1; None where an episode started, and for an image generated after
            the walk.
        reward: for arriving there; None with ``step``.
        similarity: cosine to the target's CLIP embedding; None where an episode started.
        distance: L1 to the goal state.
        matches: whether the image reads as the target; None where an episode started.
        seed: of the image; None for the seed of the search.
        attributes: the state of a wider grammar whose image it is; () where there is none.
    """

    state: tuple[int, ...]
    step: int | None
    reward: float | None
    similarity: float | None
    distance: int
    matches: bool | None
    seed: int | None = None
    attributes: tuple[int, ...] = ()

    @property
    def picture(self) -> Picture:
        """What identifies the image."""
        return self.state, self.seed


@dataclass(frozen=True, eq=False)
class Frame:
    """A visit with the state's prompt and its image, uint8 ``[H, W, 3]``.

    ``attributes`` are the values of the axes that vary among variations, by name.
    """

    visit: StateVisit
    prompt: str
    picture: npt.NDArray[np.uint8]
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, evaluator: StateEvaluator, visit: StateVisit) -> Frame:
        """Return the frame of a state that was evaluated."""
        state = np.array(visit.state)
        seeded = evaluator if visit.seed is None else evaluator.with_seed(visit.seed)
        return cls(visit, evaluator.grammar.decode(state), seeded.picture(state))

    @property
    def at_goal(self) -> bool:
        """Whether this is the goal state."""
        return self.visit.distance == 0


def best_visits(
    steps: Sequence[StepLog],
    trials: Sequence[StateVisit] = (),
    at_most: int = N_BEST,
) -> list[StateVisit]:
    """Return images that match the target, those of the walk by reward, and the others.

    A state appears once, at its first visit, unless a trial generated another image of it.

    Args:
        steps: of the whole run.
        trials: images beside it.
        at_most: how many to return.
    """
    found = [trial for trial in trials if trial.matches]
    others = [trial for trial in trials if not trial.matches]
    first: dict[tuple[int, ...], int] = {}
    for index, step in enumerate(steps):
        first.setdefault(step.state, index)

    def rank(index: int) -> tuple[bool, float, float, int]:
        step = steps[index]
        return not step.matches, -step.reward, -step.similarity, index

    ranked = [_arrival(steps, index) for index in sorted(first.values(), key=rank)]
    return [*found, *ranked, *others][:at_most]


def significant_visits(
    steps: Sequence[StepLog], goal: Sequence[int], at_most: int = N_FRAMES
) -> list[StateVisit]:
    """The best episode where it starts, at every step closer to the goal, and where it ends.

    The best episode comes closest to the goal, and among those that do, from the farthest away:
    it has the most to show. The paper's Fig. 12 leaves out intermediate steps likewise.

    Args:
        steps: of the whole run, at least one.
        goal: state, one label for each axis.
        at_most: as many are kept, evenly spread, the first and the last among them; at least 2.
    """
    start, end = _best_episode(steps, goal)
    origin = steps[start].origin
    closest = distance_between(origin, goal)
    visits = [StateVisit(origin, None, None, None, closest, None)]
    for index in range(start, end):
        if steps[index].distance < closest or index == end - 1:
            closest = min(closest, steps[index].distance)
            visits.append(_arrival(steps, index))
    if len(visits) <= at_most:
        return visits
    kept = np.linspace(0, len(visits) - 1, at_most).round().astype(int)
    return [visits[index] for index in kept]


def trajectory_picture(
    frames: Sequence[Frame], target: npt.NDArray[np.uint8], target_caption: str
) -> npt.NDArray[np.uint8]:
    """The paper's Fig. 12: the target beside the frames, uint8 ``[H, W, 3]``."""
    strip = trajectory_strip(
        [frame.picture for frame in frames],
        [f"{when(frame.visit)}: {frame.prompt}" for frame in frames],
        target,
        target_caption,
        highlighted=[number for number, frame in enumerate(frames) if frame.at_goal],
        columns=4,
        size=224,
    )
    return np.asarray(strip)


def when(visit: StateVisit) -> str:
    """Return when a state was visited, for a caption."""
    if visit.seed is not None:
        return f"seed {visit.seed}"
    return "start" if visit.step is None else f"step {visit.step}"


def _arrival(steps: Sequence[StepLog], index: int) -> StateVisit:
    step = steps[index]
    return StateVisit(
        step.state, index + 1, step.reward, step.similarity, step.distance, step.matches
    )


def _best_episode(steps: Sequence[StepLog], goal: Sequence[int]) -> tuple[int, int]:
    """Indices of its first step and of the one after its last."""
    edges = [i for i, m in enumerate(steps) if i == 0 or m.episode != steps[i - 1].episode]
    episodes = list(zip(edges, [*edges[1:], len(steps)], strict=True))

    def merit(episode: tuple[int, int]) -> tuple[int, int, int]:
        start, end = episode
        closest = min(step.distance for step in steps[start:end])
        return -closest, distance_between(steps[start].origin, goal), -start

    return max(episodes, key=merit)


def distance_between(state: Sequence[int], goal: Sequence[int]) -> int:
    """Return the L1 distance of two states, one label for each axis."""
    return sum(abs(a - b) for a, b in zip(state, goal, strict=True))
