"""Vector environments as what their sub-environments really do.

Gymnasium's vector environments begin the next episode of a sub-environment in one of three ways
(https://farama.org/Vector-Autoreset-Mode): in a step of its own, within the step that ends the
episode, or when they are told to. Here the same real steps are seen in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from rldf_agents.errors import AgentError
from rldf_agents.protocols import (
    DiscreteArray,
    Environment,
    Episode,
    Transitions,
    VectorEnvironment,
)

Infos = Mapping[str, Any]


class AutoresetAdapter:
    """A vector environment that tells of real steps only.

    Attributes:
        mode: how it begins new episodes.
        observations: what the next actions are chosen for, int [num_envs] or [num_envs, n_axes].
        acting: int64 [n], ascending: all but those whose next step only begins the next episode,
            whatever the action.

    Raises:
        AgentError: if the environment's metadata names no autoreset mode.
    """

    def __init__(self, env: VectorEnvironment, seed: int) -> None:
        self.mode = autoreset_mode(env)
        self._env = env
        self._all = np.arange(env.num_envs)
        self.observations: DiscreteArray = np.array(env.reset(seed=seed)[0])
        self.acting = self._all

    def step(self, actions: DiscreteArray) -> tuple[Transitions, Infos]:
        """Step; return the real steps and the infos of all, in Gymnasium's form."""
        before, sub_envs = self.observations, self.acting
        result, rewards, terminated, truncated, infos = self._env.step(actions)
        after: DiscreteArray = np.array(result)  # an environment may go on using its own array
        done = np.logical_or(terminated, truncated)
        self.observations, self.acting = after, self._all
        if done.any() and self.mode is AutoresetMode.NEXT_STEP:
            self.acting = np.flatnonzero(~done)
        elif done.any() and self.mode is AutoresetMode.SAME_STEP:
            after = after.copy()
            for sub_env in np.flatnonzero(done):
                after[sub_env] = infos["final_obs"][sub_env]
        elif done.any():
            self.observations = np.array(self._env.reset(options={"reset_mask": done})[0])
        rows: slice | npt.NDArray[np.int64] = slice(None) if sub_envs is self._all else sub_envs
        transitions = Transitions(
            sub_envs,
            before[rows],
            actions[rows],
            np.asarray(rewards, dtype=np.float64)[rows],
            after[rows],
            np.asarray(terminated, dtype=np.bool_)[rows],
            np.asarray(truncated, dtype=np.bool_)[rows],
        )
        return transitions, infos

    def info(self, infos: Infos, sub_env: int, done: bool) -> dict[str, Any]:
        """Return one sub-environment's info of its real step, as it would tell it alone."""
        if done and self.mode is AutoresetMode.SAME_STEP:
            infos = infos.get("final_info", {})
        return _info(infos, sub_env)


class EpisodeTracker:
    """Number, length and return of the episode under way in every sub-environment.

    Episodes are numbered as they begin, those that begin together by sub-environment.
    """

    def __init__(self, num_envs: int, first_episode: int) -> None:
        self._numbers = first_episode + np.arange(num_envs)
        self._next_number = first_episode + num_envs
        self._lengths = np.zeros(num_envs, dtype=np.int64)
        self._returns = np.zeros(num_envs, dtype=np.float64)

    def count(self, transitions: Transitions) -> tuple[list[int], dict[int, Episode]]:
        """Return the episode of each step, and by sub-environment the episodes that it ended."""
        sub_envs = transitions.sub_envs
        numbers: list[int] = self._numbers[sub_envs].tolist()
        self._lengths[sub_envs] += 1
        self._returns[sub_envs] += transitions.rewards
        ended: dict[int, Episode] = {}
        for row in np.flatnonzero(transitions.terminated | transitions.truncated):
            sub_env = int(sub_envs[row])
            length, total_reward = int(self._lengths[sub_env]), float(self._returns[sub_env])
            ended[sub_env] = Episode(
                numbers[row], length, total_reward, bool(transitions.terminated[row])
            )
            self._numbers[sub_env] = self._next_number
            self._next_number += 1
            self._lengths[sub_env] = self._returns[sub_env] = 0
        return numbers, ended


def single_spaces(env: Environment) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return the observation and action space of an environment or of each sub-environment."""
    if isinstance(env, gym.vector.VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space


def autoreset_mode(env: VectorEnvironment) -> AutoresetMode:
    """Return how an environment begins new episodes; AgentError if it does not say."""
    mode = env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = ", ".join(f"AutoresetMode.{mode.name}" for mode in AutoresetMode)
        raise AgentError(
            f"the vector environment's metadata['autoreset_mode'] is {mode!r}: learning across "
            f"the ends of episodes needs one of {known}"
        ) from error


def _info(infos: Infos, sub_env: int) -> dict[str, Any]:
    """Undo for one sub-environment what ``VectorEnv._add_info`` does for all."""
    own: dict[str, Any] = {}
    for key, values in infos.items():
        told = infos.get(f"_{key}")
        if key.startswith("_") or (told is not None and not told[sub_env]):
            continue
        own[key] = _info(values, sub_env) if isinstance(values, Mapping) else values[sub_env]
    return own
