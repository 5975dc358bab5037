"""Wrappers for ``RLDF-v0`` and its vector environment: another reward, numbered actions."""

import math
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorWrapper
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import DtypeObservation, TransformAction
from gymnasium.wrappers.vector import TransformAction as VectorTransformAction
from numpy.typing import ArrayLike, NDArray

from rldf_gym.actions import invalid_action
from rldf_gym.errors import RLDFError
from rldf_gym.goal import Goal
from rldf_gym.perception import Readings
from rldf_gym.rewards import Reward, evaluate_reward, resolve_reward
from rldf_gym.state_table import ARRAY_KEYS

Env = gym.Env[Any, Any]
VectorEnv = gym.vector.VectorEnv[Any, Any, Any]
Rewards = NDArray[np.float64]
Mask = NDArray[np.bool_]

if TYPE_CHECKING:
    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
    _VectorTransformAction = VectorTransformAction[Any, Any, Any, Any]
else:  # not generic before Gymnasium 1.3
    _VectorWrapper, _VectorTransformAction = VectorWrapper, VectorTransformAction


class ReadingReward(gym.Wrapper[Any, Any, Any, Any], gym.utils.RecordConstructorArgs):
    """Replaces the reward of every step by a function of what is read in the image.

    ``gym.make("RLDF-v0", reward=...)`` is faster, because it evaluates each state once.

    Example:
        >>> import functools
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.rewards import multi_semantic
        >>> from rldf_gym.wrappers import ReadingReward
        >>> reward = functools.partial(multi_semantic, c=2.0, c_s=5.0)
        >>> env = ReadingReward(gym.make("RLDF-v0"), reward)
        >>> _ = env.reset(seed=0)
        >>> _, reward, _, _, info = env.step([0, 1])
        >>> reward == 2.0 * info["fine"] + (5.0 if info["coarse"] else -5.0)
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: Env, reward: Reward) -> None:
        """Wrap an environment.

        Args:
            env: ``RLDF-v0``, wrapped or not.
            reward: a name, ``package.module:function``, or a function; see `rldf_gym.rewards`.

        Raises:
            RewardError: unknown reward.
        """
        gym.utils.RecordConstructorArgs.__init__(self, reward=reward)
        gym.Wrapper.__init__(self, env)
        self._reward = resolve_reward(reward)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step, with the reward of the image that the step leads to.

        Raises:
            RewardError: the reward function returned no finite number.
        """
        observation, _, terminated, truncated, info = self.env.step(action)
        readings = Readings(*(info[key][np.newaxis] for key in ARRAY_KEYS))
        [reward] = evaluate_reward(self._reward, readings, self.env.get_wrapper_attr("goal"))
        return observation, float(reward), terminated, truncated, info


class VectorReadingReward(_VectorWrapper, gym.utils.RecordConstructorArgs):
    """`ReadingReward` for any vector environment of ``RLDF-v0``.

    A step that only resets a sub-environment (`AutoresetMode.NEXT_STEP`) has a reward of 0.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.wrappers import VectorReadingReward
        >>> envs = VectorReadingReward(gym.make_vec("RLDF-v0", num_envs=3), "partial_semantic")
        >>> _ = envs.reset(seed=0)
        >>> _, rewards, _, _, infos = envs.step(np.array([[0, 1], [1, 0], [2, 1]]))
        >>> bool((rewards == 2 * infos["coarse"] - 1).all())
        True

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: VectorEnv, reward: Reward) -> None:
        """Wrap a vector environment; the arguments are those of `ReadingReward`.

        Raises:
            RewardError: unknown reward.
        """
        gym.utils.RecordConstructorArgs.__init__(self, reward=reward)
        VectorWrapper.__init__(self, env)
        self._reward = resolve_reward(reward)
        self._ended = np.zeros(env.num_envs, np.bool_)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all sub-environments, or those in ``options["reset_mask"]``."""
        mask = (options or {}).get("reset_mask", slice(None))
        result = self.env.reset(seed=seed, options=options)
        self._ended[mask] = False
        self._goal = self._current_goal()
        return result

    def step(self, actions: Any) -> tuple[Any, Rewards, Mask, Mask, dict[str, Any]]:
        """Step, with the rewards float64 ``[n]`` of the images that the step leads to.

        Raises:
            RewardError: the reward function returned no finite number for each.
        """
        observations, _, terminated, truncated, infos = self.env.step(actions)
        readings = Readings(*(_reached(infos, key) for key in ARRAY_KEYS))
        rewards = evaluate_reward(self._reward, readings, self._goal).astype(np.float64)
        if self.env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP:
            rewards[self._ended] = 0.0
            self._ended = terminated | truncated
        return observations, rewards, terminated, truncated, infos

    def _current_goal(self) -> Goal:
        env: Any = self.env.unwrapped
        goal: Goal = env.goal if hasattr(env, "goal") else env.get_attr("goal")[0]
        return goal


