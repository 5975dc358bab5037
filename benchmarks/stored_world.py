"""The embedded world with every state drawn: environments that step at table speed.

A world's states are drawn once into the user's store (``$RLDF_STORE``, else the cache folder):
about a minute for the base grammar, ten for the extended one, on two cores. What is there already,
also from an interrupted run, is not drawn again.
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

TARGETS = sorted((Path(__file__).parent / "targets").glob("*.png"))
"""Twenty pictures that no shipped model was trained on."""


def stored_env(
    target: Target | None = None, grammar: str = "base", **arguments: Any
) -> SingleEnvironment:
    """Make ``RLDF-v0`` on the user's store, with every state of the grammar drawn and read.

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
