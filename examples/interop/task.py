"""The task that every library here is given, and how well a policy does at it.

The grammar of actions spans 80 pictures: how many people do what, and where. An episode is a walk
of 20 steps that continues at the goal, so that its return measures how much of the target's meaning
the images have: from -20, at no point anything, to 60.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

import rldf_gym

gym.register_envs(rldf_gym)


def make_env(store: str = "default") -> gym.Env[Any, Any]:
    """Return the environment as it is: MultiDiscrete observations, MultiDiscrete actions."""
    return gym.make("RLDF-v0", grammar="actions", stop_at=None, max_episode_steps=20, store=store)


def one_hot(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Return the environment with observations that a network takes: float32, one-hot per axis."""
    return gym.wrappers.DtypeObservation(gym.wrappers.FlattenObservation(env), np.float32)


def mean_return(env: gym.Env[Any, Any], policy: Callable[[Any], Any], episodes: int = 20) -> float:
    """Return the mean return over episodes that start alike for every policy."""
    returns = []
    for seed in range(episodes):
        observation, _ = env.reset(seed=seed)
        total, done = 0.0, False
        while not done:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            total, done = total + float(reward), terminated or truncated
        returns.append(total)
    return float(np.mean(returns))


def report(env: gym.Env[Any, Any], policy: Callable[[Any], Any], steps: int) -> tuple[float, float]:
    """Print and return the mean return of random actions and of a trained policy."""
    env.action_space.seed(0)
    chance = mean_return(env, lambda _: env.action_space.sample())
    trained = mean_return(env, policy)
    print(f"target: {env.unwrapped.goal.prompt!r}; {steps} steps of training")
    print(f"mean return of an episode: {chance:.1f} at random, {trained:.1f} trained")
    return chance, trained
