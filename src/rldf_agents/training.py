"""The training loop: one episode after another, one step after another, as in the textbook.

Every episode starts with ``env.reset(seed=...)``, its seed derived from the seed of the run and
the index of the episode alone. An episode is thereby a pure function of these two and of the
learner's state, and a run can stop and go on at any step with an identical result: the actions
of the episode under way are kept in ``learner.progress`` and repeated, without learning, before
the run goes on. Progress bars, checkpoints and statistics listen as callbacks. Vector environments
have a loop of their own, in ``rldf_agents.vector_training``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import gymnasium as gym
import numpy as np

from rldf_agents.autoreset_adapter import single_spaces
from rldf_agents.callbacks import CallbackList
from rldf_agents.errors import AgentError
from rldf_agents.interruption import DeferredInterrupt
from rldf_agents.protocols import (
    Callback,
    DiscreteValue,
    Environment,
    Episode,
    Learner,
    SingleEnvironment,
    Step,
    Transition,
)
from rldf_agents.seeding import episode_seed
from rldf_agents.vector_training import run_vector_steps


def train(
    learner: Learner,
    env: Environment,
    total_timesteps: int,
    seed: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Let the learner act and learn until its run has ``total_timesteps`` steps.

    Args:
        learner: a new one, or one loaded from a checkpoint, which goes on where it was.
        env: an environment, or a vector environment, with the spaces that the learner was made
            for. Each sub-environment's step counts as one, as in Stable-Baselines3; they step
            together, so that a run may have up to ``num_envs - 1`` steps more than asked for.
        total_timesteps: length of the whole run, steps before a checkpoint included.
        seed: of the run, at least 0; None goes on with the learner's run or draws one.
        callbacks: told of every step and episode, in this order.

    Raises:
        AgentError: if the spaces of env and learner differ, ``seed`` or ``total_timesteps`` is
            negative, or a vector environment does not say when it begins new episodes.
        KeyboardInterrupt: after Ctrl-C, once the step under way is complete and the callbacks
            have ended; a second Ctrl-C does not wait.
    """
    _check(learner, env, total_timesteps, seed)
    learner.start_run(seed)
    for callback in callbacks:
        callback.on_training_start(learner, env, total_timesteps)
    with DeferredInterrupt() as interrupt:
        callback_list = CallbackList(callbacks, interrupt)
        if isinstance(env, gym.vector.VectorEnv):
            run_vector_steps(learner, env, total_timesteps, callback_list)
        else:
            _run_steps(learner, env, total_timesteps, callback_list)
        for callback in callbacks:
            callback.on_training_end()


def _run_steps(
    learner: Learner, env: SingleEnvironment, total_timesteps: int, callbacks: CallbackList
) -> None:
    progress = learner.progress
    while callbacks.should_continue and progress.timesteps < total_timesteps:
        index = progress.episodes
        observation, length, total_reward = _begin_episode(learner, env)
        done = False
        while callbacks.should_continue and not done and progress.timesteps < total_timesteps:
            action = learner.select_action(observation)
            result, reward, terminated, truncated, info = env.step(action)
            reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
            next_observation = _own(result)
            transition = Transition(
                observation, action, reward, next_observation, terminated, truncated
            )
            learner.update(transition)
            observation, done = next_observation, terminated or truncated
            length, total_reward = length + 1, total_reward + reward
            if callbacks.callbacks:
                callbacks.on_step(Step(transition, info, progress.timesteps, index))
        if done:
            callbacks.on_episode(Episode(index, length, total_reward, terminated))


def _begin_episode(learner: Learner, env: SingleEnvironment) -> tuple[DiscreteValue, int, float]:
    """Reset and repeat the actions taken so far: the observation, their number and reward."""
    progress = learner.progress
    if progress.seed is None:
        raise AgentError("the learner has no seed: its start_run must set progress.seed")
    if progress.vector is not None:
        progress.vector = None
        _warn("its episodes on a vector environment are left unfinished")
    seed = episode_seed(progress.seed, progress.episodes)
    observation: DiscreteValue = env.reset(seed=seed)[0]
    total_reward = 0.0
    for action in progress.actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        total_reward += float(reward)
        if terminated or truncated:
            break
    expected = progress.observation
    if expected is not None and not np.array_equal(np.asarray(observation), np.asarray(expected)):
        _warn(f"episode {progress.episodes} did not repeat itself under its seed")
        progress.actions.clear()
        progress.observation = None
        observation, total_reward = env.reset(seed=seed)[0], 0.0
    return _own(observation), len(progress.actions), total_reward


def _own(observation: DiscreteValue) -> DiscreteValue:
    """Return what the environment cannot change: it may go on using its own array."""
    return observation.copy() if isinstance(observation, np.ndarray) else observation


def _warn(reason: str) -> None:
    warnings.warn(
        f"this run is not exactly resumed, {reason}: a new episode starts",
        RuntimeWarning,
        stacklevel=5,
    )


def _check(learner: Learner, env: Environment, total_timesteps: int, seed: int | None) -> None:
    observation_space, action_space = single_spaces(env)
    for kind, own, found in (
        ("observation_space", learner.observation_space, observation_space),
        ("action_space", learner.action_space, action_space),
    ):
        if own != found:
            raise AgentError(
                f"the learner was made for {kind} {own}, the environment has {found}: "
                "make a learner for this environment"
            )
    if total_timesteps < 0:
        raise AgentError(f"total_timesteps is {total_timesteps}: give a number of at least 0")
    if seed is not None and seed < 0:
        raise AgentError(f"seed is {seed}: give an integer of at least 0")
