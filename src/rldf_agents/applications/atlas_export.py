"""Export an atlas to NumPy or Minari: real-diffusion MDPs for users without a diffusion model."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rldf_agents.applications.output import require_free
from rldf_agents.applications.settings import SearchSettings
from rldf_agents.callbacks import BaseCallback
from rldf_agents.errors import AgentError
from rldf_agents.protocols import Episode, Step
from rldf_agents.training import train
from rldf_gym.actions import DOWN, make_action_mode
from rldf_gym.atlas import Atlas, AtlasError
from rldf_gym.atomic_file import replacing
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import GenerationError
from rldf_gym.goal import Target, infer_goal, load_picture
from rldf_gym.rewards import evaluate_reward, resolve_reward

NAMESPACE = "rldf"
_DATASETS_PATH = "MINARI_DATASETS_PATH"

Arrays = dict[str, NDArray[Any]]


def export_npz(
    evaluator: StateEvaluator,
    atlas: Atlas,
    out: Path,
    targets: Sequence[Target | None] = (None,),
    rewards: Sequence[str] = ("multi_semantic",),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write `tabular_mdp` as a compressed ``npz`` file without pickles.

    Returns:
        What was written, for JSON.

    Raises:
        AgentError: the file exists, and ``overwrite`` is false.
        RLDFError: what `tabular_mdp` raises.
        OSError: the file cannot be written.
    """
    require_free(out, overwrite)
    arrays = tabular_mdp(evaluator, atlas, targets, rewards)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as partial_file, partial_file.open("wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))
    return {
        "format": "npz",
        "out": str(out),
        "states": len(atlas),
        "rewards": list(rewards),
        "goals": arrays["prompts"][arrays["goals"]].tolist(),
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
    }


def tabular_mdp(
    evaluator: StateEvaluator,
    atlas: Atlas,
    targets: Sequence[Target | None],
    rewards: Sequence[str],
) -> Arrays:
    """Return the search for each target in an atlas as arrays; generates nothing.

    An action moves one axis by one value, as in ``RLDF-v0`` with ``action_mode="axis"``. The
    reward is that of the state where the action leads, and an episode ends at the goal state.

    Args:
        evaluator: of the atlas; it reads the targets.
        atlas: with every state of the grammar.
        targets: pictures; None for the one that ships with the package.
        rewards: names, as in ``gym.make("RLDF-v0")``.

    Returns:
        By name, for ``n`` states, ``a`` actions, ``t`` targets and ``r`` rewards:

        - ``states`` int64 ``[n, n_axes]``, ``prompts`` ``[n]``;
        - ``readings`` int64 ``[n, n_axes]``, -1 where nothing was recognised, ``confidence``
          float32 ``[n, n_axes]`` and ``embeddings`` float32 ``[n, d]`` of the images;
        - ``axis_names``, ``nvec`` and ``strides`` ``[n_axes]``: state ``i`` is the one with
          ``state @ strides == i``;
        - ``actions`` int64 ``[a, 2]`` as ``RLDF-v0`` takes them, ``action_meanings`` ``[a]``, and
          ``next_states`` int64 ``[n, a]``, numbers of states;
        - ``goals`` int64 ``[t]``, numbers of states, ``reward_names`` ``[r]`` and ``rewards``
          float32 ``[t, r, n]``.

    Raises:
        AtlasError: the atlas is a sample.
        RLDFError: a target or a reward that cannot be used.
    """
    _require_every_state(atlas)
    grammar, mode = evaluator.grammar, make_action_mode("axis", evaluator.grammar.axes)
    functions = [resolve_reward(reward) for reward in rewards]
    goals = [infer_goal(evaluator, target) for target in targets]
    [readings] = atlas.readings(len(atlas))
    states = grammar.states()
    actions = np.indices((grammar.n_axes, 2)).reshape(2, -1).T.astype(np.int64)
    moved = [mode.apply(np.tile(action, (len(states), 1)), states) for action in actions]
    return {
        "states": states,
        "prompts": np.array([grammar.decode(state) for state in states]),
        "readings": readings.values,
        "confidence": readings.confidence,
        "embeddings": readings.embedding,
        "axis_names": np.array(grammar.axis_names),
        "nvec": grammar.nvec,
        "strides": grammar.strides,
        "actions": actions,
        "action_meanings": np.array(
            [
                f"{grammar.axis_names[axis]} {'down' if direction == DOWN else 'up'}"
                for axis, direction in actions
            ]
        ),
        "next_states": np.stack([reached @ grammar.strides for reached in moved], axis=1),
        "goals": np.array([grammar.index(goal.state) for goal in goals]),
        "reward_names": np.array(rewards),
        "rewards": np.array(
            [[evaluate_reward(each, readings, goal) for each in functions] for goal in goals]
        ),
    }


def export_minari(
    atlas: Atlas,
    arguments: Mapping[str, Any],
    out: Path,
    learner: str = "random",
    episodes: int = 100,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a Minari data set of episodes of ``RLDF-v0`` in a stored world; generates nothing.

    The learner learns while it walks. Its episodes begin and end as in ``RLDF-v0``.

    Args:
        atlas: with every state of the grammar.
        arguments: of ``gym.make("RLDF-v0")``, for the world of the atlas.
        out: a folder, for ``MINARI_DATASETS_PATH``.
        learner: a name in `rldf_agents.LEARNERS`, or ``package.module:Class``.
        episodes: how many, at least 1.
        seed: of the learner and of the states where episodes start.
        overwrite: whether to replace an earlier export in ``out``.

    Returns:
        What was written, for JSON.

    Raises:
        AgentError: Minari is not installed, ``out`` exists, or a setting cannot be used.
        RLDFError: the atlas is a sample, the store lacks an image, or an argument cannot be used.
        OSError: the folder cannot be written.
    """
    try:
        from minari import DataCollector
    except ImportError as absent:
        raise AgentError(
            f"the format minari needs {absent.name or 'minari'}: pip install 'rldf-gym[minari]'"
        ) from absent
    if episodes < 1:
        raise AgentError(f"episodes is {episodes}: give a whole number of at least 1")
    _require_replaceable(out, overwrite)
    _require_every_state(atlas)
    settings = SearchSettings(learner=learner, seed=seed)
    target = load_picture(arguments.get("target"))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as partial_folder:
        folder = Path(partial_folder) / "new"
        with _datasets_in(folder), _stored_world({**arguments, "target": target}) as env:
            collector = DataCollector(env, record_infos=True, data_format="hdf5")
            counts = _Counts(episodes)
            made = settings.make_learner(collector)
            learn = getattr(made, "learn", None) or partial(train, made)
            learn(collector, counts.most_steps(env), seed=seed, callbacks=[counts])
            name = re.sub(r"\W+", "-", f"{atlas.grammar.name}-{learner}")
            summary = {
                "format": "minari",
                "out": str(out),
                "dataset_id": f"{NAMESPACE}/{name}-v0",
                "episodes": counts.episodes,
                "steps": counts.steps,
                "goal": env.get_wrapper_attr("goal").prompt,
            }
            _create_dataset(collector, summary["dataset_id"], learner)
            collector.close()
        if out.exists():
            out.rename(Path(partial_folder) / "old")
        folder.rename(out)
    return summary


def _create_dataset(collector: Any, dataset_id: str, learner: str) -> None:
    with warnings.catch_warnings():
        # Minari asks for an author and the like; the user may add those before publishing.
        warnings.simplefilter("ignore", UserWarning)
        collector.create_dataset(
            dataset_id,
            algorithm_name=learner,
            description="Episodes of RLDF-v0: search for the prompt that means what a picture does",
        )


class _Counts(BaseCallback):
    """Counts steps and episodes, and ends the run after the given number of episodes."""

    def __init__(self, most_episodes: int) -> None:
        self.steps = self.episodes = 0
        self._most_episodes = most_episodes

    def most_steps(self, env: gym.Env[Any, Any]) -> int:
        """Return the number of steps that the episodes cannot exceed."""
        limit = None if env.spec is None else env.spec.max_episode_steps
        if limit is None:
            raise AgentError("the environment has no max_episode_steps: set it")
        return self._most_episodes * limit

    def on_step(self, step: Step) -> None:
        """Count a step."""
        self.steps += 1

    def on_episode_end(self, episode: Episode) -> bool:
        """Count an episode; return whether there are more."""
        self.episodes += 1
        return self.episodes < self._most_episodes


@dataclass(frozen=True)
class _StoredImages:
    """Stands for a generator whose images are all in the store."""

    name: str
    fingerprint: str

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Raise a GenerationError."""
        raise GenerationError(
            f"the store lacks the image of {prompts[0]!r}, which the atlas was built with: name"
            " that store, or build a new atlas with 'rldf atlas build --atlas FILE'"
        )


@contextmanager
def _stored_world(arguments: Mapping[str, Any]) -> Iterator[gym.Env[Any, Any]]:
    env = gym.make("RLDF-v0", **arguments)
    evaluator: StateEvaluator = env.get_wrapper_attr("evaluator")
    generator = evaluator.generator
    evaluator.generator = _StoredImages(generator.name, generator.fingerprint)
    try:
        yield env
    finally:
        env.close()


@contextmanager
def _datasets_in(folder: Path) -> Iterator[None]:
    """Let Minari write into a folder; it reads the place from the process's environment only."""
    before = os.environ.get(_DATASETS_PATH)
    os.environ[_DATASETS_PATH] = str(folder)
    try:
        yield
    finally:
        del os.environ[_DATASETS_PATH]
        if before is not None:
            os.environ[_DATASETS_PATH] = before


def _require_every_state(atlas: Atlas) -> None:
    if len(atlas) != atlas.grammar.n_states:
        raise AtlasError(
            f"the atlas {atlas.path} has {len(atlas)} of {atlas.grammar.n_states} states: export"
            " one of all states, which 'rldf atlas build' makes without --sample"
        )


def _require_replaceable(out: Path, overwrite: bool) -> None:
    require_free(out, overwrite)
    if out.exists() and not (out.is_dir() and {each.name for each in out.iterdir()} == {NAMESPACE}):
        raise AgentError(f"{out} is no earlier export to Minari: choose another folder")
