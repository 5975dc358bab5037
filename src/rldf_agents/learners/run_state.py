"""Counters and random numbers of one run of training."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from rldf_agents.learners.space_index import SpaceIndex, save_label
from rldf_agents.protocols import DiscreteArray, Progress, Transition, Transitions, VectorProgress
from rldf_agents.seeding import ACTIONS, PREDICTIONS, stream


class RunState:
    """Progress of a run and the random stream its actions come from, saved and resumed together.

    Attributes:
        progress: seed, counters and what of the run a resumed one repeats.
        random: the stream for training, whose state is saved.
        prediction_random: a stream of its own for ``predict``, so that looking at a learner
            during training does not change the training.
    """

    def __init__(self, observations: SpaceIndex, actions: SpaceIndex) -> None:
        self._observations = observations
        self._actions = actions
        self.progress = Progress()
        self.random = np.random.default_rng()
        self.prediction_random = np.random.default_rng()

    def start(self, seed: int | None) -> bool:
        """Begin the run of this seed, or go on with the one under way; return whether it is new.

        None goes on with the run under way, or draws a seed where there is none.
        """
        if seed is None:
            seed = self.progress.seed
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        if seed == self.progress.seed:
            return False
        self.progress = Progress(seed=seed)
        self.random = stream(seed, ACTIONS)
        self.prediction_random = stream(seed, PREDICTIONS)
        return True

    def record(self, transition: Transition, sub_env: int = 0) -> None:
        """Count one step, and one episode if it ends here.

        The episode of a single environment, sub-environment 0, is noted for a resume; of a vector
        environment the training loop keeps ``progress.vector``.
        """
        progress = self.progress
        progress.timesteps += 1
        done = transition.terminated or transition.truncated
        progress.episodes += done
        if sub_env or progress.vector is not None:
            return
        if done:
            progress.actions.clear()
            progress.observation = None
        else:
            progress.actions.append(transition.action)
            progress.observation = transition.next_observation

    def record_all(self, transitions: Transitions) -> None:
        """Count the steps of all sub-environments, and the episodes that end there."""
        done = transitions.terminated | transitions.truncated
        self.progress.timesteps += done.size
        self.progress.episodes += int(np.count_nonzero(done))

    def to_json(self) -> dict[str, Any]:
        """Return everything that ``restore`` needs."""
        progress = self.progress
        observation = progress.observation
        return {
            "seed": progress.seed,
            "timesteps": progress.timesteps,
            "episodes": progress.episodes,
            "actions": [save_label(action) for action in progress.actions],
            "observation": None if observation is None else save_label(observation),
            "vector": None if progress.vector is None else _vector_to_json(progress.vector),
            "random": self.random.bit_generator.state,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what ``to_json`` returned."""
        observation, vector = saved["observation"], saved["vector"]
        self.progress = Progress(
            seed=saved["seed"],
            timesteps=saved["timesteps"],
            episodes=saved["episodes"],
            actions=[self._actions.restore(action) for action in saved["actions"]],
            observation=None if observation is None else self._observations.restore(observation),
            vector=None if vector is None else _vector_from_json(vector),
        )
        self.random.bit_generator.state = saved["random"]
        if self.progress.seed is not None:
            self.prediction_random = stream(self.progress.seed, PREDICTIONS)


def _vector_to_json(vector: VectorProgress) -> dict[str, Any]:
    return {
        "num_envs": vector.num_envs,
        "autoreset_mode": vector.autoreset_mode,
        "first_episode": vector.first_episode,
        "actions": _pack(np.array(vector.actions)),
        "observations": None if vector.observations is None else _pack(vector.observations),
    }


def _vector_from_json(saved: dict[str, Any]) -> VectorProgress:
    observations = saved["observations"]
    return VectorProgress(
        num_envs=saved["num_envs"],
        autoreset_mode=saved["autoreset_mode"],
        first_episode=saved["first_episode"],
        actions=list(_unpack(saved["actions"])),
        observations=None if observations is None else _unpack(observations),
    )


def _pack(array: DiscreteArray) -> dict[str, Any]:
    """Return an array as compressed text: a long run has millions of actions."""
    text = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes())).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "zlib": text}


def _unpack(packed: dict[str, Any]) -> DiscreteArray:
    content = zlib.decompress(base64.b64decode(packed["zlib"]))
    array: DiscreteArray = np.frombuffer(content, packed["dtype"]).reshape(packed["shape"]).copy()
    return array
