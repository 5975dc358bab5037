"""What a learner offers, what a callback hears, and the values that pass between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, runtime_checkable

import gymnasium as gym
import numpy as np
import numpy.typing as npt

DiscreteValue: TypeAlias = int | np.integer[Any] | npt.NDArray[np.integer[Any]]
"""An observation or an action: an integer (Discrete) or an int array [n_axes] (MultiDiscrete)."""

DiscreteArray: TypeAlias = npt.NDArray[np.integer[Any]]
"""Observations or actions of several sub-environments: int [n] or [n, n_axes]."""

SingleEnvironment: TypeAlias = gym.Env[Any, Any]
VectorEnvironment: TypeAlias = gym.vector.VectorEnv[Any, Any, Any]

Environment: TypeAlias = SingleEnvironment | VectorEnvironment
"""One environment, or several with the same spaces that step together."""


class Transition(NamedTuple):
    """All that a learner sees of one step: neither ``info`` nor the environment itself."""

    observation: DiscreteValue
    action: DiscreteValue
    reward: float
    next_observation: DiscreteValue
    terminated: bool
    truncated: bool


class Transitions(NamedTuple):
    """One step of several sub-environments: element i of every array belongs to sub_envs[i].

    Only steps that an action caused: a sub-environment that merely begins its next episode is
    left out.
    """

    sub_envs: npt.NDArray[np.int64]
    """Ascending, int64 [n]."""
    observations: DiscreteArray
    actions: DiscreteArray
    rewards: npt.NDArray[np.float64]
    next_observations: DiscreteArray
    """What each action led to; at the end of an episode its last observation."""
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]

    def transition(self, row: int) -> Transition:
        """Return one of the steps."""
        return Transition(
            self.observations[row],
            self.actions[row],
            float(self.rewards[row]),
            self.next_observations[row],
            bool(self.terminated[row]),
            bool(self.truncated[row]),
        )


class Step(NamedTuple):
    """What a callback hears of one step."""

    transition: Transition
    info: Mapping[str, Any]
    timestep: int
    """Steps taken in the run so far, this one included."""
    episode: int
    """Number of the episode, from 0 in order of beginning."""
    sub_env: int = 0
    """Which sub-environment took the step; a single environment is number 0."""


class Episode(NamedTuple):
    """What a callback hears of one finished episode."""

    number: int
    """From 0 in order of beginning; sub-environments may end theirs in another order."""
    length: int
    total_reward: float
    terminated: bool


@dataclass
class VectorProgress:
    """What happened to a vector environment since it was reset with a seed.

    Its sub-environments begin new episodes by themselves, with random numbers that earlier
    episodes leave behind. What they do is thereby a function of the first seed and of all actions
    since, which a resumed run repeats without learning from them.
    """

    num_envs: int
    autoreset_mode: str
    first_episode: int
    """Number of the first episode: the reset was seeded with it."""
    actions: list[DiscreteArray] = field(default_factory=list)
    """Of every step, [num_envs] or [num_envs, n_axes] in the smallest integer type that fits."""
    observations: DiscreteArray | None = None
    """What the next actions are chosen for, [num_envs] or [num_envs, n_axes]."""


@dataclass
class Progress:
    """Where in its run a learner is; saved with it, so that the run can go on from any step.

    ``actions`` and ``observation`` describe the episode under way: an episode is a pure function
    of its seed and its actions, so that a resumed run resets with the same seed, repeats these
    actions without learning from them, and stands where it left off. On a vector environment
    ``vector`` takes their place.
    """

    seed: int | None = None
    timesteps: int = 0
    episodes: int = 0
    actions: list[DiscreteValue] = field(default_factory=list)
    observation: DiscreteValue | None = None
    vector: VectorProgress | None = None


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

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return the action to take now, exploring, in sub-environment ``sub_env``.

        A single environment is sub-environment 0. What spans steps (the next action of SARSA, a
        probe under way) is kept for each sub-environment.
        """

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Learn from one step of sub-environment ``sub_env`` and count it."""

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
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
        """Train until the run has ``total_timesteps`` steps, those before a resume included.

        On a vector environment every sub-environment's step counts.
        """

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.safetensors`` file and return where it lies."""


@runtime_checkable
class VectorLearner(Protocol):
    """A learner that also takes the steps of all sub-environments at once, as arrays.

    Training on a vector environment then calls these two methods instead of ``select_action`` and
    ``update`` of one sub-environment after the other.
    """

    def select_actions(
        self, observations: DiscreteArray, sub_envs: npt.NDArray[np.int64]
    ) -> DiscreteArray:
        """Return the actions to take now, exploring; row i in sub-environment sub_envs[i]."""

    def update_all(self, transitions: Transitions) -> None:
        """Learn from one step of all sub-environments and count it.

        The targets of all come from what was known before the step. Then they are learned from in
        ascending order of sub-environment, so that two of one state and action are two updates.
        """


class LearnerType(Protocol):
    """The class of a learner: how one is made and read from a file."""

    @property
    def name(self) -> str:
        """What saved files and the command line call it."""

    def __call__(self, *spaces: Any, **settings: Any) -> Learner:
        """Return a new learner for an observation and an action space, in this order."""

    def load(self, path: str | Path, env: Environment | None = None) -> Learner:
        """Read what ``save`` wrote; AgentError if ``env`` has other spaces than it was made for."""


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
