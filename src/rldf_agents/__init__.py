"""Agents for RLDF Gym and any other Gymnasium environment with discrete spaces.

>>> import gymnasium as gym
>>> from rldf_agents import QLearning
>>> env = gym.make("CliffWalking-v1", max_episode_steps=100)
>>> learner = QLearning(env.observation_space, env.action_space)
>>> learner.learn(env, total_timesteps=1000, seed=0)
>>> learner.progress.timesteps
1000
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
        TreeUCB,
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
    "TreeUCB",
    "train",
]

_MODULES = {"AgentError": "errors", "train": "training"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the command line starts, and can be interrupted, without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_MODULES.get(name, 'learners')}")
    return getattr(module, name)
