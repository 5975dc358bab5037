"""What keeping pictures saves: Q-learning on twenty targets, one after another."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import gymnasium as gym
from tqdm import tqdm

import rldf_gym
from benchmarks.results import Case
from benchmarks.stored_world import TARGETS
from rldf_agents.learners import LEARNERS
from rldf_agents.seeding import episode_seed
from rldf_gym.atlas import Atlas
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import make_generator
from rldf_gym.perception import make_perception

gym.register_envs(rldf_gym)

NAIVE = "nothing kept: a world in memory for each target"
MEMORY = "memory: one world for all targets"
STORE = "store: an environment for each target, one file"
PREFETCH = 'store, prefetch="neighbours"'
PREBUILT = "store, atlas built before"
STEPS, QUICK_STEPS = 200, 10
QUICK_TARGETS = 2
QUICK_ATLAS_STATES = 32

Runs: TypeAlias = Iterator[tuple[int, float]]
"""One target after another: pictures drawn for it, and seconds."""


def cases(quick: bool) -> list[Case]:
    """All ways of keeping pictures are one case: they take turns at every target."""
    n_targets = QUICK_TARGETS if quick else len(TARGETS)
    steps = QUICK_STEPS if quick else STEPS
    sample = QUICK_ATLAS_STATES if quick else None
    return [{"section": "targets", "targets": n_targets, "steps": steps, "sample": sample}]


def measure_case(case: Case, rounds: int) -> dict[str, Any]:
    """Pictures drawn and seconds taken, for every way and target."""
    targets, steps = TARGETS[: case["targets"]], case["steps"]
    models = {
        "generator": make_generator("embedded"),
        "perception": make_perception("embedded"),
    }
    with tempfile.TemporaryDirectory() as folder:
        ways = _ways(Path(folder), models, targets, steps, case["sample"])
        costs: dict[str, dict[str, list[float]]] = {
            name: {"pictures": [], "seconds": []} for name in ways
        }
        for _ in tqdm(range(len(targets) + 1), desc="targets", leave=False):
            for name, runs in ways.items():
                pictures, seconds = next(runs)
                costs[name]["pictures"].append(pictures)
                costs[name]["seconds"].append(seconds)
    return {"ways": costs}


def report(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a table of the ways."""
    [row] = [row for row in rows if row["section"] == "targets"]
    lines = [
        "## Twenty targets" if row["targets"] == len(TARGETS) else f"## {row['targets']} targets",
        "",
        f"Q-learning, {row['steps']} steps for each of {row['targets']} targets, base grammar, "
        "embedded world; wall clock. Before the first target: loading the models, and building "
        "the atlas where there is one.",
        "",
        "| kept | pictures before | pictures for all targets | s before | s for all targets |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, costs in row["ways"].items():
        pictures, seconds = costs["pictures"], costs["seconds"]
        lines.append(
            f"| {name} | {pictures[0]:,} | {sum(pictures[1:]):,} | {seconds[0]:.1f} "
            f"| {sum(seconds[1:]):.1f} |"
        )
    return lines


def _ways(
    folder: Path,
    models: Mapping[str, Any],
    targets: Sequence[Path],
    steps: int,
    sample: int | None,
) -> dict[str, Runs]:
    def kept_in(name: str, **arguments: Any) -> Callable[[Path], gym.Env[Any, Any]]:
        store = folder / f"{name}.sqlite"
        return lambda target: gym.make("RLDF-v0", target=target, store=store, **models, **arguments)

    def kept_nowhere(target: Path) -> gym.Env[Any, Any]:
        return gym.make("RLDF-v0", target=target, store=None, **models)

    def build(env: gym.Env[Any, Any]) -> int:
        world: StateEvaluator = env.get_wrapper_attr("evaluator")
        Atlas.build(world, sample=sample)
        return world.generations

    return {
        NAIVE: _one_by_one(kept_nowhere, targets, steps),
        MEMORY: _together(kept_nowhere, targets, steps),
        STORE: _one_by_one(kept_in("store"), targets, steps),
        PREFETCH: _one_by_one(kept_in("prefetch", prefetch="neighbours"), targets, steps),
        PREBUILT: _one_by_one(kept_in("atlas"), targets, steps, build),
    }


def _one_by_one(
    make: Callable[[Path], gym.Env[Any, Any]],
    targets: Sequence[Path],
    steps: int,
    prepare: Callable[[gym.Env[Any, Any]], int] = lambda _: 0,
) -> Runs:
    start = time.perf_counter()
    with closing(make(targets[0])) as env:
        pictures = prepare(env)
    yield pictures, time.perf_counter() - start
    for seed, target in enumerate(targets):
        start = time.perf_counter()
        with closing(make(target)) as env:
            pictures = _learn(env, steps, seed)
        yield pictures, time.perf_counter() - start


def _together(
    make: Callable[[Path], gym.Env[Any, Any]], targets: Sequence[Path], steps: int
) -> Runs:
    start = time.perf_counter()
    env = make(targets[0])
    yield 0, time.perf_counter() - start
    for seed, target in enumerate(targets):
        start, before = time.perf_counter(), env.get_wrapper_attr("evaluator").generations
        # Where its run starts: a picture of any other place would be drawn for nothing.
        env.reset(seed=episode_seed(seed, 0), options={"target": target})
        yield _learn(env, steps, seed) - before, time.perf_counter() - start


def _learn(env: gym.Env[Any, Any], steps: int, seed: int) -> int:
    """Pictures that the environment's world has drawn in all, after learning for so many steps.

    Every target has a seed of its own: one seed would walk the same first steps from the same
    starts for all of them, and sharing pictures would seem to save more than it does.
    """
    LEARNERS["q_learning"](env.observation_space, env.action_space).learn(env, steps, seed)
    return int(env.get_wrapper_attr("evaluator").generations)
