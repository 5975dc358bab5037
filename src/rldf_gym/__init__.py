"""RLDF Gym: reinforcement learning from diffusion feedback as a Gymnasium environment.

Importing this package registers its environments and loads nothing heavy: no model library is
imported before the first image has to be generated or read.
"""

import importlib.metadata

import gymnasium as gym
from gymnasium.envs.registration import WrapperSpec

from rldf_gym.errors import RLDFError
from rldf_gym.threads import bound_spinning

__all__ = ["RLDFError", "__version__"]

__version__ = importlib.metadata.version("rldf-gym")

bound_spinning()

for _name, _arguments in {
    "RLDF-v0": {},
    "RLDF-Base-v0": {"grammar": "base"},
    "RLDF-Extended-v0": {"grammar": "extended"},
    "RLDF-Actions-v0": {"grammar": "actions"},
}.items():
    gym.register(
        id=_name,
        entry_point="rldf_gym.env:RLDFEnv",
        vector_entry_point="rldf_gym.vector:RLDFVectorEnv",
        max_episode_steps=100,
        kwargs=_arguments,
    )

# Discrete actions and one-hot float32 observations: what CleanRL's scripts expect.
gym.register(
    id="RLDF-Flat-v0",
    entry_point="rldf_gym.env:RLDFEnv",
    max_episode_steps=100,
    additional_wrappers=(
        WrapperSpec("FlattenAction", "rldf_gym.wrappers:FlattenAction", {}),
        WrapperSpec("FlattenObservation", "gymnasium.wrappers:FlattenObservation", {}),
        WrapperSpec("Float32Observation", "rldf_gym.wrappers:Float32Observation", {}),
    ),
)
