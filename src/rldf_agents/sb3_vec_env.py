"""A Gymnasium vector environment as Stable-Baselines3's ``VecEnv``.

SB3 wraps single environments in a vectorization of its own and takes no Gymnasium ones. Through
this adapter SB3 steps all sub-environments of ``gym.make_vec("RLDF-v0")`` at once, so that the
pictures that a step misses are drawn in one batch.

    >>> import gymnasium as gym
    >>> import rldf_gym
    >>> from stable_baselines3 import PPO
    >>> from stable_baselines3.common.vec_env import VecMonitor
    >>> from rldf_agents.sb3_vec_env import SB3VecEnv
    >>> envs = gym.make_vec("RLDF-v0", num_envs=16, autoreset_mode="SameStep")
    >>> model = PPO("MlpPolicy", VecMonitor(SB3VecEnv(envs)), n_steps=32, batch_size=64)
    >>> _ = model.learn(1_000)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from stable_baselines3.common.vec_env import VecEnv

from rldf_agents.autoreset_adapter import split_infos
from rldf_agents.errors import AgentError

Indices = None | int | Iterable[int]
Observations = npt.NDArray[Any]
Infos = list[dict[str, Any]]
StepReturn = tuple[Observations, npt.NDArray[np.float32], npt.NDArray[np.bool_], Infos]


class SB3VecEnv(VecEnv):
    """The sub-environments of a Gymnasium vector environment, in SB3's terms.

    An ended episode starts anew within the step, as SB3 expects: its last observation is
    ``info["terminal_observation"]``, its last information is ``info`` itself, and
    ``info["TimeLimit.truncated"]`` says whether it was cut off. Wrap it in SB3's ``VecMonitor``
    for statistics of episodes, or what it adapts in Gymnasium's ``RecordEpisodeStatistics``.

    Sub-environments have no objects of their own: attributes are those of the vector environment,
    the same for all.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        """Adapt a vector environment that resets within the step.

        Raises:
            AgentError: it resets in another way.
        """
        mode = envs.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise AgentError(
                f"Stable-Baselines3 needs autoreset_mode {AutoresetMode.SAME_STEP.value!r}, and"
                f" {envs} has {mode}: make it with gym.make_vec(..., autoreset_mode='SameStep')"
            )
        self.envs = envs
        self._actions: npt.NDArray[Any] | None = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Observations:
        """Start an episode everywhere, with the seeds and options set before."""
        seeds: Any = None if all(seed is None for seed in self._seeds) else self._seeds
        observations, infos = self.envs.reset(seed=seeds, options=self._options[0] or None)
        self.reset_infos = self._split(infos)
        self._reset_seeds()
        self._reset_options()
        return np.asarray(observations)

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Set the options of the next `reset`: one dict for all sub-environments.

        Raises:
            AgentError: a list, one dict for each.
        """
        if isinstance(options, list):
            raise AgentError(
                "the options are one dict for all sub-environments; its values may be arrays with"
                " one row for each, such as {'state': states}"
            )
        super().set_options(options)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions of the step to come."""
        self._actions = actions

    def step_wait(self) -> StepReturn:
        """Step all sub-environments at once."""
        observations, rewards, terminations, truncations, infos = self.envs.step(self._actions)
        ended = terminations | truncations
        split = self._split(infos)
        if ended.any():
            final = split_infos(infos["final_info"], self.num_envs)
            for number in np.flatnonzero(ended).tolist():
                self.reset_infos[number] = split[number]
                # What a wrapper adds for the whole step is not in what the episode ended with.
                split[number] = {**split[number], **final[number]}
                split[number]["terminal_observation"] = infos["final_obs"][number]
        for info, cut_off in zip(split, (truncations & ~terminations).tolist(), strict=True):
            info["TimeLimit.truncated"] = cut_off
        return np.asarray(observations), rewards.astype(np.float32), ended, split

    def close(self) -> None:
        """Close the vector environment."""
        self.envs.close()

    def get_images(self) -> Sequence[npt.NDArray[Any] | None]:
        """Every sub-environment's picture."""
        frames: Any = self.envs.render()
        return list(frames)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """The vector environment's attribute, once for each sub-environment asked for.

        Raises:
            AttributeError: neither it nor one of its wrappers has such an attribute.
        """
        owner = self._owner(attr_name)
        return [getattr(owner, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute for all sub-environments.

        Raises:
            AgentError: it is meant for some of them only.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise AgentError(f"{attr_name!r} is one for all sub-environments: leave indices")
        setattr(self.envs.unwrapped, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Raise: sub-environments have no methods of their own.

        Raises:
            AgentError: always; says what to call.
        """
        raise AgentError(
            f"sub-environments have no method {method_name!r} of their own: call"
            f" envs.{method_name} of {self.envs} for all of them"
        )

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """No sub-environment has a wrapper of its own."""
        return [False for _ in self._get_indices(indices)]

    def _split(self, infos: Mapping[str, Any]) -> Infos:
        """Return each sub-environment's info, without what its last episode ended with."""
        shared = {k: v for k, v in infos.items() if k not in ("final_obs", "final_info")}
        return split_infos(shared, self.num_envs)

    def _owner(self, name: str) -> VectorEnv[Any, Any, Any]:
        """The outermost of the vector environment and its wrappers that has this attribute."""
        owner = self.envs
        while isinstance(owner, VectorWrapper) and not hasattr(owner, name):
            owner = owner.env
        return owner
