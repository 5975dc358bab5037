"""The environment's infos are plain: Minari records them, Gymnasium converts them to torch."""

import importlib

import gymnasium as gym
import pytest
from painted_world import painted_arguments

pytestmark = pytest.mark.interop


def test_minari_records_infos(tmp_path, monkeypatch):
    minari = importlib.import_module("minari")  # only in the interop environment
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = gym.make("RLDF-v0", max_episode_steps=5, stop_at=None, **painted_arguments())
    collector = minari.DataCollector(env, record_infos=True)
    collector.reset(seed=0)
    for _ in range(5):
        collector.step(collector.action_space.sample())
    [episode] = collector.create_dataset("rldf/test-v0").iterate_episodes()
    assert episode.infos["embedding"].shape == (6, 23)
    assert episode.infos["values"].shape == (6, 4)


def test_infos_convert_to_torch():
    env = gym.wrappers.NumpyToTorch(gym.make("RLDF-v0", **painted_arguments()))
    assert env.reset(seed=0)[1]["embedding"].shape == (23,)
