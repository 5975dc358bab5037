"""What a learner and a callback offer, and the values that pass between them.

A learner of your own needs two methods to be trained by `rldf_agents.train`, and two more to be
used wherever a learner's name is, for example as ``rldf search --learner package.module:Class``:

    class Mine:
        learn = train                                  # or a training loop of its own

        def __init__(self, observation_space, action_space): ...
        def select_action(self, observation): ...      # -> action
        def update(self, transition): ...
        def predict(self, observation, deterministic=False): ...  # -> action, None

The protocols below say what each method receives and returns, and what else a learner may offer:
``Learner`` is what every user of learners relies on, ``StepLearner`` what `train` relies on,
``ResumableLearner`` what checkpoints and ``--resume`` need, and ``VectorLearner`` is faster on
vector environments. Subclass `rldf_agents.learners.DiscreteLearner` to get all of the third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

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
    """All that a learner receives of one step: neither ``info`` nor the environment itself."""

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
    """Where each action led; at the end of an episode its last observation."""
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
    """One step, as callbacks receive it."""

    transition: Transition
    info: Mapping[str, Any]
    timestep: int
    """Steps taken in the run so far, this one included."""
    episode: int
    """Number of the episode, from 0 in order of beginning."""
    sub_env: int = 0
    """The sub-environment that took the step; a single environment is number 0."""


class Episode(NamedTuple):
    """One finished episode, as callbacks receive it."""

    number: int
    """From 0 in order of beginning; sub-environments may end theirs in another order."""
    length: int
    total_reward: float
    terminated: bool


@dataclass
class Progress:
    """How far a run is.

    ``actions`` and ``observation`` describe the current episode of a single environment. An
    episode is a pure function of its seed and its actions, so a resumed run resets with the same
    seed, repeats these actions without learning from them, and continues from there.
    """

    seed: int | None = None
    timesteps: int = 0
    episodes: int = 0
    """Finished ones."""
    actions: list[DiscreteValue] = field(default_factory=list)
    observation: DiscreteValue | None = None

    def count(self, transitions: Transitions) -> None:
        """Count the steps of all sub-environments, and the episodes that end there."""
        done = transitions.terminated | transitions.truncated
        self.timesteps += done.size
        self.episodes += int(np.count_nonzero(done))


@runtime_checkable
class Learner(Protocol):
    """An agent that learns from an environment: what every learner offers."""

    def __init__(
        self, observation_space: gym.Space[Any], action_space: gym.Space[Any], **options: Any
    ) -> None:
        """Make a new learner; AgentError for spaces and options it does not take."""

    def learn(
        self,
        env: Environment,
        total_timesteps: int,
        seed: int | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        """Train until the run has ``total_timesteps`` steps, those before a resume included.

        ``learn = rldf_agents.train`` will do for a ``StepLearner``. A loop of its own calls every
        callback's methods, with a ``Step`` after each step of the environment, and ends when one
        returns False: this is how searches, statistics and progress bars get their data.
        """

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, Any]:
        """Return an action and, as in Stable-Baselines3, a hidden state (None without one)."""


@runtime_checkable
class StepLearner(Learner, Protocol):
    """A learner that `rldf_agents.train` trains."""

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return the action to take now, exploring, in sub-environment ``sub_env``.

        ``sub_env`` is passed on vector environments only. What spans steps (the next action of
        SARSA, a plan) is kept for each sub-environment.
        """

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Learn from one step of sub-environment ``sub_env``."""


@runtime_checkable
class ResumableLearner(StepLearner, Protocol):
    """A learner that can be saved, loaded and resumed."""

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run; ``update`` counts steps and episodes."""

    def start_run(self, seed: int | None) -> None:
        """Start the run of this seed; with the seed of the current run, or None, continue it.

        What was learned is kept either way.
        """

    def forget_episodes(self) -> None:
        """Forget what spans steps: all episodes that follow are new ones."""

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.safetensors`` file and return its path."""

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> ResumableLearner:
        """Read what ``save`` wrote; AgentError if ``env`` has other spaces than the learner."""


LearnerType: TypeAlias = type[ResumableLearner]
"""The class of a learner; ``load`` is missing where it is not resumable."""


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

        All targets are computed from the values before the step. Then they are learned from in
        ascending order of sub-environment, so two of one state and action are two updates.
        """


class Callback(Protocol):
    """Watches a run of training; a method that returns False ends the run after this step."""

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Start, or resume, a run."""

    def on_step(self, step: Step) -> bool | None:
        """Receive one step, after the learner has learned from it."""

    def on_episode_end(self, episode: Episode) -> bool | None:
        """Receive an episode that has terminated or was truncated."""

    def on_training_end(self) -> None:
        """End the run: it is complete, or a callback or Ctrl-C ended it.

        An exception from the environment ends the run without this call.
        """


def progress_of(learner: Learner) -> Progress:
    """Return the progress of a learner's run, a new one for a learner that keeps none."""
    return learner.progress if isinstance(learner, ResumableLearner) else Progress()
