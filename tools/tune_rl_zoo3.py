"""Choose the hyperparameters of ``examples/rl_zoo3`` by a small search on stored worlds.

    python -m tools.tune_rl_zoo3 ppo

Candidates are drawn at random. All train on one target of the base world; the best two train on two
further targets, and the best of these on every world. The score is the mean return of episodes
of 100 steps that continue at the goal, by the deterministic policy, from the same 20 starts.
"""

import functools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import typer
import yaml
from stable_baselines3 import A2C, DQN, PPO

import rldf_gym
from benchmarks.stored_world import BASE_TARGETS, EXTENDED_TARGETS
from rldf_agents.sb3_vec_env import SB3VecEnv
from rldf_gym.wrappers import VectorFlattenAction

gym.register_envs(rldf_gym)

ALGORITHMS = {"ppo": PPO, "a2c": A2C, "dqn": DQN}

N_CANDIDATES = 5
N_STARTS = 20
STEPS = {"ppo": 10_000, "a2c": 10_000, "dqn": 5_000}
"""Of training in the search."""

GRIDS: Mapping[str, Mapping[str, list[Any]]] = {
    "ppo": {
        "n_envs": [8],
        "n_steps": [32, 64],
        "batch_size": [64, 128],
        "n_epochs": [5, 10],
        "learning_rate": [1e-3, 3e-3],
        "gamma": [0.5, 0.8, 0.9, 0.95],
        "ent_coef": [0.0, 0.01, 0.1],
    },
    "a2c": {
        "n_envs": [8],
        "n_steps": [5, 8, 16],
        "learning_rate": [1e-3, 3e-3, 5e-3],
        "gamma": [0.5, 0.8, 0.9],
        "ent_coef": [0.0, 0.01, 0.1],
        "use_rms_prop": [True, False],
    },
    "dqn": {
        "learning_starts": [200],
        "buffer_size": [20_000],
        "train_freq": [2, 4],
        "batch_size": [64],
        "learning_rate": [1e-3, 3e-3],
        "gamma": [0.5, 0.8, 0.9],
        "target_update_interval": [50, 200, 500],
        "exploration_fraction": [0.1, 0.3, 0.5],
        "exploration_final_eps": [0.05, 0.1],
    },
}


class Score(NamedTuple):
    """How well a policy does: its mean return, and the share of episodes that visit the goal."""

    mean_return: float
    goals: float


def main(algorithm: str, seed: int = 0) -> None:
    """Search, and print what was tried and what came out."""
    began = time.process_time()
    random = np.random.default_rng(seed)
    candidates = [
        {name: values[random.integers(len(values))] for name, values in GRIDS[algorithm].items()}
        for _ in range(N_CANDIDATES)
    ]
    ranked = _ranked(algorithm, candidates, BASE_TARGETS[:1])
    best, *_ = _ranked(algorithm, ranked[:2], BASE_TARGETS[1:3])
    print(yaml.safe_dump(best), end="")
    for grammar, target, steps in (
        ("base", BASE_TARGETS[3], STEPS[algorithm]),
        ("actions", None, STEPS[algorithm] // 2),
        ("extended", EXTENDED_TARGETS[0], 2 * STEPS[algorithm]),
    ):
        envs = _envs(grammar, N_STARTS)
        envs.action_space.seed(0)
        sample = envs.action_space.sample
        chance = _score(envs, target, lambda _, sample=sample: sample())
        trained = _train(algorithm, best, target, grammar, steps)
        print(grammar, f"{steps} steps", chance, trained, flush=True)
    print(f"{time.process_time() - began:.0f} s of processor time")


def _ranked(
    algorithm: str, candidates: Sequence[dict[str, Any]], targets: Sequence[Path]
) -> list[dict[str, Any]]:
    """Return the candidates, the best first."""
    scored = []
    for candidate in candidates:
        scores = [_train(algorithm, candidate, target) for target in targets]
        mean_return, goals = np.mean(scores, axis=0)
        print(f"{mean_return:6.1f} {goals:.2f}", candidate, flush=True)
        scored.append((mean_return, candidate))
    return [candidate for _, candidate in sorted(scored, key=lambda pair: -pair[0])]


def _train(
    algorithm: str,
    hyperparameters: Mapping[str, Any],
    target: Path | None,
    grammar: str = "base",
    steps: int | None = None,
) -> Score:
    arguments = dict(hyperparameters)
    flat = algorithm == "dqn"
    envs = SB3VecEnv(_envs(grammar, arguments.pop("n_envs", 1), flat))
    envs.set_options({"target": target})
    model = ALGORITHMS[algorithm]("MlpPolicy", envs, seed=0, device="cpu", **arguments)
    model.learn(steps or STEPS[algorithm])
    return _score(
        _envs(grammar, N_STARTS, flat),
        target,
        lambda states: model.predict(states, deterministic=True)[0],
    )


def _score(envs: gym.vector.VectorEnv[Any, Any, Any], target: Path | None, policy: Any) -> Score:
    observations, _ = envs.reset(seed=0, options={"target": target})
    total, visited = 0.0, np.zeros(N_STARTS, np.bool_)
    for _ in range(100):
        observations, rewards, _, _, infos = envs.step(policy(observations))
        visited |= np.where(infos["at_goal"], True, False)
        total += rewards.mean()
    return Score(round(float(total), 1), float(visited.mean()))


@functools.cache
def _envs(grammar: str, num_envs: int, flat: bool = False) -> gym.vector.VectorEnv[Any, Any, Any]:
    envs = gym.make_vec(
        "RLDF-v0", num_envs, grammar=grammar, stop_at=None, autoreset_mode="SameStep"
    )
    return VectorFlattenAction(envs) if flat else envs


if __name__ == "__main__":
    typer.run(main)
