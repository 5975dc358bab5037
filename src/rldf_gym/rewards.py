"""The paper's three rewards (Eqs. 2 to 6): pure functions, and a wrapper around each.

A reward compares what was read in the drawn picture with what was read in the target. Where the
agent stands, and how far that is from the goal, is never part of it (paper, Discussion 4).

The functions take single values or arrays of them, so that one environment and a batch of them
share the same arithmetic.
"""

import abc
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import ArrayLike, NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.goal import least_confidence
from rldf_gym.grammar import Grammar

DEFAULT_REWARD = "multi_semantic"

Gain = TypeVar("Gain", int, NDArray[np.int64])
Env = gym.Env[Any, Any]
Wrapper = gym.Wrapper[Any, Any, Any, Any]
Step = tuple[Any, float, bool, bool, dict[str, Any]]


class RewardError(RLDFError):
    """An unknown reward, or one that means nothing in this grammar."""


def fine_gain(values: ArrayLike, goal: ArrayLike, grammar: Grammar) -> NDArray[np.int64]:
    """Number of fine axes (objects, counts, people, actions, attributes) read as in the goal.

    A count is a gain only where its object is right.

    Args:
        values: int ``[..., n_axes]``, read from pictures, -1 where nothing could be read.
        goal: int ``[n_axes]``.
        grammar: says which axes are fine.

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
    """Number of coarse axes (the scene) read as in the goal, int64 ``[...]``; see `fine_gain`."""
    matched = np.asarray(values) == np.asarray(goal)
    return np.asarray(matched[..., list(grammar.coarse_axes)].sum(axis=-1, dtype=np.int64))


def multi_semantic(
    fine: Gain, coarse: Gain, n_coarse: int = 1, c: float = 1.0, c_s: float = 1.0
) -> float | NDArray[np.floating[Any]]:
    """``C`` for every fine gain, and ``+C_s`` or ``-C_s`` for the scene (paper, Eqs. 2 to 4).

    Args:
        fine: fine gain of a picture, or int64 ``[...]``.
        coarse: coarse gain, of the same shape.
        n_coarse: number of coarse axes in the grammar.
        c: the paper's C.
        c_s: the paper's C_s.
    """
    return c * fine + partial_semantic(coarse, n_coarse, c_s)


def partial_semantic(
    coarse: Gain, n_coarse: int = 1, c_s: float = 1.0
) -> float | NDArray[np.floating[Any]]:
    """``+C_s`` if the scene is read as in the goal, else ``-C_s`` (paper, Eq. 5)."""
    return c_s * (2 * coarse - n_coarse)


def clip(embedding: NDArray[np.float32], goal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of two CLIP image embeddings, -1 to 1 (paper, Eq. 6).

    Args:
        embedding: float32 ``[..., d]`` of unit length; zeros, of a picture that does not exist,
            get the least cosine.
        goal: float32 ``[d]`` of unit length.

    Returns:
        float32 ``[...]``.
    """
    cosines = np.asarray(embedding @ goal)
    if not cosines.all():
        cosines = np.where(np.any(embedding, axis=-1), cosines, np.float32(-1))
    return cosines


def nothing_recognised(
    values: NDArray[np.int64], confidence: NDArray[np.float32], least: ArrayLike = 0.5
) -> NDArray[np.bool_]:
    """Whether no axis of a picture was read with confidence (paper, Discussion 8).

    Args:
        values: int64 ``[..., n_axes]``, -1 where nothing could be read.
        confidence: float32 ``[..., n_axes]``, 0 to 1.
        least: the confidence, 0 to 1, from which a value counts as recognised; one number, or one
            for every axis such as `rldf_gym.goal.least_confidence` gives.

    Returns:
        bool ``[...]``.
    """
    return np.asarray(~np.any((values >= 0) & (confidence >= np.asarray(least)), axis=-1))


def refuse_without_scene(grammar: Grammar) -> None:
    """Refuse a grammar in which `partial_semantic` would always be 0.

    Raises:
        RewardError: the grammar has no coarse axis.
    """
    if not grammar.coarse_axes:
        raise RewardError(
            f"reward 'partial_semantic' compares scenes, and the grammar {grammar.name!r} has"
            f" none (its axes: {', '.join(grammar.axis_names)}); use 'multi_semantic' or 'clip'"
        )


class ReadingReward(Wrapper, gym.utils.RecordConstructorArgs, abc.ABC):
    """Contract of the reward wrappers: the reward of a step is a function of its ``info``."""

    @abc.abstractmethod
    def reading_reward(self, info: Mapping[str, Any]) -> float:
        """The reward of the picture that ``info`` tells about."""

    def step(self, action: Any) -> Step:
        """Step, rewarded by the picture that the step arrived at."""
        observation, _, terminated, truncated, info = self.env.step(action)
        return observation, self.reading_reward(info), terminated, truncated, info

    @property
    def spec(self) -> EnvSpec | None:
        """The environment's spec; this wrapper is not listed in it twice.

        ``gym.make("RLDF-v0", reward=...)`` puts the wrapper around the bare environment, so a
        spec that carries this reward among its arguments already recreates it.
        """
        spec = self.env.spec
        if spec is not None and self.env is self.unwrapped:
            name = spec.kwargs.get("reward", DEFAULT_REWARD)
            if REWARDS.get(name) is type(self):
                return spec
        return super().spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self.unwrapped.spec = spec


