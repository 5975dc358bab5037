"""What a learner offers, what a callback hears, and the values that pass between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

import gymnasium as gym
import numpy as np
import numpy.typing as npt

Label: TypeAlias = int | np.integer[Any] | npt.NDArray[np.integer[Any]]
"""An observation or an action: an integer (Discrete) or an int array [n_axes] (MultiDiscrete)."""

Environment: TypeAlias = gym.Env[Any, Any]


class Transition(NamedTuple):
    """All that a learner sees of one step: neither ``info`` nor the environment itself."""

    observation: Label
    action: Label
    reward: float
    next_observation: Label
    terminated: bool
    truncated: bool


class Step(NamedTuple):
    """What a callback hears of one step."""

    transition: Transition
    info: Mapping[str, Any]
    timestep: int
    """Steps taken in the run so far, this one included."""
    episode: int
    """Index of the episode, from 0."""


class Episode(NamedTuple):
    """What a callback hears of one finished episode."""

    number: int
    """From 0."""
    length: int
    total_reward: float
    terminated: bool


@dataclass
class Progress:
    """Where in its run a learner is; saved with it, so that the run can go on from any step.

    ``actions`` and ``observation`` describe the episode under way: an episode is a pure function
    of its seed and its actions, so that a resumed run resets with the same seed, repeats these
    actions without learning from them, and stands where it left off.
    """

    seed: int | None = None
    timesteps: int = 0
    episodes: int = 0
    actions: list[Label] = field(default_factory=list)
    observation: Label | None = None


class Learner(Protocol):
    """An agent for environments with Discrete or MultiDiscrete spaces."""

    name: ClassVar[str]
    """What saved files and the command line call it."""

    @property
    def observation_space(self) -> gym.Space[Any]:
        """The observations it was made for."""

    @property
    def action_space(self) -> gym.Space[Any]:
        """The actions it was made for."""

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run, kept up to date by ``start_run`` and ``update``."""

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed; with the seed of the run under way (or None) go on with it.

        What was learned is kept either way.
        """

    def select_action(self, observation: Label) -> Label:
        """Return the action to take now, exploring."""

    def update(self, transition: Transition) -> None:
        """Learn from one step and count it."""

    def predict(self, observation: Label, deterministic: bool = False) -> tuple[Label, None]:
        """Return an action and, as Stable-Baselines3 does, a hidden state (none here).

        Drawing from the policy here leaves the random numbers of training untouched.
        """

    def learn(
        self,
        env: Environment,
        total_timesteps: int,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Train until the run has ``total_timesteps`` steps, those before a resume included."""

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.safetensors`` file and return where it lies."""


class Callback(Protocol):
    """Watches a run of training; a method that returns False ends the run after this step."""

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Hear that a run starts, or goes on from ``learner.progress``."""

    def on_step(self, step: Step) -> bool | None:
        """Hear of one step, after the learner has learned from it."""

    def on_episode_end(self, episode: Episode) -> bool | None:
        """Hear that an episode has terminated or was truncated."""

    def on_training_end(self) -> None:
        """Hear that the run has ended: complete, ended by a callback, or by Ctrl-C.

        An exception from the environment ends the run without this call.
        """
