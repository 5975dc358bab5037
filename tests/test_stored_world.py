"""A world whose pictures and readings are all in the store costs no model and no heavy import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models

GRAMMAR = """start: "a photo of " frequency " " noun " and " density " people in " scene
frequency: "one" | "many"
noun: "dog" | "car"
density: "no" | "one" | "many"
scene: "park" | "snow" | "street"
"""

PREPARATION = """
import json, pathlib, sys, warnings
import gymnasium as gym
import rldf_gym
from rldf_gym.generation import DiffusersGenerator, GeneratorPreset
from rldf_gym.goal import LowConfidenceWarning

warnings.simplefilter("ignore", LowConfidenceWarning)
folder = pathlib.Path(sys.argv[1])
generator = DiffusersGenerator(
    "tiny",
    GeneratorPreset(
        str(folder / "text_to_image"), steps=1, guidance_scale=1.0, height=32, width=32,
        closed_vocabulary=True,
    ),
)
arguments = dict(
    grammar=folder / "tiny.lark", target=folder / "target.png", generator=generator,
    perception=folder, store=folder / "store.sqlite", device="cpu", reward="clip",
    stop_at=None,
)
actions = [0, 0], [0, 1], [1, 0], [1, 1], [2, 1], [2, 1], [3, 0], [3, 1], [3, 1]
heavy = ("torch", "diffusers", "transformers", "ultralytics", "open_clip")
reached = []
"""

PROGRAM = (
    PREPARATION
    + """
env = gym.make("RLDF-v0", **arguments)
_, info = env.reset(seed=0)
for action in actions:
    state, reward, terminated, _, info = env.step(action)
    reached.append([state.tolist(), reward, info["values"].tolist(), int(env.render().sum())])
print(json.dumps({
    "reached": reached,
    "goal": env.unwrapped.goal.prompt,
    "generations": info["generations"],
    "states_seen": info["states_seen"],
    "heavy": [name for name in heavy if name in sys.modules],
}))
"""
)

VECTOR_PROGRAM = (
    PREPARATION
    + """
envs = gym.make_vec("RLDF-v0", num_envs=2, **arguments)
envs.reset(seed=[0, 0])
for action in actions:
    states, rewards, _, _, infos = envs.step([action] * 2)
    values = infos["values"].tolist()
    pictures = [int(picture.sum()) for picture in envs.render()]
    reached.append([list(each) for each in zip(states.tolist(), rewards, values, pictures)])
print(json.dumps({
    "reached": reached,
    "generations": infos["generations"].tolist(),
    "heavy": [name for name in heavy if name in sys.modules],
}))
"""
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Models, a grammar and a target; and in it the store that all processes here share."""
    from PIL import Image

    folder: Path = tmp_path_factory.mktemp("tiny")
    tiny_models.save_text_to_image(folder / "text_to_image")
    tiny_models.save_detector(folder / "detector")
    tiny_models.save_scene_classifier(folder / "scene_classifier")
    tiny_models.save_clip(folder / "clip")
    (folder / "tiny.lark").write_text(GRAMMAR)
    Image.radial_gradient("L").save(folder / "target.png")
    return folder


@pytest.fixture(scope="module")
def runs(folder) -> list[dict]:
    """What two processes tell that walk the same way, one after the other."""
    return [_run(PROGRAM, folder) for _ in range(2)]


def _run(program: str, folder: Path) -> dict:
    command = [sys.executable, "-c", program, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_the_first_run_draws_every_state_it_sees(runs):
    assert runs[0]["generations"] == runs[0]["states_seen"] > 3
    assert "torch" in runs[0]["heavy"]


def test_the_second_run_draws_nothing(runs):
    assert runs[1]["generations"] == 0
    assert runs[1]["states_seen"] == runs[0]["states_seen"]


def test_the_second_run_prints_the_same(runs):
    assert runs[1]["reached"] == runs[0]["reached"]
    assert runs[1]["goal"] == runs[0]["goal"]


def test_the_second_run_imports_no_model_library(runs):
    assert runs[1]["heavy"] == []


def test_a_vector_environment_there_reports_the_same_and_imports_no_model_library(runs, folder):
    run = _run(VECTOR_PROGRAM, folder)
    assert run["reached"] == [[reached, reached] for reached in runs[0]["reached"]]
    assert run["generations"] == [0, 0]
    assert run["heavy"] == []
