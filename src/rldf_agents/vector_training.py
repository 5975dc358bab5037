"""The training loop for vector environments: all sub-environments take one step at a time.

The learner learns from all of these steps, then callbacks hear of each, by ascending
sub-environment; one that ends the run ends it after the step of all.

What is under way when a run stops cannot be repeated from the seeds of its episodes, for only the
first one of a sub-environment has a seed. So all actions since the reset are kept in
``learner.progress.vector`` and repeated, without learning, before the run goes on.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from rldf_agents.autoreset_adapter import AutoresetAdapter, EpisodeTracker, autoreset_mode
from rldf_agents.callbacks import CallbackList
from rldf_agents.errors import AgentError
from rldf_agents.protocols import (
    DiscreteArray,
    Learner,
    Progress,
    Step,
    Transitions,
    VectorEnvironment,
    VectorLearner,
    VectorProgress,
)
from rldf_agents.seeding import episode_seed


def run_vector_steps(
    learner: Learner, env: VectorEnvironment, total_timesteps: int, callbacks: CallbackList
) -> None:
    """Let the learner act and learn in all sub-environments; see ``rldf_agents.training.train``."""
    progress = learner.progress
    together = learner if isinstance(learner, VectorLearner) else _OneByOne(learner)
    idle, compact = _first_actions(env), _smallest_type(env)
    vector, sub_environments, episodes = _begin(progress, env)
    while callbacks.should_continue and progress.timesteps < total_timesteps:
        actions = idle.copy()
        acting = sub_environments.acting
        if acting.size:
            observations = sub_environments.observations[acting]
            actions[acting] = together.select_actions(observations, acting)
        transitions, infos = sub_environments.step(actions)
        before = progress.timesteps
        if acting.size:
            together.update_all(transitions)
        vector.actions.append(actions.astype(compact))
        vector.observations = sub_environments.observations
        if not callbacks.callbacks:
            continue
        numbers, ended = episodes.count(transitions)
        for row, sub_env in enumerate(acting.tolist()):
            info = sub_environments.info(infos, sub_env, sub_env in ended)
            transition = transitions.transition(row)
            callbacks.on_step(Step(transition, info, before + row + 1, numbers[row], sub_env))
            if sub_env in ended:
                callbacks.on_episode(ended[sub_env])


class _OneByOne:
    """Any learner as one that takes the steps of all sub-environments, one after the other."""

    def __init__(self, learner: Learner) -> None:
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


def _begin(
    progress: Progress, env: VectorEnvironment
) -> tuple[VectorProgress, AutoresetAdapter, EpisodeTracker]:
    """Reset and repeat the actions taken since the reset of the run under way."""
    if progress.seed is None:
        raise AgentError("the learner has no seed: its start_run must set progress.seed")
    mode = autoreset_mode(env).value
    vector = progress.vector
    if vector is not None and (vector.num_envs, vector.autoreset_mode) != (env.num_envs, mode):
        _warn(
            f"it had {vector.num_envs} sub-environments with autoreset {vector.autoreset_mode}, "
            f"now {env.num_envs} with {mode}"
        )
    elif vector is not None:
        sub_environments, episodes = _reset(progress.seed, vector.first_episode, env)
        for actions in vector.actions:
            repeated = actions.astype(env.single_action_space.dtype)
            episodes.count(sub_environments.step(repeated)[0])
        expected = vector.observations
        if expected is None or np.array_equal(sub_environments.observations, expected):
            return vector, sub_environments, episodes
        _warn("the environment did not repeat itself under its seed")
    elif progress.actions:
        _warn("its episode on a single environment is left unfinished")
        progress.actions.clear()
        progress.observation = None
    progress.vector = VectorProgress(env.num_envs, mode, progress.episodes)
    sub_environments, episodes = _reset(progress.seed, progress.episodes, env)
    progress.vector.observations = sub_environments.observations
    return progress.vector, sub_environments, episodes


def _reset(
    seed: int, first_episode: int, env: VectorEnvironment
) -> tuple[AutoresetAdapter, EpisodeTracker]:
    sub_environments = AutoresetAdapter(env, episode_seed(seed, first_episode))
    return sub_environments, EpisodeTracker(env.num_envs, first_episode)


def _first_actions(env: VectorEnvironment) -> DiscreteArray:
    """Return the first action of the space for everyone: what is sent where none is heeded."""
    space: Any = env.single_action_space
    first: DiscreteArray = np.asarray(space.start, dtype=space.dtype)
    return np.repeat(first[np.newaxis], env.num_envs, axis=0)


def _smallest_type(env: VectorEnvironment) -> np.dtype[np.integer[Any]]:
    """Return the smallest integer type that holds every part of an action."""
    space: Any = env.single_action_space
    sizes = space.n if isinstance(space, spaces.Discrete) else space.nvec
    ends = np.min(space.start), np.max(space.start + sizes - 1)
    return np.result_type(*(np.min_scalar_type(end) for end in ends))


def _warn(reason: str) -> None:
    warnings.warn(
        f"this run is not exactly resumed, {reason}: new episodes start",
        RuntimeWarning,
        stacklevel=5,
    )
