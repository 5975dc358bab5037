"""Agents for RLDF Gym and any other Gymnasium environment with discrete spaces.

>>> import gymnasium as gym
>>> from rldf_agents import QLearning
>>> env = gym.make("CliffWalking-v1", max_episode_steps=100)
>>> learner = QLearning(env.observation_space, env.action_space)
>>> learner.learn(env, total_timesteps=1000, seed=0)
>>> learner.progress.timesteps
1000
"""

from rldf_agents.errors import AgentError
from rldf_agents.learners import (
    LEARNERS,
    SARSA,
    DynaQ,
    FactoredUCB,
    Learner,
    LinearQLearning,
    LinearSARSA,
    NoisyDiffusionGradient,
    QLearning,
    RandomAgent,
)
from rldf_agents.training import train

__all__ = [
    "LEARNERS",
    "SARSA",
    "AgentError",
    "DynaQ",
    "FactoredUCB",
    "Learner",
    "LinearQLearning",
    "LinearSARSA",
    "NoisyDiffusionGradient",
    "QLearning",
    "RandomAgent",
    "train",
]
