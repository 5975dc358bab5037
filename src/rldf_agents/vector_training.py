"""The training loop for vector environments: all sub-environments take one step at a time.

The learner learns from all of these steps, then callbacks receive each, by ascending
sub-environment; one that ends the run ends it after the step of all.

Only the first episode of a sub-environment has a seed of its own, so what is under way when a run
stops cannot be repeated. A resumed run keeps all that was learned and starts new episodes.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rldf_agents.autoreset_adapter import AutoresetAdapter, EpisodeTracker
from rldf_agents.callbacks import CallbackList
from rldf_agents.errors import AgentError
from rldf_agents.protocols import (
    DiscreteArray,
    DiscreteValue,
    Progress,
    Step,
    Transition,
    Transitions,
    VectorEnvironment,
    VectorLearner,
)
from rldf_agents.seeding import episode_seed


class Run(Protocol):
    """The part of a learner that the training loops use."""

    @property
    def progress(self) -> Progress:
        """See ``ResumableLearner``."""

    def start_run(self, seed: int | None) -> None:
        """See ``ResumableLearner``."""

    def forget_episodes(self) -> None:
        """See ``ResumableLearner``."""

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """See ``StepLearner``."""

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """See ``StepLearner``."""


def run_vector_steps(
    learner: Run, env: VectorEnvironment, total_timesteps: int, callbacks: CallbackList
) -> None:
    """Let the learner act and learn in all sub-environments; see ``rldf_agents.training.train``."""
    progress = learner.progress
    if progress.seed is None:
        raise AgentError("the learner has no seed: its start_run must set progress.seed")
    learner.forget_episodes()
    progress.actions.clear()
    progress.observation = None
    together = learner if isinstance(learner, VectorLearner) else _OneByOne(learner)
    adapter = AutoresetAdapter(env, episode_seed(progress.seed, progress.episodes))
    episodes = EpisodeTracker(env.num_envs, progress.episodes)
    unused = _first_actions(env)
    while callbacks.should_continue and progress.timesteps < total_timesteps:
        actions, acting = unused.copy(), adapter.acting
        if acting.size:
            actions[acting] = together.select_actions(adapter.observations[acting], acting)
        transitions, infos = adapter.step(actions)
        before = progress.timesteps
        if acting.size:
            together.update_all(transitions)
        if not callbacks.callbacks:
            continue
        numbers, ended = episodes.count(transitions)
        own_infos = adapter.own_infos(infos, ended)
        for row, sub_env in enumerate(acting.tolist()):
            transition, timestep = transitions.transition(row), before + row + 1
            callbacks.on_step(Step(transition, own_infos[sub_env], timestep, numbers[row], sub_env))
            if sub_env in ended:
                callbacks.on_episode(ended[sub_env])


class _OneByOne:
    """Any learner as one that takes the steps of all sub-environments, one after the other."""

    def __init__(self, learner: Run) -> None:
        self._learner = learner

    def select_actions(
        self, observations: DiscreteArray, sub_envs: npt.NDArray[np.int64]
    ) -> DiscreteArray:
        """Return one action for each."""
        rows = zip(observations, sub_envs.tolist(), strict=True)
        return np.array([self._learner.select_action(*row) for row in rows])

    def update_all(self, transitions: Transitions) -> None:
        """Learn from one after the other."""
        for row, sub_env in enumerate(transitions.sub_envs.tolist()):
            self._learner.update(transitions.transition(row), sub_env)


def _first_actions(env: VectorEnvironment) -> DiscreteArray:
    """Return the first action of the space for each: what is sent where none is used."""
    space: Any = env.single_action_space
    first: DiscreteArray = np.asarray(space.start, dtype=space.dtype)
    return np.repeat(first[np.newaxis], env.num_envs, axis=0)
