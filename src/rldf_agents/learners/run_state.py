"""Counters and random numbers of one run of training."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from rldf_agents.protocols import Progress, Transitions
from rldf_agents.seeding import ACTIONS, PREDICTIONS, random_seed, stream


class RunState:
    """Progress of a run and the random stream of its actions, saved and resumed together.

    Attributes:
        progress: seed and counters, and the episode under way.
        random: the stream for training, whose state is saved.
        prediction_random: a separate stream for ``predict``, so that predictions during training
            do not change the training.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self.random = np.random.default_rng()
        self.prediction_random = np.random.default_rng()

    def start(self, seed: int | None) -> bool:
        """Start the run of this seed, or continue the current one; return whether it is new.

        None continues the current run, or picks a seed if there is none.
        """
        if seed is None:
            seed = random_seed() if self.progress.seed is None else self.progress.seed
        if seed == self.progress.seed:
            return False
        self.progress = Progress(seed=seed)
        self.random = stream(seed, ACTIONS)
        self.prediction_random = stream(seed, PREDICTIONS)
        return True

    def count(self, transitions: Transitions) -> None:
        """Count the steps of all sub-environments, and the episodes that end there."""
        done = transitions.terminated | transitions.truncated
        self.progress.timesteps += done.size
        self.progress.episodes += int(np.count_nonzero(done))

    def to_json(self, observations: gym.Space[Any], actions: gym.Space[Any]) -> dict[str, Any]:
        """Return everything that ``restore`` needs."""
        progress = self.progress
        observation = [] if progress.observation is None else [progress.observation]
        return {
            "seed": progress.seed,
            "timesteps": progress.timesteps,
            "episodes": progress.episodes,
            "actions": actions.to_jsonable(progress.actions),
            "observation": observations.to_jsonable(observation),
            "random": self.random.bit_generator.state,
        }

    def restore(
        self, saved: dict[str, Any], observations: gym.Space[Any], actions: gym.Space[Any]
    ) -> None:
        """Take over what ``to_json`` returned."""
        observation = observations.from_jsonable(saved["observation"])
        self.progress = Progress(
            seed=saved["seed"],
            timesteps=saved["timesteps"],
            episodes=saved["episodes"],
            actions=list(actions.from_jsonable(saved["actions"])),
            observation=observation[0] if observation else None,
        )
        self.random.bit_generator.state = saved["random"]
        if self.progress.seed is not None:
            self.prediction_random = stream(self.progress.seed, PREDICTIONS)
