"""Stable-Baselines3 on RLDF environments: tuned settings, and this package's callbacks.

``make_model`` returns ordinary SB3 models. ``CallbackBridge`` calls callbacks of this package, such
as ``StatisticsRecorder``, with the same values during the training of an SB3 model.

    >>> import gymnasium as gym
    >>> import rldf_gym
    >>> from rldf_agents.sb3 import CallbackBridge, make_model
    >>> from rldf_agents.statistics import StatisticsRecorder
    >>> recorder = StatisticsRecorder()
    >>> model = make_model("dqn", gym.make("RLDF-v0"), seed=0, tensorboard_log="runs")
    >>> _ = model.learn(500, callback=CallbackBridge([recorder]), progress_bar=True)
    >>> recorder.statistics().steps
    500
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from sb3_contrib import QRDQN, MaskablePPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from rldf_agents.autoreset_adapter import EpisodeTracker
from rldf_agents.callbacks import CallbackList, Checkpoint, ProgressBar
from rldf_agents.errors import AgentError
from rldf_agents.protocols import Callback, Step, Transitions
from rldf_gym.wrappers import FlattenAction


@dataclass(frozen=True)
class Preset:
    """An SB3 algorithm and the arguments that differ from SB3's own defaults."""

    algorithm: type[BaseAlgorithm]
    arguments: Mapping[str, Any]
    numbered_actions: bool = False
    """Whether the algorithm supports Discrete actions only; MultiDiscrete ones are flattened."""


_OFF_POLICY: Mapping[str, Any] = {
    "learning_rate": 3e-3,
    "gamma": 0.9,
    "buffer_size": 10_000,
    "learning_starts": 20,
    "train_freq": 1,
    "target_update_interval": 50,
    "exploration_fraction": 0.05,
    "exploration_final_eps": 0.1,
}
# The loss compares all pairs of quantiles: a step with SB3's 200 takes ten times as long.
_QUANTILES: Mapping[str, Any] = {**_OFF_POLICY, "policy_kwargs": {"n_quantiles": 25}}
_ON_POLICY: Mapping[str, Any] = {"learning_rate": 3e-3, "gamma": 0.5}
_PPO: Mapping[str, Any] = {**_ON_POLICY, "n_steps": 32, "batch_size": 32, "ent_coef": 0.1}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "dqn": Preset(DQN, _OFF_POLICY, numbered_actions=True),
        "qr_dqn": Preset(QRDQN, _QUANTILES, numbered_actions=True),
        "ppo": Preset(PPO, _PPO),
        "maskable_ppo": Preset(MaskablePPO, _PPO),
        "a2c": Preset(A2C, {**_ON_POLICY, "n_steps": 16, "ent_coef": 0.2}),
    }
)
"""The algorithms of ``make_model`` by name, tuned for runs of a few hundred to 2,000 steps.

SB3's defaults suit millions of steps: its PPO first updates after 2,048. ``docs/learners.md`` says
how these were chosen. MaskablePPO has PPO's settings; it leaves out actions that change nothing,
which ``action_mode="jump"`` and "tree" report.
"""


def make_model(
    name: str, env: gym.Env[Any, Any] | VecEnv, seed: int | None = None, **arguments: Any
) -> BaseAlgorithm:
    """Return a new SB3 model for an environment, on the CPU: the networks are small.

    DQN and QR-DQN support Discrete actions only. For them, a single environment with MultiDiscrete
    actions is wrapped in ``rldf_gym.wrappers.FlattenAction``, and ``predict`` returns indices. Load
    such a model with ``DQN.load(path, env=FlattenAction(env))``.

    Args:
        name: one of ``PRESETS``.
        env: Gymnasium environment or SB3 VecEnv; MultiDiscrete observations are one-hot encoded
            by SB3 itself.
        seed: of model, environment and action space; the same seed gives the same run.
        arguments: of the SB3 algorithm, they override the preset; for example
            ``tensorboard_log="runs"``, ``policy_kwargs={"net_arch": [128]}``.

    Raises:
        AgentError: for an unknown name, a vector environment that is not SB3's, or one whose
            actions the algorithm does not support.
    """
    if name not in PRESETS:
        raise AgentError(f"unknown SB3 model {name!r}; known: {', '.join(PRESETS)}")
    preset = PRESETS[name]
    if isinstance(env, gym.vector.VectorEnv):
        raise AgentError(
            "Stable-Baselines3 takes no vector environments of Gymnasium: wrap it in "
            "rldf_agents.sb3_vec_env.SB3VecEnv"
        )
    if preset.numbered_actions and isinstance(env.action_space, spaces.MultiDiscrete):
        if isinstance(env, VecEnv):
            raise AgentError(
                f"{name} takes numbered actions, the VecEnv has {env.action_space}: make it of "
                "environments wrapped in rldf_gym.wrappers.FlattenAction or VectorFlattenAction"
            )
        env = FlattenAction(env)
    # SB3 writes into policy_kwargs, which must not change the preset.
    own = copy.deepcopy(dict(preset.arguments))
    settings = {"policy": "MlpPolicy", "device": "cpu", **own, **arguments}
    return preset.algorithm(env=env, seed=seed, **settings)


