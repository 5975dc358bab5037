"""The training loop: one episode after another, one step after another, as in the textbook.

Every episode starts with ``env.reset(seed=...)``, its seed derived from the seed of the run and
the index of the episode alone. An episode is thereby a pure function of these two and of the
learner's state, and a run can stop and go on at any step with an identical result: the actions
of the episode under way are kept in ``learner.progress`` and repeated, without learning, before
the run goes on. Progress bars, checkpoints and statistics listen as callbacks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import gymnasium as gym
import numpy as np

from rldf_agents.contracts import (
    Callback,
    Environment,
    Episode,
    Label,
    Learner,
    Step,
    Transition,
)
from rldf_agents.errors import AgentError
from rldf_agents.interruption import DeferredInterrupt

_EPISODES = 1
"""Branch of the run's seed that the seeds of episodes hang from; learners use branches 0 and 2."""


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
        env: an environment with the spaces that the learner was made for.
        total_timesteps: length of the whole run, steps before a checkpoint included.
        seed: of the run, at least 0; None goes on with the learner's run or draws one.
        callbacks: told of every step and episode, in this order.

    Raises:
        AgentError: if the spaces of env and learner differ, env is a vector environment, or
            ``seed`` or ``total_timesteps`` is negative.
        KeyboardInterrupt: after Ctrl-C, once the step under way is complete and the callbacks
            have ended; a second Ctrl-C does not wait.
    """
    _check(learner, env, total_timesteps, seed)
    learner.start_run(seed)
    progress = learner.progress
    for callback in callbacks:
        callback.on_training_start(learner, env, total_timesteps)
    go_on = True
    with DeferredInterrupt() as interrupt:
        while go_on and progress.timesteps < total_timesteps:
            index = progress.episodes
            observation, length, total_reward = _begin_episode(learner, env)
            done = False
            while go_on and not done and progress.timesteps < total_timesteps:
                action = learner.select_action(observation)
                next_observation, reward, terminated, truncated, info = env.step(action)
                reward, terminated, truncated = float(reward), bool(terminated), bool(truncated)
                transition = Transition(
                    observation, action, reward, next_observation, terminated, truncated
                )
                learner.update(transition)
                observation, done = next_observation, terminated or truncated
                length, total_reward = length + 1, total_reward + reward
                step = Step(transition, info, progress.timesteps, index)
                go_on = _all_go_on([c.on_step(step) for c in callbacks]) and not interrupt.requested
            if done:
                episode = Episode(index, length, total_reward, terminated)
                go_on = _all_go_on([c.on_episode_end(episode) for c in callbacks]) and go_on
        for callback in callbacks:
            callback.on_training_end()


def episode_seed(seed: int, episode: int) -> int:
    """Return the seed in [0, 2^32) that episode number ``episode`` of a run is reset with."""
    branch = np.random.SeedSequence(seed, spawn_key=(_EPISODES, episode))
    return int(branch.generate_state(1)[0])


def _begin_episode(learner: Learner, env: Environment) -> tuple[Label, int, float]:
    """Reset and repeat the actions taken so far: the observation, their number and reward."""
    progress = learner.progress
    if progress.seed is None:
        raise AgentError("the learner has no seed: its start_run must set progress.seed")
    seed = episode_seed(progress.seed, progress.episodes)
    observation: Label = env.reset(seed=seed)[0]
    total_reward = 0.0
    for action in progress.actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        total_reward += float(reward)
        if terminated or truncated:
            break
    expected = progress.observation
    if expected is not None and not np.array_equal(np.asarray(observation), np.asarray(expected)):
        warnings.warn(
            f"episode {progress.episodes} did not repeat itself under its seed, so this run is "
            "not exactly resumed: a new episode starts in its place",
            RuntimeWarning,
            stacklevel=3,
        )
        progress.actions.clear()
        observation, total_reward = env.reset(seed=seed)[0], 0.0
    return observation, len(progress.actions), total_reward


def _all_go_on(answers: list[bool | None]) -> bool:
    return not any(answer is False for answer in answers)


def _check(learner: Learner, env: Environment, total_timesteps: int, seed: int | None) -> None:
    if isinstance(env, gym.vector.VectorEnv):
        raise AgentError("training takes a single environment: make it with gymnasium.make")
    for kind in ("observation_space", "action_space"):
        own, found = getattr(learner, kind), getattr(env, kind)
        if own != found:
            raise AgentError(
                f"the learner was made for {kind} {own}, the environment has {found}: "
                "make a learner for this environment"
            )
    if total_timesteps < 0:
        raise AgentError(f"total_timesteps is {total_timesteps}: give a number of at least 0")
    if seed is not None and seed < 0:
        raise AgentError(f"seed is {seed}: give an integer of at least 0")
