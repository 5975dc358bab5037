"""A Gymnasium vector environment as Stable-Baselines3's ``VecEnv``.

SB3 does not accept Gymnasium's vector environments. Through this adapter it steps all
sub-environments of ``gym.make_vec("RLDF-v0")`` at once: their images are generated in one
batch.

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
    """Adapt a Gymnasium vector environment to SB3.

    When an episode ends, its sub-environment is reset within the same step, as SB3 expects. The
    last observation is ``info["terminal_observation"]``, ``info`` belongs to the ended episode, and
    ``info["TimeLimit.truncated"]`` is whether it was truncated. For episode statistics, wrap this
    in SB3's ``VecMonitor``, or the Gymnasium environment in ``RecordEpisodeStatistics``.

    Sub-environments are not separate objects: attributes are those of the vector environment.
    """

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        """Adapt a vector environment with ``autoreset_mode="SameStep"``.

        Raises:
            AgentError: for another autoreset mode.
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
        """Reset all sub-environments with the seeds and options set before."""
        seeds: Any = None if all(seed is None for seed in self._seeds) else self._seeds
        observations, infos = self.envs.reset(seed=seeds, options=self._options[0] or None)
        self.reset_infos = self._split(infos)
        self._reset_seeds()
        self._reset_options()
        return np.asarray(observations)

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Set the options of the next `reset`: one dict for all sub-environments.

        Raises:
            AgentError: for a list.
        """
        if isinstance(options, list):
            raise AgentError(
                "the options are one dict for all sub-environments; its values may be arrays with"
                " one row for each, such as {'state': states}"
            )
        super().set_options(options)

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Keep the actions of the next step."""
        self._actions = actions

    def step_wait(self) -> StepReturn:
        """Step all sub-environments at once."""
        observations, rewards, terminations, truncations, infos = self.envs.step(self._actions)
        ended = terminations | truncations
        own_infos = self._split(infos)
        if ended.any():
            final = split_infos(infos["final_info"], self.num_envs)
            for number in np.flatnonzero(ended).tolist():
                self.reset_infos[number] = own_infos[number]
                # Wrappers add infos to the whole step only, not to final_info.
                own_infos[number] = {**own_infos[number], **final[number]}
                own_infos[number]["terminal_observation"] = infos["final_obs"][number]
        cut_off = truncations & ~terminations
        for info, truncated in zip(own_infos, cut_off.tolist(), strict=True):
            info["TimeLimit.truncated"] = truncated
        return np.asarray(observations), rewards.astype(np.float32), ended, own_infos

    def close(self) -> None:
        """Close the vector environment."""
        self.envs.close()

    def get_images(self) -> Sequence[npt.NDArray[Any] | None]:
        """Every sub-environment's picture."""
        frames: Any = self.envs.render()
        return list(frames)

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        """Return the vector environment's attribute, repeated for each of ``indices``.

        Raises:
            AttributeError: if neither it nor one of its wrappers has this attribute.
        """
        owner = self._owner(attr_name)
        return [getattr(owner, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        """Set an attribute for all sub-environments.

        Raises:
            AgentError: if ``indices`` are not all of them.
        """
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise AgentError(f"{attr_name!r} is one for all sub-environments: leave indices")
        setattr(self.envs.unwrapped, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Return what ``action_masks`` gives for each sub-environment.

        Raises:
            AgentError: for any other method: sub-environments have none of their own.
        """
        if method_name == "action_masks":
            owner: Any = self._owner(method_name)
            masks = owner.action_masks()
            return [masks[number] for number in self._get_indices(indices)]
        raise AgentError(
            f"sub-environments have no method {method_name!r} of their own: call"
            f" envs.{method_name} of {self.envs} for all of them"
        )

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: Indices = None
    ) -> list[bool]:
        """Return False for each: sub-environments are not wrapped individually."""
        return [False for _ in self._get_indices(indices)]

    def _split(self, infos: Mapping[str, Any]) -> Infos:
        """Return each sub-environment's info, without the final ones of ended episodes."""
        shared = {k: v for k, v in infos.items() if k not in ("final_obs", "final_info")}
        return split_infos(shared, self.num_envs)

    def _owner(self, name: str) -> VectorEnv[Any, Any, Any]:
        """Return the outermost wrapper, or the environment itself, that has this attribute."""
        owner = self.envs
        while isinstance(owner, VectorWrapper) and not hasattr(owner, name):
            owner = owner.env
        return owner
