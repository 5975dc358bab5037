"""Which moments of a search are worth a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rldf_agents.applications.history import Moment
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.rendering import trajectory_strip

N_BEST = 6
N_FRAMES = 8


@dataclass(frozen=True, eq=False)
class Shown:
    """A state to show, and when and how it was visited.

    Attributes:
        state: one label for each axis.
        step: of the run, from 1; None where the episode started: no step led there.
        reward: for arriving there; None with ``step``.
        similarity: cosine to the target's CLIP embedding; None with ``step``.
        distance: L1 to the goal state.
    """

    state: tuple[int, ...]
    step: int | None
    reward: float | None
    similarity: float | None
    distance: int


@dataclass(frozen=True, eq=False)
class Frame:
    """A shown state with its sentence and its picture, uint8 ``[H, W, 3]``."""

    shown: Shown
    prompt: str
    picture: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, world: StateEvaluator, shown: Shown) -> Frame:
        """The frame of a state that this world has drawn."""
        state = np.array(shown.state)
        return cls(shown, world.grammar.decode(state), world.picture(state))

    @property
    def at_goal(self) -> bool:
        """Whether this is the goal state."""
        return self.shown.distance == 0


def best_moments(moments: Sequence[Moment], at_most: int = N_BEST) -> list[Shown]:
    """The first visits to the states of highest reward; ties go to the higher CLIP similarity."""
    first: dict[tuple[int, ...], int] = {}
    for index, moment in enumerate(moments):
        first.setdefault(moment.state, index)
    ranked = sorted(first.values(), key=lambda i: (-moments[i].reward, -moments[i].similarity, i))
    return [_arrival(moments, index) for index in ranked[:at_most]]


def significant_moments(
    moments: Sequence[Moment], goal: Sequence[int], at_most: int = N_FRAMES
) -> list[Shown]:
    """The best episode where it starts, at every step closer to the goal, and where it ends.

    The best episode comes closest to the goal, and among those that do, from the farthest away:
    it has the most to show. The paper's Fig. 12 leaves out intermediate steps likewise.

    Args:
        moments: of the whole run, at least one.
        goal: state, one label for each axis.
        at_most: as many are kept, evenly spread, the first and the last among them; at least 2.
    """
    start, end = _best_episode(moments, goal)
    origin = moments[start].origin
    closest = _distance(origin, goal)
    shown = [Shown(origin, None, None, None, closest)]
    for index in range(start, end):
        if moments[index].distance < closest or index == end - 1:
            closest = min(closest, moments[index].distance)
            shown.append(_arrival(moments, index))
    if len(shown) <= at_most:
        return shown
    kept = np.linspace(0, len(shown) - 1, at_most).round().astype(int)
    return [shown[index] for index in kept]


def trajectory_picture(
    frames: Sequence[Frame], target: npt.NDArray[np.uint8], target_caption: str
) -> npt.NDArray[np.uint8]:
    """The paper's Fig. 12: the target beside the frames, uint8 ``[H, W, 3]``."""
    strip = trajectory_strip(
        [frame.picture for frame in frames],
        [f"{when(frame.shown)}: {frame.prompt}" for frame in frames],
        target,
        target_caption,
        highlighted=[number for number, frame in enumerate(frames) if frame.at_goal],
        columns=4,
        size=224,
    )
    return np.asarray(strip)


def when(shown: Shown) -> str:
    """When a state was visited, for a caption."""
    return "start" if shown.step is None else f"step {shown.step}"


def _arrival(moments: Sequence[Moment], index: int) -> Shown:
    moment = moments[index]
    return Shown(moment.state, index + 1, moment.reward, moment.similarity, moment.distance)


def _best_episode(moments: Sequence[Moment], goal: Sequence[int]) -> tuple[int, int]:
    """Indices of its first moment and of the one after its last."""
    edges = [i for i, m in enumerate(moments) if i == 0 or m.episode != moments[i - 1].episode]
    episodes = list(zip(edges, [*edges[1:], len(moments)], strict=True))

    def merit(episode: tuple[int, int]) -> tuple[int, int, int]:
        start, end = episode
        closest = min(moment.distance for moment in moments[start:end])
        return -closest, _distance(moments[start].origin, goal), -start

    return max(episodes, key=merit)


def _distance(state: Sequence[int], goal: Sequence[int]) -> int:
    return sum(abs(a - b) for a, b in zip(state, goal, strict=True))
