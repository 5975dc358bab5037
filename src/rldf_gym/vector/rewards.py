"""The reward wrappers of `rldf_gym.rewards` for vector environments; each pair shares a function.

A step's ``infos`` tell of the pictures that the observations show. Where a sub-environment was
reset within the step (`AutoresetMode.SAME_STEP`), the picture that the action led to is told of in
``final_info``, and that is the one rewarded. A step that is itself a reset
(`AutoresetMode.NEXT_STEP`) is rewarded with 0.
"""

import abc
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorWrapper
from numpy.typing import NDArray

from rldf_gym.evaluator import MOST_REMEMBERED
from rldf_gym.goal import least_confidence
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Reading
from rldf_gym.rewards import (
    RewardError,
    clip,
    multi_semantic,
    nothing_recognised,
    partial_semantic,
    refuse_without_scene,
    reward_wrapper,
)
from rldf_gym.vector.infos import Infos, Mask, final_or_current_info

VectorEnv = gym.vector.VectorEnv[Any, Any, Any]
Rewards = NDArray[np.float64]
Step = tuple[Any, Rewards, Mask, Mask, Infos]

if TYPE_CHECKING:
    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:  # not generic before Gymnasium 1.3
    _VectorWrapper = VectorWrapper


class VectorReadingReward(_VectorWrapper, gym.utils.RecordConstructorArgs, abc.ABC):
    """Contract of the vector reward wrappers: a step's rewards are a function of its ``infos``."""

    def __init__(self, env: VectorEnv) -> None:
        """Wrap a vector environment of ``RLDF-v0``."""
        VectorWrapper.__init__(self, env)
        self._ended = np.zeros(env.num_envs, np.bool_)

    @abc.abstractmethod
    def reading_rewards(self, rewards: Rewards, infos: Infos) -> Rewards:
        """The rewards float64 ``[n]``, a fresh array.

        Args:
            rewards: of the wrapped environment, float64 ``[n]``.
            infos: tell of the pictures; see `rldf_gym.vector.infos.final_or_current_info`.
        """

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all sub-environments, or those in ``options["reset_mask"]``."""
        result = self.env.reset(seed=seed, options=options)
        self._ended[(options or {}).get("reset_mask", slice(None))] = False
        return result

    def step(self, actions: Any) -> Step:
        """Step, rewarded by the pictures that the step arrived at."""
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        paid = self.reading_rewards(rewards, infos)
        if self.env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP:
            paid[self._ended] = 0.0
            self._ended = terminations | truncations
        return observations, paid, terminations, truncations, infos


class VectorMultiSemanticReward(VectorReadingReward):
    """Rewards fine and coarse meaning together: `rldf_gym.rewards.MultiSemanticReward`'s twin.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> envs = gym.make_vec("RLDF-v0", num_envs=3, reward="multi_semantic")
        >>> _ = envs.reset(seed=0)
        >>> _, rewards, _, _, infos = envs.step(np.array([[0, 1], [1, 0], [2, 1]]))
        >>> bool((rewards == infos["fine"] + (2 * infos["coarse"] - 1)).all())
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: VectorEnv, c: float = 1.0, c_s: float = 1.0) -> None:
        """Wrap a vector environment with the paper's constants C and C_s."""
        gym.utils.RecordConstructorArgs.__init__(self, c=c, c_s=c_s)
        VectorReadingReward.__init__(self, env)
        self._c, self._c_s = float(c), float(c_s)
        self._n_coarse = len(_grammar(env).coarse_axes)

    def reading_rewards(self, rewards: Rewards, infos: Infos) -> Rewards:
        """``C`` times the fine gains, plus or minus ``C_s`` for the scene."""
        fine, coarse = final_or_current_info(infos, "fine"), final_or_current_info(infos, "coarse")
        return np.asarray(
            multi_semantic(fine, coarse, self._n_coarse, self._c, self._c_s), np.float64
        )


