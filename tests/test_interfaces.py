"""What programs outside this project rely on: commands, files, exit statuses, attributes."""

import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import outsiders
import pytest
from painted_world import paint, painted_arguments
from PIL import Image

from rldf_gym.store import Store, image_key

TESTS = Path(__file__).parent
PAGE = 4096
GOAL = (1, 5, 1, 3)
OWN = (
    *("--generator", "outsiders:generator", "--perception", "outsiders:perception"),
    *("--grammar", "outsiders:GRAMMAR", "--store", ":memory:"),
    *("--learner", "outsiders:Wanderer", "--reward", "outsiders:everything_or_nothing"),
)
RESULT = {
    *("target", "goal_prompt", "goal_state", "reached", "steps", "generations"),
    *("generations_to_goal", "best_prompt", "best_state", "clip_similarity", "seed", "versions"),
    *("matched", "states_seen", "states_seen_to_match"),
}


def rldf(*arguments, folder: Path) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("rldf"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(paint(outsiders.GRAMMAR, GOAL)).save(path)
    return path


@pytest.mark.parametrize("stop_at", ["match", "goal_state"])
def test_a_search_exits_with_0_and_leaves_a_result_and_the_picture(tmp_path, picture, stop_at):
    options = [*OWN, "--stop-at", stop_at, "--steps", 20_000, "--out", "out"]
    done = rldf("search", picture, *options, folder=tmp_path)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert set(result) >= RESULT
    assert result["matched"] is True
    assert isinstance(result["states_seen"], int)
    assert result["states_seen_to_match"] <= result["states_seen"]
    with Image.open(tmp_path / "out" / "best.png") as best:
        assert np.array_equal(best, paint(outsiders.GRAMMAR, GOAL))


def test_a_search_that_finds_nothing_exits_with_3(tmp_path, picture):
    done = rldf("search", picture, *OWN, "--steps", 1, "--out", "out", folder=tmp_path)
    assert done.returncode == 3
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["matched"] is False
    assert result["states_seen_to_match"] is None


def test_bad_input_exits_with_2_and_one_line(tmp_path):
    done = rldf("search", "missing.png", *OWN, "--out", "out", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rldf: error: the target missing.png does not exist\n"
    assert not (tmp_path / "out").exists()


def test_a_damaged_store_is_salvaged(tmp_path):
    store = Store.open(tmp_path / "damaged.sqlite")
    pictures = {("a dog", seed): np.full((8, 8, 3), seed % 256, np.uint8) for seed in range(500)}
    store.add_pictures("painted-1", pictures)
    store.close()
    content = bytearray((tmp_path / "damaged.sqlite").read_bytes())
    start, end = (len(content) // part // PAGE * PAGE for part in (4, 2))
    content[start:end] = b"\xff" * (end - start)
    (tmp_path / "damaged.sqlite").write_bytes(content)
    done = rldf("store", "salvage", "damaged.sqlite", "--out", "new.sqlite", folder=tmp_path)
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    store = Store.open(tmp_path / "new.sqlite")
    kept = sum(store.has_picture(image_key("painted-1", *named)) for named in pictures)
    store.close()
    assert 0 < kept < len(pictures)


@pytest.mark.parametrize("stop_at", ["goal_state", "match", None])
@pytest.mark.parametrize(
    "reward",
    ["clip", outsiders.everything_or_nothing, "outsiders:everything_or_nothing"],
)
def test_an_environment_takes_a_reward_by_name_function_and_module(reward, stop_at):
    env = gym.make("RLDF-v0", reward=reward, stop_at=stop_at, **painted_arguments(target=GOAL))
    env.reset(seed=0, options={"state": [1, 5, 1, 2]})
    _, feedback, terminated, _, info = env.step([3, 1])
    assert feedback == pytest.approx(1.0)
    assert info["matches"] is True
    assert terminated is (stop_at is not None)


def test_infos_are_plain_scalars_strings_and_arrays():
    _, info = gym.make("RLDF-v0", **painted_arguments(target=GOAL)).reset(seed=0)
    shapes = {key: value.shape for key, value in info.items() if isinstance(value, np.ndarray)}
    assert shapes == {"values": (4,), "confidence": (4,), "embedding": info["embedding"].shape}
    assert info["embedding"].ndim == 1
    assert {type(value) for key, value in info.items() if key not in shapes} == {str, int, bool}
    assert set(info) >= {
        *("prompt", "values", "confidence", "embedding", "fine", "coarse", "distance"),
        *("matches", "at_goal", "generations", "states_seen"),
    }


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copied_environment_takes_the_same_steps(again):
    env = gym.make("RLDF-v0", **painted_arguments(target=GOAL))
    env.reset(seed=0)
    twin = again(env)
    assert twin.step([0, 1])[4]["prompt"] == env.step([0, 1])[4]["prompt"]


def test_a_reset_with_an_array_sets_the_goal():
    env = gym.make("RLDF-v0", **painted_arguments(target=GOAL))
    assert env.unwrapped.goal.state.tolist() == list(GOAL)
    target = paint(outsiders.GRAMMAR, (0, 2, 0, 1))
    env.reset(options={"target": target})
    assert env.unwrapped.goal.state.tolist() == [0, 2, 0, 1]
    assert env.unwrapped.goal.prompt == outsiders.GRAMMAR.decode([0, 2, 0, 1])


def test_flat_environments_run_as_cleanrls_ppo_runs_them():
    def make():
        env = gym.make("rldf_gym:RLDF-Flat-v0", **painted_arguments(target=GOAL))
        return gym.wrappers.RecordEpisodeStatistics(env)

    envs = gym.vector.SyncVectorEnv([make] * 3)
    assert isinstance(envs.single_action_space, gym.spaces.Discrete)
    assert envs.single_observation_space.dtype == np.float32
    envs.action_space.seed(0)
    observation, _ = envs.reset(seed=1)
    episodes = 0
    for _ in range(150):
        assert observation.dtype == np.float32
        assert observation.shape == (3, *envs.single_observation_space.shape)
        observation, reward, terminated, truncated, info = envs.step(envs.action_space.sample())
        assert reward.shape == terminated.shape == truncated.shape == (3,)
        episodes += int(info["_episode"].sum()) if "episode" in info else 0
    assert episodes >= 3  # of at most 100 steps each