_LOGGED = ("distance", "fine", "coarse", "states_seen")


class CallbackBridge(BaseCallback):
    """Pass every step and episode of an SB3 model to callbacks of this package.

    Their ``on_training_start`` is not called, because it receives a learner of this package. For
    progress and checkpoints use SB3's ``learn(progress_bar=True)`` and ``CheckpointCallback``.

    Episodes are numbered from 0 in order of beginning. An episode that began before this callback
    was attached is counted from there on.

    SB3's logger records ``search/distance``, ``search/fine``, ``search/coarse`` and
    ``search/states_seen``: means over the sub-environments' last ``info``.

    Args:
        listeners: called in this order; one that returns False ends the run.

    Raises:
        AgentError: if a listener is a ``ProgressBar`` or ``Checkpoint``.
    """

    def __init__(self, listeners: Sequence[Callback]) -> None:
        super().__init__()
        for listener in listeners:
            if isinstance(listener, ProgressBar | Checkpoint):
                raise AgentError(
                    f"{type(listener).__name__} needs a learner of rldf_agents: use "
                    "learn(progress_bar=True) or CheckpointCallback of Stable-Baselines3"
                )
        self._callbacks = CallbackList(listeners)
        self._envs: VecEnv | None = None

    def _on_training_start(self) -> None:
        self._callbacks = CallbackList(self._callbacks.callbacks)
        # SB3 resets the environments when it resets its count of steps, and when they are new.
        if self.num_timesteps == 0 or self.training_env is not self._envs:
            self._envs = self.training_env
            self._episodes = EpisodeTracker(self._envs.num_envs, first_episode=0)

    def _on_step(self) -> bool:
        transitions, infos = self._transitions(), self.locals["infos"]
        numbers, ended = self._episodes.count(transitions)
        before = self.num_timesteps - len(numbers)
        for sub_env, number in enumerate(numbers):
            transition, timestep = transitions.transition(sub_env), before + sub_env + 1
            self._callbacks.on_step(Step(transition, infos[sub_env], timestep, number, sub_env))
            if sub_env in ended:
                self._callbacks.on_episode(ended[sub_env])
        self._log()
        return self._callbacks.should_continue

    def _log(self) -> None:
        # Not at the end of a rollout: DQN writes its log before that, when an episode ends.
        infos = self.locals["infos"]
        for key in _LOGGED:
            if all(key in info for info in infos):
                self.logger.record(f"search/{key}", float(np.mean([info[key] for info in infos])))

    def _on_training_end(self) -> None:
        for callback in self._callbacks.callbacks:
            callback.on_training_end()

    def _transitions(self) -> Transitions:
        """Return the step that all sub-environments have just taken."""
        # SB3 replaces the observations before the step after its callbacks.
        before = self.model._last_obs
        if not isinstance(before, np.ndarray):
            raise AgentError(
                f"observations are {self.model.observation_space}: callbacks of rldf_agents "
                "support Discrete and MultiDiscrete ones"
            )
        infos, done = self.locals["infos"], np.asarray(self.locals["dones"], np.bool_)
        after = np.array(self.locals["new_obs"])
        for sub_env in np.flatnonzero(done):
            after[sub_env] = infos[sub_env]["terminal_observation"]
        truncated = done & [bool(info.get("TimeLimit.truncated", False)) for info in infos]
        return Transitions(
            sub_envs=np.arange(len(done)),
            observations=before,
            actions=np.asarray(self.locals["actions"]),
            rewards=np.asarray(self.locals["rewards"], np.float64),
            next_observations=after,
            terminated=done & ~truncated,
            truncated=truncated,
        )
