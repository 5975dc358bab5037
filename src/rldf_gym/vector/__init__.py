"""``RLDF-v0`` for many searches at once, behind ``gym.make_vec``."""

from rldf_gym.vector.vector_env import RLDFVectorEnv

__all__ = ["RLDFVectorEnv"]
