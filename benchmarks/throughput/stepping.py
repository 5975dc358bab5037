"""Steps in a world that is wholly in the store, single and vectorized, against their peers."""

import itertools
import resource
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from benchmarks.results import Case
from benchmarks.stored_world import stored_env
from benchmarks.timing import Seconds, Work, in_turn, microseconds, ratio
from rldf_agents.protocols import SingleEnvironment, VectorEnvironment
from rldf_gym.grammar import load_grammar
from rldf_gym.store import default_path

SINGLE = "RLDF-v0"
PEER = "CliffWalking-v1"
OURS = "RLDFVectorEnv"
CLIP = "RLDFVectorEnv, reward clip"
SYNC = "SyncVectorEnv"
ASYNC = "AsyncVectorEnv"
CART_POLE = "CartPole's vector env"
NUM_ENVS = (1, 16, 256, 4096)
MOST_PROCESSES = 256
"""`AsyncVectorEnv` runs a process for each environment."""
LEAST_STEPS, N_ACTIONS = 16, 64
_OPEN_FILES_PER_ENV = 4
"""The store's file and its log, for a world of one's own, and some to spare."""


def cases(quick: bool) -> list[Case]:
    """One case for the single environment, one for each number of sub-environments."""
    numbers = NUM_ENVS[:2] if quick else NUM_ENVS
    return [{"section": "step"}, *({"section": "vector", "num_envs": n} for n in numbers)]


def measure_case(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of every form, and of how many steps."""
    if case["section"] == "step":
        n_steps = 10_000
        forms = {
            SINGLE: _single(stored_env(), n_steps),
            PEER: _single(gym.make(PEER), n_steps),
        }
        return {"n_steps": n_steps, "seconds": in_turn(forms, rounds)}
    num_envs = case["num_envs"]
    n_steps = max(LEAST_STEPS, 4096 // num_envs)
    with ExitStack() as stack:
        forms = {}
        for name, envs in _vector_envs(num_envs).items():
            stack.callback(envs.close)
            forms[name] = _vector(envs, n_steps)
        return {"n_steps": n_steps, "seconds": in_turn(forms, rounds)}


def report(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a table of the single environments, one of the vectorized."""
    [step] = [row for row in rows if row["section"] == "step"]
    seconds: Seconds = step["seconds"]
    costs = {name: microseconds(seconds[name]["processor"], step["n_steps"]) for name in seconds}
    times = ratio(seconds[SINGLE]["processor"], seconds[PEER]["processor"])
    lines = [
        "## One environment",
        "",
        "`step` through `gym.make` with its defaults, random actions, the resets at the end of "
        "episodes included; processor time.",
        "",
        "| | µs a step | ratio | bar |",
        "|---|---:|---:|---:|",
        f"| {SINGLE}, everything in the store | {costs[SINGLE]:.2f} | {times} | ≤ 0.5 |",
        f"| {PEER} | {costs[PEER]:.2f} | 1 | |",
        "",
        "## Many environments",
        "",
        "Steps of all sub-environments together, `gym.make_vec` with its defaults, random "
        "actions, resets included. `SyncVectorEnv` and `AsyncVectorEnv` hold environments of "
        '`gym.make("RLDF-v0")`, each with a world of its own; `AsyncVectorEnv`, a process for '
        f"each, at most {MOST_PROCESSES} of them. All were in every state before. Processor time, "
        "but for `AsyncVectorEnv` and what it is compared with: wall clock.",
        "",
        "| sub-environments | | µs a step of all | steps/s | times as fast as it: RLDFVectorEnv | "
        "bar |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row["section"] == "vector":
            lines += _vector_lines(row)
    return lines


def _vector_lines(row: dict[str, Any]) -> list[str]:
    lines, num_envs, seconds = [], row["num_envs"], row["seconds"]
    for name in seconds:
        clock = "wall" if name == ASYNC else "processor"
        cost = microseconds(seconds[name][clock], row["n_steps"])
        faster = "" if name == OURS else ratio(seconds[name][clock], seconds[OURS][clock])
        bar = "≥ 45" if (name, num_envs) == (SYNC, 256) else ""
        lines.append(
            f"| {num_envs:,} | {name} | {cost:,.1f} | {num_envs / cost * 1e6:,.0f} | {faster} "
            f"| {bar} |"
        )
    return lines


def _vector_envs(num_envs: int) -> dict[str, VectorEnvironment]:
    """Every vectorization, of the same world."""
    store = default_path()
    stored_env().close()
    _allow_open_files(_OPEN_FILES_PER_ENV * num_envs)
    envs: dict[str, VectorEnvironment] = {
        OURS: gym.make_vec("RLDF-v0", num_envs, store=store),
        CLIP: gym.make_vec("RLDF-v0", num_envs, store=store, reward="clip"),
        CART_POLE: gym.make_vec("CartPole-v1", num_envs, vectorization_mode="vector_entry_point"),
    }
    envs[SYNC] = SyncVectorEnv([stored_env] * num_envs)
    if num_envs <= MOST_PROCESSES:
        envs[ASYNC] = AsyncVectorEnv([stored_env] * num_envs)
    return envs


def _allow_open_files(number: int) -> None:
    """Raise this process's own limit, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < number and (hard == unlimited or number <= hard):
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def _single(env: SingleEnvironment, n_steps: int) -> Work:
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(n_steps)]
    env.reset(seed=0)

    def work() -> None:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    return work


def _vector(envs: VectorEnvironment, n_steps: int) -> Work:
    sizes = getattr(envs.single_action_space, "nvec", None)
    random = np.random.default_rng(0)
    high = 2 if sizes is None else sizes
    actions = [random.integers(0, high, envs.action_space.shape) for _ in range(N_ACTIONS)]
    if isinstance(envs.single_observation_space, MultiDiscrete):
        # A first visit costs a look into the store; what is compared is what follows.
        for state in load_grammar("base").states():
            envs.reset(options={"state": state})
    envs.reset(seed=0)

    def work() -> None:
        for action in itertools.islice(itertools.cycle(actions), n_steps):
            envs.step(action)

    return work
