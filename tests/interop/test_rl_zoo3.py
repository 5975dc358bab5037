"""rl_zoo3 trains with the hyperparameters of ``examples/rl_zoo3``, for every registered id."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
import yaml

import rldf_gym

gym.register_envs(rldf_gym)

FOLDER = Path(__file__).parents[2] / "examples" / "rl_zoo3"
IDS = sorted(name for name in gym.registry if name.startswith("RLDF-"))

pytestmark = pytest.mark.interop


def hyperparameters(algorithm):
    return yaml.safe_load((FOLDER / f"{algorithm}.yml").read_text())


@pytest.mark.parametrize("algorithm", ["a2c", "dqn", "ppo"])
def test_every_registered_id_has_hyperparameters(algorithm):
    assert sorted(hyperparameters(algorithm)) == IDS


@pytest.mark.parametrize(
    ("algorithm", "env_id"),
    [("ppo", "RLDF-Actions-v0"), ("a2c", "RLDF-v0"), ("dqn", "RLDF-v0"), ("dqn", "RLDF-Flat-v0")],
)
def test_the_documented_command_trains_and_saves_a_model(
    algorithm, env_id, embedded_store, tmp_path
):
    steps = 128
    command = [sys.executable, "-m", "rl_zoo3.train", "--algo", algorithm, "--env", env_id]
    command += ["--gym-packages", "rldf_gym", "--conf-file", str(FOLDER / f"{algorithm}.yml")]
    command += ["--eval-env-kwargs", "stop_at:None", "--eval-freq", "64", "--eval-episodes", "1"]
    command += ["-n", str(steps), "--seed", "0", "--log-folder", str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "RLDF_STORE": str(embedded_store)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    saved = tmp_path / algorithm / f"{env_id}_1"
    assert (saved / f"{env_id}.zip").is_file()
    assert (saved / "best_model.zip").is_file()
    used = yaml.unsafe_load((saved / env_id / "config.yml").read_text())
    for name, value in hyperparameters(algorithm)[env_id].items():
        assert used[name] == value
