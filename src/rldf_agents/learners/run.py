"""Counters and random numbers of one run of training."""

from __future__ import annotations

from typing import Any

import numpy as np

from rldf_agents.contracts import Progress, Transition
from rldf_agents.learners.labels import Labels, save_label

_ACTIONS, _PREDICTIONS = 0, 2
"""Branches of the run's seed; branch 1 seeds the episodes (``rldf_agents.training``)."""


class Run:
    """Progress of a run and the random stream its actions come from, saved and resumed together.

    Attributes:
        progress: seed, counters and the episode under way.
        random: the stream for training, whose state is saved.
        prediction_random: a stream of its own for ``predict``, so that looking at a learner
            during training does not change the training.
    """

    def __init__(self, observations: Labels, actions: Labels) -> None:
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
        self.random = _stream(seed, _ACTIONS)
        self.prediction_random = _stream(seed, _PREDICTIONS)
        return True

    def record(self, transition: Transition) -> None:
        """Count one step, and one episode if it ends here."""
        progress = self.progress
        progress.timesteps += 1
        if transition.terminated or transition.truncated:
            progress.episodes += 1
            progress.actions.clear()
            progress.observation = None
        else:
            progress.actions.append(transition.action)
            progress.observation = np.array(transition.next_observation)

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
            "random": self.random.bit_generator.state,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what ``to_json`` returned."""
        observation = saved["observation"]
        self.progress = Progress(
            seed=saved["seed"],
            timesteps=saved["timesteps"],
            episodes=saved["episodes"],
            actions=[self._actions.restore(action) for action in saved["actions"]],
            observation=None if observation is None else self._observations.restore(observation),
        )
        self.random.bit_generator.state = saved["random"]
        if self.progress.seed is not None:
            self.prediction_random = _stream(self.progress.seed, _PREDICTIONS)


def _stream(seed: int, branch: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(branch,)))