class FlattenAction(TransformAction[Any, Any, Any]):
    """Numbers the actions of a MultiDiscrete space, for algorithms that need a Discrete one.

    Discrete actions (``action_mode="jump"`` and "tree") stay as they are.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.wrappers import FlattenAction
        >>> env = gym.make("RLDF-v0")
        >>> env.action_space
        MultiDiscrete([4 2])
        >>> env = FlattenAction(env)
        >>> env.action_space
        Discrete(8)
        >>> env.action(5)
        array([2, 1])

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: Env) -> None:
        """Wrap an environment whose action space is MultiDiscrete or Discrete.

        Raises:
            RLDFError: another action space, or one with more than 2^63 - 1 actions.
        """
        gym.utils.RecordConstructorArgs.__init__(self)
        numbering = _Numbering(env.action_space)
        super().__init__(env, numbering, numbering.space)
        self._numbers = numbering.space

    def action_masks(self) -> NDArray[np.int8]:
        """Return which actions are valid now, for sb3-contrib's MaskablePPO: int8 ``[n_actions]``.

        The environment's own for Discrete actions; every number of a MultiDiscrete action is valid.
        """
        if self.env.action_space == self._numbers:
            mask: NDArray[np.int8] = self.env.get_wrapper_attr("action_masks")()
            return mask
        return np.ones(int(self._numbers.n), np.int8)


class Float32Observation(DtypeObservation[Any, Any, Any]):
    """Converts observations to float32, for algorithms that feed them to a network as they are.

    Gymnasium's own wrapper takes the type as an argument, which no `EnvSpec` can write as JSON.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from gymnasium.wrappers import FlattenObservation
        >>> from rldf_gym.wrappers import Float32Observation
        >>> env = FlattenObservation(gym.make("RLDF-v0"))
        >>> env.observation_space.dtype
        dtype('int64')
        >>> Float32Observation(env).observation_space.dtype
        dtype('float32')

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: Env) -> None:
        """Wrap an environment whose observation space is a Box, Discrete or MultiBinary."""
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env, np.float32)


class VectorFlattenAction(_VectorTransformAction, gym.utils.RecordConstructorArgs):
    """`FlattenAction` for a vector environment: one number for every sub-environment.

    Example:
        >>> import gymnasium as gym
        >>> import rldf_gym
        >>> from rldf_gym.wrappers import VectorFlattenAction
        >>> envs = VectorFlattenAction(gym.make_vec("RLDF-v0", num_envs=3))
        >>> envs.action_space
        MultiDiscrete([8 8 8])
        >>> envs.actions(np.array([5, 0, 7]))
        array([[2, 1],
               [0, 0],
               [3, 1]])

    Change logs:
     * v0.1.0 - Initially added
    """

    def __init__(self, env: VectorEnv) -> None:
        """Wrap a vector environment whose sub-environments have such actions.

        Raises:
            RLDFError: another action space, or one with more than 2^63 - 1 actions.
        """
        gym.utils.RecordConstructorArgs.__init__(self)
        numbering = _Numbering(env.single_action_space, env.num_envs)
        action_space = batch_space(numbering.space, env.num_envs)
        super().__init__(env, numbering, action_space, numbering.space)


class _Numbering:
    """The actions of a MultiDiscrete space by their numbers.

    Attributes:
        space: the numbers.
    """

    def __init__(self, space: spaces.Space[Any], num_envs: int | None = None) -> None:
        self._kept = isinstance(space, spaces.Discrete)
        if isinstance(space, spaces.Discrete):
            self.space = space
            return
        if not isinstance(space, spaces.MultiDiscrete) or space.nvec.ndim != 1:
            raise RLDFError(f"FlattenAction numbers MultiDiscrete actions; this space is {space}")
        self._sizes = tuple(space.nvec.tolist())
        n_actions = math.prod(self._sizes)
        if n_actions >= 2**63:
            raise RLDFError(f"{space} has {n_actions} actions, too many to be numbered in 64 bits")
        self._starts = space.start
        self._shape = () if num_envs is None else (num_envs,)
        self.space = spaces.Discrete(n_actions)

    def __call__(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Return the actions int64 ``[..., n]`` with these numbers ``[...]``.

        Raises:
            InvalidAction: one of them has no action.
        """
        array = np.asarray(numbers)
        if self._kept:
            return array
        if array.shape != self._shape or array.dtype.kind not in "iu":
            raise invalid_action(numbers, self.space)
        try:
            labels = np.unravel_index(array, self._sizes)
        except ValueError as error:
            raise invalid_action(numbers, self.space) from error
        return np.stack(labels, axis=-1).astype(np.int64, copy=False) + self._starts


def _reached(infos: dict[str, Any], key: str) -> NDArray[Any]:
    """Return ``infos[key] [n, ...]`` of where the actions led, the end of an episode or not."""
    values: NDArray[Any] = infos[key]
    if "final_info" not in infos:
        return values
    ended = infos["_final_info"]
    reached = values.copy()
    reached[ended] = infos["final_info"][key][ended]
    return reached