class VectorPartialSemanticReward(VectorReadingReward):
    """Rewards the scene alone: `rldf_gym.rewards.PartialSemanticReward`'s twin.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> envs = gym.make_vec("RLDF-v0", num_envs=3, reward="partial_semantic")
        >>> _ = envs.reset(seed=0)
        >>> _, rewards, _, _, infos = envs.step(np.array([[0, 1], [1, 0], [2, 1]]))
        >>> bool((rewards == 2 * infos["coarse"] - 1).all())
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: VectorEnv, c_s: float = 1.0) -> None:
        """Wrap a vector environment with the paper's constant C_s.

        Raises:
            RewardError: the grammar has no scene, so that this reward would always be 0.
        """
        grammar = _grammar(env)
        refuse_without_scene(grammar)
        gym.utils.RecordConstructorArgs.__init__(self, c_s=c_s)
        VectorReadingReward.__init__(self, env)
        self._c_s = float(c_s)
        self._n_coarse = len(grammar.coarse_axes)

    def reading_rewards(self, rewards: Rewards, infos: Infos) -> Rewards:
        """Plus or minus ``C_s`` for the scene."""
        coarse = final_or_current_info(infos, "coarse")
        return np.asarray(partial_semantic(coarse, self._n_coarse, self._c_s), np.float64)


class VectorClipReward(VectorReadingReward):
    """Rewards likeness to the target's CLIP embedding: `rldf_gym.rewards.ClipReward`'s twin.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> envs = gym.make_vec("RLDF-v0", num_envs=3, reward="clip")
        >>> _ = envs.reset(seed=0)
        >>> _, rewards, _, _, _ = envs.step(np.array([[0, 1], [1, 0], [2, 1]]))
        >>> bool((abs(rewards) <= 1).all())
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: VectorEnv) -> None:
        """Wrap a vector environment."""
        gym.utils.RecordConstructorArgs.__init__(self)
        VectorReadingReward.__init__(self, env)
        self._set_goal()

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset; a new target in ``options`` is what later pictures are compared with."""
        result = super().reset(seed=seed, options=options)
        if options is not None and "target" in options:
            self._set_goal()
        return result

    def reading_rewards(self, rewards: Rewards, infos: Infos) -> Rewards:
        """Cosine of each picture's and the target's embedding."""
        return self._cosines(final_or_current_info(infos, "reading"))

    def _set_goal(self) -> None:
        goal: NDArray[np.float32] = _attribute(self.env, "goal").reading.embedding
        self._cosines = _OncePerReading(lambda reading: float(clip(reading.embedding, goal)))


class VectorUnrecognisedPenalty(VectorReadingReward):
    """Punishes unrecognised pictures: `rldf_gym.rewards.UnrecognisedPenalty`'s twin.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.vector.rewards import VectorUnrecognisedPenalty
        >>> envs = gym.make_vec("RLDF-v0", num_envs=3)
        >>> envs = VectorUnrecognisedPenalty(envs, penalty=5.0, terminal=True)
        >>> _ = envs.reset(seed=0)
        >>> _, rewards, terminations, _, _ = envs.step(np.array([[0, 1], [1, 0], [2, 1]]))

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: VectorEnv, penalty: float = 1.0, terminal: bool = False) -> None:
        """Wrap a vector environment.

        Args:
            env: the vector environment.
            penalty: subtracted from the reward of such a picture.
            terminal: whether such a picture also ends the episode. A vector environment resets
                its sub-environments itself, so the wrapped one is told to end them from now on.
        """
        least = least_confidence(_grammar(env))

        def is_unrecognised(reading: Reading) -> bool:
            return bool(nothing_recognised(reading.values, reading.confidence, least))

        gym.utils.RecordConstructorArgs.__init__(self, penalty=penalty, terminal=terminal)
        VectorReadingReward.__init__(self, env)
        self._penalties = _OncePerReading(lambda reading: penalty * is_unrecognised(reading))
        if terminal:
            _attribute(env, "end_episodes_at")(is_unrecognised)

    def reading_rewards(self, rewards: Rewards, infos: Infos) -> Rewards:
        """The rewards of the wrapped environment, less the penalty."""
        return rewards - self._penalties(final_or_current_info(infos, "reading"))


VECTOR_REWARDS: Mapping[
    str,
    type[VectorMultiSemanticReward | VectorPartialSemanticReward | VectorClipReward],
] = MappingProxyType(
    {
        "multi_semantic": VectorMultiSemanticReward,
        "partial_semantic": VectorPartialSemanticReward,
        "clip": VectorClipReward,
    }
)
"""The rewards that ``gym.make_vec("RLDF-v0", reward=...)`` knows by name."""


def vector_reward_wrapper(
    name: str,
) -> type[VectorMultiSemanticReward | VectorPartialSemanticReward | VectorClipReward]:
    """The vector twin of `rldf_gym.rewards.reward_wrapper`.

    Raises:
        RewardError: unknown name; the message lists the known ones.
    """
    reward_wrapper(name)
    return VECTOR_REWARDS[name]


def _grammar(env: VectorEnv) -> Grammar:
    grammar: Grammar = _attribute(env, "grammar")
    return grammar


def _attribute(env: VectorEnv, name: str) -> Any:
    """What the sub-environments of a vector environment have in common."""
    if not hasattr(env.unwrapped, name):
        raise RewardError(
            f"{env} has no {name!r}; vector rewards are for gym.make_vec('RLDF-v0') with its own"
            " vectorization, others take the wrappers in rldf_gym.rewards around each"
            " sub-environment"
        )
    return getattr(env.unwrapped, name)


class _OncePerReading:
    """A function of readings, worked out once for each of them, however often it is asked."""

    def __init__(self, function: Callable[[Reading], float]) -> None:
        self._function = function
        self._known: dict[Reading, float] = {}

    def __call__(self, readings: NDArray[np.object_]) -> Rewards:
        """The function of every reading ``[n]``, float64 ``[n]``."""
        listed = readings.tolist()
        try:
            return np.fromiter(map(self._known.__getitem__, listed), np.float64, len(listed))
        except KeyError:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            for reading in set(listed) - self._known.keys():
                self._known[reading] = self._function(reading)
            return np.array([self._known[reading] for reading in listed], np.float64)
