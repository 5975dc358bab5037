"""RLDF Gym: reinforcement learning from diffusion feedback as a Gymnasium environment.

Importing this package registers ``RLDF-v0`` and loads nothing heavy: no model library is imported
before the first picture has to be drawn or read.
"""

import importlib.metadata

import gymnasium as gym

from rldf_gym.errors import RLDFError
from rldf_gym.threads import bound_spinning

__all__ = ["RLDFError", "__version__"]

__version__ = importlib.metadata.version("rldf-gym")

bound_spinning()

gym.register(
    id="RLDF-v0",
    entry_point="rldf_gym.env:RLDFEnv",
    vector_entry_point="rldf_gym.vector:RLDFVectorEnv",
    max_episode_steps=100,
)
