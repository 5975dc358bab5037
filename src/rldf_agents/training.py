"""The training loop: one episode after another, one step after another, as in the textbook.

Every episode starts with ``env.reset(seed=...)``, its seed derived from the seed of the run and
the index of the episode alone. An episode is thereby a pure function of these two and of the
learner's state, and a run can stop and resume at any step with an identical result: the actions
of the current episode are kept in ``learner.progress`` and repeated, without learning, before
the run continues. Progress bars, checkpoints and statistics are callbacks. Vector environments
have a loop of their own, in ``rldf_agents.vector_training``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import gymnasium as gym
import numpy as np

from rldf_agents.autoreset_adapter import single_spaces
from rldf_agents.callbacks import CallbackList
from rldf_agents.errors import AgentError, require
from rldf_agents.interruption import deferred_interrupt
from rldf_agents.protocols import (
    Callback,
    DiscreteValue,
    Environment,
    Episode,
    Learner,
    Progress,
    ResumableLearner,
    SingleEnvironment,
    Step,
    StepLearner,
    Transition,
)
from rldf_agents.seeding import episode_seed, random_seed
from rldf_agents.vector_training import Run, run_vector_steps


def train(
    learner: StepLearner,
    env: Environment,
    total_timesteps: int,
    seed: int | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Let the learner act and learn until its run has ``total_timesteps`` steps.

    A ``ResumableLearner`` counts its own steps, so the run continues where it was; any other
    learner starts a run here.

    Args:
        learner: a new one, or one loaded from a checkpoint.
        env: an environment, or a vector environment, with the spaces that the learner was made
            for. Each sub-environment's step counts as one, as in Stable-Baselines3; they step
            together, so a run may have up to ``num_envs - 1`` steps more than asked for.
        total_timesteps: length of the whole run, steps before a checkpoint included.
        seed: of the run, at least 0; None continues the learner's run or picks one.
        callbacks: called at every step and episode, in this order.

    Raises:
        AgentError: if the spaces of env and learner differ, ``seed`` or ``total_timesteps`` is
            negative, or a vector environment does not say when it begins new episodes.
        KeyboardInterrupt: after Ctrl-C, once the current step is complete and the callbacks
            have ended; a second Ctrl-C does not wait.
    """
    require_same_spaces(learner, env)
    require(total_timesteps >= 0, "total_timesteps", total_timesteps, "a number of at least 0")
    require(seed is None or seed >= 0, "seed", seed, "an integer of at least 0")
    run: Run = learner if isinstance(learner, ResumableLearner) else _CountedRun(learner)
    run.start_run(seed)
    for callback in callbacks:
        callback.on_training_start(learner, env, total_timesteps)
    callback_list = CallbackList(callbacks)
    with deferred_interrupt(callback_list.stop):
        if isinstance(env, gym.vector.VectorEnv):
            run_vector_steps(run, env, total_timesteps, callback_list)
        else:
            _run_steps(run, env, total_timesteps, callback_list)
        for callback in callbacks:
            callback.on_training_end()


class _CountedRun:
    """A learner of two methods, with the counters that the loops need."""

    def __init__(self, learner: StepLearner) -> None:
        self.progress = Progress()
        self.select_action = learner.select_action
        self._update = learner.update

    def start_run(self, seed: int | None) -> None:
        self.progress.seed = random_seed() if seed is None else seed

    def forget_episodes(self) -> None:
        return

    def update(self, transition: Transition, *sub_env: int) -> None:
        self._update(transition, *sub_env)
        self.progress.timesteps += 1
        self.progress.episodes += transition.terminated or transition.truncated


def _run_steps(
    learner: Run,
    env: SingleEnvironment,
    total_timesteps: int,
    callbacks: CallbackList,
) -> None:
    progress = learner.progress
    while callbacks.should_continue and progress.timesteps < total_timesteps:
        number = progress.episodes
        observation, length, total_reward = _begin_episode(learner, env)
        done = False
        while callbacks.should_continue and not done and progress.timesteps < total_timesteps:
            action = learner.select_action(observation)
            result, reward, terminated, truncated, info = env.step(action)
            reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
            # The environment may reuse its own array.
            next_observation = result.copy() if isinstance(result, np.ndarray) else result
            values = (observation, action, reward, next_observation, terminated, truncated)
            transition = tuple.__new__(Transition, values)  # faster than Transition(*values)
            learner.update(transition)
            observation, done = next_observation, terminated or truncated
            length, total_reward = length + 1, total_reward + reward
            progress.actions.append(action)
            progress.observation = observation
            if done:
                _forget_actions(progress)
            if callbacks.callbacks:
                callbacks.on_step(Step(transition, info, progress.timesteps, number))
        if done:
            callbacks.on_episode(Episode(number, length, total_reward, terminated))


def _begin_episode(learner: Run, env: SingleEnvironment) -> tuple[DiscreteValue, int, float]:
    """Reset and repeat the actions taken so far: the observation, their number and reward."""
    progress = learner.progress
    if progress.seed is None:
        raise AgentError("the learner has no seed: its start_run must set progress.seed")
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
        warnings.warn(
            f"this run is not exactly resumed, episode {progress.episodes} did not repeat itself "
            "under its seed: a new episode starts",
            RuntimeWarning,
            stacklevel=4,
        )
        _forget_actions(progress)
        learner.forget_episodes()
        observation, total_reward = env.reset(seed=seed)[0], 0.0
    own = observation.copy() if isinstance(observation, np.ndarray) else observation
    return own, len(progress.actions), total_reward


def _forget_actions(progress: Progress) -> None:
    progress.actions.clear()
    progress.observation = None


def require_same_spaces(learner: Learner, env: Environment) -> None:
    """Raise an AgentError if an environment has other spaces than the learner."""
    names = ("observation_space", "action_space")
    for name, found in zip(names, single_spaces(env), strict=True):
        own = getattr(learner, name, found)
        if own != found:
            raise AgentError(
                f"the learner was made for {name} {own}, the environment has {found}: "
                "make a learner for this environment"
            )