class MultiSemanticReward(ReadingReward):
    """Rewards every axis read as in the target: dense, the paper's reward 1 (Eqs. 2 to 4).

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.rewards import MultiSemanticReward
        >>> env = MultiSemanticReward(gym.make("RLDF-v0", reward=None), c=2.0, c_s=5.0)
        >>> _ = env.reset(seed=0)
        >>> _, reward, _, _, info = env.step([0, 1])
        >>> reward == 2.0 * info["fine"] + (5.0 if info["coarse"] else -5.0)
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: Env, c: float = 1.0, c_s: float = 1.0) -> None:
        """Wrap an environment with the paper's constants C and C_s."""
        gym.utils.RecordConstructorArgs.__init__(self, c=c, c_s=c_s)
        gym.Wrapper.__init__(self, env)
        self._c, self._c_s = float(c), float(c_s)
        self._n_coarse = len(env.get_wrapper_attr("grammar").coarse_axes)

    def reading_reward(self, info: Mapping[str, Any]) -> float:
        """``C`` times the fine gain, plus or minus ``C_s`` for the scene."""
        return float(
            multi_semantic(info["fine"], info["coarse"], self._n_coarse, self._c, self._c_s)
        )


class PartialSemanticReward(ReadingReward):
    """Rewards the scene alone: sparse, the paper's reward 2 (Eq. 5).

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> env = gym.make("RLDF-v0", reward="partial_semantic")
        >>> _ = env.reset(seed=0)
        >>> _, reward, _, _, info = env.step([0, 1])
        >>> reward == (1.0 if info["coarse"] else -1.0)
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: Env, c_s: float = 1.0) -> None:
        """Wrap an environment with the paper's constant C_s.

        Raises:
            RewardError: the grammar has no scene, so that this reward would always be 0.
        """
        gym.utils.RecordConstructorArgs.__init__(self, c_s=c_s)
        gym.Wrapper.__init__(self, env)
        grammar: Grammar = env.get_wrapper_attr("grammar")
        refuse_without_scene(grammar)
        self._c_s = float(c_s)
        self._n_coarse = len(grammar.coarse_axes)

    def reading_reward(self, info: Mapping[str, Any]) -> float:
        """Plus or minus ``C_s`` for the scene."""
        return float(partial_semantic(info["coarse"], self._n_coarse, self._c_s))


class ClipReward(ReadingReward):
    """Rewards likeness to the target's CLIP embedding: the paper's reward 3 (Eq. 6).

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> env = gym.make("RLDF-v0", reward="clip")
        >>> _ = env.reset(seed=0)
        >>> _, reward, _, _, info = env.step([0, 1])
        >>> -1.0 <= reward <= 1.0
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: Env) -> None:
        """Wrap an environment."""
        gym.utils.RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self._goal: NDArray[np.float32] = env.get_wrapper_attr("goal").reading.embedding

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset; a new target in ``options`` is what later pictures are compared with."""
        result = self.env.reset(seed=seed, options=options)
        self._goal = self.env.get_wrapper_attr("goal").reading.embedding
        return result

    def reading_reward(self, info: Mapping[str, Any]) -> float:
        """Cosine of the picture's and the target's embedding."""
        return float(clip(info["reading"].embedding, self._goal))


class UnrecognisedPenalty(Wrapper, gym.utils.RecordConstructorArgs):
    """Punishes pictures in which nothing is recognised (paper, Discussion 8; off by default).

    The paper names this idea and leaves it out, to keep learning apart from human guidance.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.rewards import UnrecognisedPenalty
        >>> env = UnrecognisedPenalty(gym.make("RLDF-v0"), penalty=5.0, terminal=True)
        >>> _ = env.reset(seed=0)
        >>> _, reward, terminated, _, info = env.step([0, 1])

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: Env, penalty: float = 1.0, terminal: bool = False) -> None:
        """Wrap an environment.

        Args:
            env: the environment.
            penalty: subtracted from the reward of such a picture.
            terminal: whether such a picture also ends the episode.
        """
        gym.utils.RecordConstructorArgs.__init__(self, penalty=penalty, terminal=terminal)
        gym.Wrapper.__init__(self, env)
        self._penalty, self._terminal = float(penalty), terminal
        self._least = least_confidence(env.get_wrapper_attr("grammar"))

    def step(self, action: Any) -> Step:
        """Step, less the penalty where nothing is recognised."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        reading = info["reading"]
        if nothing_recognised(reading.values, reading.confidence, self._least):
            reward = float(reward) - self._penalty
            terminated = terminated or self._terminal
        return observation, float(reward), terminated, truncated, info


REWARDS: Mapping[str, type[MultiSemanticReward | PartialSemanticReward | ClipReward]] = (
    MappingProxyType(
        {
            "multi_semantic": MultiSemanticReward,
            "partial_semantic": PartialSemanticReward,
            "clip": ClipReward,
        }
    )
)
"""The rewards that ``gym.make("RLDF-v0", reward=...)`` knows by name."""


def reward_wrapper(
    name: str,
) -> type[MultiSemanticReward | PartialSemanticReward | ClipReward]:
    """The wrapper of that name.

    Raises:
        RewardError: unknown name; the message lists the known ones.
    """
    if name not in REWARDS:
        raise RewardError(
            f"unknown reward {name!r}; known: {', '.join(REWARDS)}, or None for no reward (wrap the"
            " environment in one of rldf_gym.rewards, or in your own)"
        )
    return REWARDS[name]
