"""Reward functions: the paper's three (Eqs. 2 to 6), a penalty, and the registry of names.

A reward compares what was read in generated images with what was read in the target. The state
and its distance to the goal are never part of it (paper, Discussion 4).

A reward is one function over a batch, ``(readings, goal) -> float32 [n]``. Environments, atlas and
command line call the same function, by a registered name, by ``package.module:function``, or as an
object::

    @register_reward("scene_confidence")
    def scene_confidence(readings: Readings, goal: Goal) -> NDArray[np.float32]:
        scene = goal.grammar.axis_index("scene")
        right = readings.values[:, scene] == goal.state[scene]
        return np.where(right, readings.confidence[:, scene], 0)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.goal import Goal, least_confidence
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Readings
from rldf_gym.registry import resolve

RewardFunction = Callable[[Readings, Goal], NDArray[np.float32]]
"""Readings of ``n`` images and the goal to the reward of each image, float32 ``[n]``."""

Reward = str | RewardFunction
"""A name in `REWARDS`, ``package.module:function``, or the function itself."""

DEFAULT_REWARD = "multi_semantic"

REWARDS: dict[str, RewardFunction] = {}
"""Reward functions by the names that ``reward=`` accepts; `register_reward` adds one."""

_Function = TypeVar("_Function", bound=RewardFunction)


class RewardError(RLDFError):
    """An unknown reward, or one that gives no finite number for every image."""


def register_reward(name: str) -> Callable[[_Function], _Function]:
    """Return a decorator that registers a reward function under a name."""

    def register(function: _Function) -> _Function:
        REWARDS[name] = function
        return function

    return register


def resolve_reward(reward: Reward) -> RewardFunction:
    """Return the reward function of a name, or the function itself.

    Raises:
        RewardError: an unknown name (lists the known ones), or no function.
    """
    if isinstance(reward, str):
        try:
            reward = resolve("reward", reward, REWARDS)
        except RLDFError as error:
            raise RewardError(str(error)) from error
    if not callable(reward):
        raise RewardError(f"the reward is {reward!r}; give a name or a function of readings, goal")
    function: RewardFunction = reward
    return function


def evaluate_reward(reward: RewardFunction, readings: Readings, goal: Goal) -> NDArray[np.float32]:
    """Call a reward function and check what it returns.

    Returns:
        float32 ``[n]``.

    Raises:
        RewardError: the result has another shape or type, or holds NaN or infinity.
    """
    result = np.asarray(reward(readings, goal))
    if result.shape != (len(readings),) or result.dtype.kind not in "biuf":
        raise RewardError(
            f"the reward {_name(reward)} returned {result.dtype} {list(result.shape)} for"
            f" {len(readings)} images; it must return float32 [{len(readings)}]"
        )
    if not np.isfinite(result).all():
        first = int(np.flatnonzero(~np.isfinite(result))[0])
        raise RewardError(
            f"the reward {_name(reward)} returned {result[first]} for the image read as"
            f" {readings.values[first].tolist()}; it must return finite numbers"
        )
    return result.astype(np.float32, copy=False)


def fine_gain(values: ArrayLike, goal: ArrayLike, grammar: Grammar) -> NDArray[np.int64]:
    """Count the fine axes (objects, counts, people, actions, attributes) read as in the goal.

    A count is a gain only where its object is right.

    Args:
        values: int ``[..., n_axes]``, read from images, -1 where nothing could be read.
        goal: int ``[n_axes]``.
        grammar: decides which axes are fine.

    Returns:
        int64 ``[...]``, from 0 to the number of fine axes.
    """
    matched = np.asarray(values) == np.asarray(goal)
    for axis in range(grammar.n_axes):
        counted = grammar.counted_axis(axis)
        if counted is not None:
            matched[..., axis] &= matched[..., counted]
    return np.asarray(matched[..., list(grammar.fine_axes)].sum(axis=-1, dtype=np.int64))


def coarse_gain(values: ArrayLike, goal: ArrayLike, grammar: Grammar) -> NDArray[np.int64]:
    """Count the coarse axes (the scene) read as in the goal, int64 ``[...]``; see `fine_gain`."""
    matched = np.asarray(values) == np.asarray(goal)
    return np.asarray(matched[..., list(grammar.coarse_axes)].sum(axis=-1, dtype=np.int64))


@register_reward("multi_semantic")
def multi_semantic(
    readings: Readings, goal: Goal, c: float = 1.0, c_s: float = 1.0
) -> NDArray[np.float32]:
    """Return ``C`` for every fine axis read as in the goal, ``+C_s`` or ``-C_s`` for the scene.

    The paper's reward 1 (Eqs. 2 to 4), dense. ``functools.partial(multi_semantic, c=2.0)`` is the
    same reward with other constants.
    """
    fine = fine_gain(readings.values, goal.state, goal.grammar)
    return (c * fine + _scene_term(readings, goal, c_s)).astype(np.float32)


@register_reward("partial_semantic")
def partial_semantic(readings: Readings, goal: Goal, c_s: float = 1.0) -> NDArray[np.float32]:
    """Return ``+C_s`` if the scene is read as in the goal, else ``-C_s``.

    The paper's reward 2 (Eq. 5), sparse.

    Raises:
        RewardError: the grammar has no scene, so that this reward would always be 0.
    """
    grammar = goal.grammar
    if not grammar.coarse_axes:
        raise RewardError(
            f"reward 'partial_semantic' compares scenes, and the grammar {grammar.name!r} has"
            f" none (its axes: {', '.join(grammar.axis_names)}); use 'multi_semantic' or 'clip'"
        )
    return _scene_term(readings, goal, c_s).astype(np.float32)


@register_reward("clip")
def clip(readings: Readings, goal: Goal) -> NDArray[np.float32]:
    """Return the cosine of each image's CLIP embedding with the target's, -1 to 1.

    The paper's reward 3 (Eq. 6). Where there is no image, it is -1.
    """
    # Unlike a product of matrices, this gives the same bits in a batch of any size.
    cosines = np.einsum("nd,d->n", readings.embedding, goal.reading.embedding)
    return np.where(np.any(readings.embedding, axis=1), cosines, np.float32(-1))


def nothing_recognised(readings: Readings, grammar: Grammar) -> NDArray[np.bool_]:
    """Return in which images no axis was read with confidence (Discussion 8): bool ``[n]``.

    The least confidence is `rldf_gym.goal.least_confidence`.
    """
    confident = readings.confidence >= least_confidence(grammar)
    return np.asarray(~np.any((readings.values >= 0) & confident, axis=-1))


@dataclass(frozen=True)
class UnrecognisedPenalty:
    """Reward function that subtracts a penalty where nothing is recognised (Discussion 8).

    The paper names this idea and leaves it out, to keep learning apart from human guidance. To end
    episodes at such images too, use ``stop_at=("goal_state", "unrecognised")``.

    Attributes:
        reward: the reward that the penalty is subtracted from.
        penalty: at least 0.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.rewards import UnrecognisedPenalty
        >>> env = gym.make("RLDF-v0", reward=UnrecognisedPenalty("clip", penalty=5.0))
        >>> _ = env.reset(seed=0)
        >>> _, reward, _, _, _ = env.step([0, 1])
        >>> -6.0 <= reward <= 1.0
        True
    """

    reward: Reward = DEFAULT_REWARD
    penalty: float = 1.0

    def __post_init__(self) -> None:
        """Check reward and penalty.

        Raises:
            RewardError: an unknown reward, or a penalty that is negative or no number.
        """
        resolve_reward(self.reward)
        if not 0 <= self.penalty < np.inf:
            raise RewardError(f"the penalty is {self.penalty!r}; give a number of at least 0")

    def __call__(self, readings: Readings, goal: Goal) -> NDArray[np.float32]:
        """Return the reward, less the penalty where nothing is recognised: float32 ``[n]``."""
        rewards = evaluate_reward(resolve_reward(self.reward), readings, goal)
        penalties = self.penalty * nothing_recognised(readings, goal.grammar)
        return (rewards - penalties).astype(np.float32)


def _scene_term(readings: Readings, goal: Goal, c_s: float) -> NDArray[np.float64]:
    coarse = coarse_gain(readings.values, goal.state, goal.grammar)
    return np.asarray(c_s * (2 * coarse - len(goal.grammar.coarse_axes)), np.float64)


def _name(reward: RewardFunction) -> str:
    """Return the name of a reward for messages."""
    for name, known in REWARDS.items():
        if known is reward:
            return repr(name)
    return repr(getattr(reward, "__qualname__", reward))
