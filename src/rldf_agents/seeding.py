"""The random numbers of a run: branches of its one seed."""

from __future__ import annotations

import numpy as np

ACTIONS, EPISODES, PREDICTIONS = 0, 1, 2
"""Branches for the learner's actions, the environment's resets and ``predict``."""


def stream(seed: int, branch: int) -> np.random.Generator:
    """Return the random numbers of one branch of a run."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(branch,)))


def episode_seed(seed: int, episode: int) -> int:
    """Return the seed in [0, 2^32) that episode number ``episode`` of a run is reset with."""
    branch = np.random.SeedSequence(seed, spawn_key=(EPISODES, episode))
    return int(branch.generate_state(1)[0])


def random_seed() -> int:
    """Return a seed in [0, 2^32) from the operating system's random numbers."""
    return int(np.random.SeedSequence().generate_state(1)[0])
