"""Vector environments as the steps that their sub-environments really take.

Gymnasium's vector environments begin the next episode of a sub-environment in one of three ways
(https://farama.org/Vector-Autoreset-Mode): in a separate step, within the step that ends the
episode, or on request. This adapter yields the same real steps for all of them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
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
    """A vector environment that yields real steps only.

    Attributes:
        observations: what the next actions are chosen for, int [num_envs] or [num_envs, n_axes].
        acting: int64 [n], ascending: all but those whose next step only begins the next episode,
            whatever the action.

    Raises:
        AgentError: if the environment's metadata names no autoreset mode.
    """

    def __init__(self, env: VectorEnvironment, seed: int) -> None:
        self._mode = _autoreset_mode(env)
        self._env = env
        self._all = np.arange(env.num_envs)
        self.observations: DiscreteArray = np.array(env.reset(seed=seed)[0])
        self.acting = self._all

    def step(self, actions: DiscreteArray) -> tuple[Transitions, Infos]:
        """Step; return the real steps and the infos of all, in Gymnasium's form."""
        before, sub_envs = self.observations, self.acting
        result, rewards, terminated, truncated, infos = self._env.step(actions)
        after: DiscreteArray = np.array(result)  # an environment may reuse its own array
        done = np.logical_or(terminated, truncated)
        self.observations, self.acting = after, self._all
        if done.any() and self._mode is AutoresetMode.NEXT_STEP:
            self.acting = np.flatnonzero(~done)
        elif done.any() and self._mode is AutoresetMode.SAME_STEP:
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

    def own_infos(self, infos: Infos, ended: Container[int]) -> list[dict[str, Any]]:
        """Return each sub-environment's info of its real step, as a single environment gives it.

        Args:
            infos: of all, as ``step`` returned them.
            ended: the sub-environments whose episode ended in this step.
        """
        num_envs = len(self._all)
        own = split_infos(infos, num_envs)
        if self._mode is AutoresetMode.SAME_STEP and "final_info" in infos:
            final = split_infos(infos["final_info"], num_envs)
            own = [final[i] if i in ended else own[i] for i in range(num_envs)]
        return own


class EpisodeTracker:
    """Number, length and return of the current episode in every sub-environment.

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


def _autoreset_mode(env: VectorEnvironment) -> AutoresetMode:
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


def split_infos(infos: Infos, num_envs: int) -> list[dict[str, Any]]:
    """Return the info of each sub-environment, as a single environment gives it.

    Gymnasium's ``DictInfoToList`` does the same as a wrapper. It closes the environment when it is
    deleted, and this adapter does not own the environment.

    Args:
        infos: of all sub-environments, in Gymnasium's form: an array with one row for each under
            every key, and under ``_key`` bool [num_envs], which of them have it.
        num_envs: number of sub-environments.
    """
    own: list[dict[str, Any]] = [{} for _ in range(num_envs)]
    for key, values in infos.items():
        if key.startswith("_"):
            continue
        if isinstance(values, Mapping):
            rows: Any = split_infos(values, num_envs)
        else:
            rows = values.tolist() if np.ndim(values) == 1 else values
        present = infos.get(f"_{key}", np.ones(num_envs, dtype=np.bool_))
        for info, value, has_it in zip(own, rows, present, strict=True):
            if has_it:
                info[key] = value
    return own
