"""The embedded world with every image generated: environments that step at table speed.

The images are generated once into the user's store (``$RLDF_STORE``, else the cache folder): about
a minute for the base grammar, ten for the extended one, on two cores. Images that are already
there, also from an interrupted run, are not generated again.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from tqdm import tqdm

import rldf_gym
from rldf_agents.protocols import SingleEnvironment
from rldf_gym.evaluator import BATCH_SIZE, StateEvaluator
from rldf_gym.goal import Target
from rldf_gym.store import default_path

gym.register_envs(rldf_gym)

_FOLDER = Path(__file__).parent / "targets"
TARGETS = sorted(_FOLDER.glob("*.png"))
"""Twenty pictures of the base grammar that no shipped model was trained on."""

BASE_TARGETS = [*TARGETS, *sorted((_FOLDER / "base").glob("*.webp"))]
"""These and eighty more."""

EXTENDED_TARGETS = sorted((_FOLDER / "extended").glob("*.webp"))
"""Thirty pictures of the extended grammar, likewise."""


def stored_env(
    target: Target | None = None, grammar: str = "base", **arguments: Any
) -> SingleEnvironment:
    """Make ``RLDF-v0`` on the user's store, with every state of the grammar generated and read.

    Steps of it cost no model, whatever the target; ``reset(options={"target": picture})`` changes
    that without reading the world again.

    Args:
        target: picture to search for; None takes the one that is shipped.
        grammar: "base" (480 states) or "extended" (4,320).
        arguments: others of ``gym.make("RLDF-v0")``.
    """
    env = gym.make("RLDF-v0", grammar=grammar, target=target, store=default_path(), **arguments)
    world: StateEvaluator = env.get_wrapper_attr("evaluator")
    n_states = world.grammar.n_states
    with tqdm(total=n_states, desc=f"{grammar} world", unit="state", leave=False, delay=1.0) as bar:
        for start in range(0, n_states, BATCH_SIZE):
            indices = range(start, min(start + BATCH_SIZE, n_states))
            world.readings(np.array([world.grammar.state(index) for index in indices]))
            bar.update(len(indices))
    return env
