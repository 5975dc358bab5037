"""``rldf atlas export``: what is in the file agrees with the environment, step by step."""

import json
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_world import load_grammar, paint, painted_arguments, painted_world

from rldf_agents.applications.atlas_export import export_npz
from rldf_agents.cli import main
from rldf_agents.errors import AgentError
from rldf_gym.atlas import Atlas, AtlasError
from rldf_gym.goal import DEFAULT_TARGET
from rldf_gym.rewards import RewardError

GOALS = [[1, 5, 1, 3], [0, 2, 2, 7]]
REWARDS = ["multi_semantic", "clip"]
SMALL = """start: "a photo of " frequency " " noun " and no people in " scene
frequency: "one" | "many"
noun: "dog" | "car"
scene: "park" | "street"
"""


@pytest.fixture(scope="module")
def atlas(tmp_path_factory) -> Atlas:
    return Atlas.build(painted_world(), tmp_path_factory.mktemp("atlas") / "whole.safetensors")


@pytest.fixture(scope="module")
def mdp(atlas) -> dict[str, np.ndarray]:
    out = atlas.path.parent / "exports" / "base.npz"
    targets = [paint(atlas.grammar, goal) for goal in GOALS]
    export_npz(painted_world(), atlas, out, targets, REWARDS)
    with np.load(out, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def envs() -> dict[tuple[int, int], gym.Env]:
    return {
        (t, r): gym.make("RLDF-v0", reward=reward, **painted_arguments(target=goal))
        for t, goal in enumerate(GOALS)
        for r, reward in enumerate(REWARDS)
    }


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1)]),
    st.integers(0, 479),
    st.lists(st.integers(0, 7), min_size=1, max_size=30),
)
def test_a_walk_in_numpy_is_a_walk_in_the_environment(mdp, envs, which, start, actions):
    target, reward = which
    env, state = envs[which], start
    env.reset(options={"state": mdp["states"][start]})
    for number in actions:
        observed, rewarded, terminated, _, info = env.step(mdp["actions"][number])
        state = mdp["next_states"][state, number]
        assert observed.tolist() == mdp["states"][state].tolist()
        assert rewarded == mdp["rewards"][target, reward, state]
        assert terminated == (state == mdp["goals"][target])
        assert info["prompt"] == mdp["prompts"][state]
        assert info["values"].tolist() == mdp["readings"][state].tolist()
        assert info["confidence"].tolist() == mdp["confidence"][state].tolist()
        assert info["embedding"].tolist() == mdp["embeddings"][state].tolist()
        if terminated:
            break


def test_an_action_s_meaning_is_its_axis_and_direction(mdp):
    assert mdp["action_meanings"][:3].tolist() == ["frequency down", "frequency up", "noun down"]
    assert mdp["actions"][:3].tolist() == [[0, 0], [0, 1], [1, 0]]


def test_strides_number_the_states(mdp):
    assert (mdp["states"] @ mdp["strides"]).tolist() == list(range(480))
    assert mdp["nvec"].tolist() == load_grammar("base").nvec.tolist()


def test_dtypes_are_plain(mdp):
    assert {name: str(array.dtype) for name, array in mdp.items() if array.dtype.kind != "U"} == {
        **dict.fromkeys(["states", "readings", "nvec", "strides", "actions"], "int64"),
        **dict.fromkeys(["next_states", "goals"], "int64"),
        **dict.fromkeys(["confidence", "embeddings", "rewards"], "float32"),
    }


def test_a_file_that_exists_is_replaced_only_if_wanted(atlas, tmp_path):
    out = tmp_path / "base.npz"
    out.write_text("mine")
    target = [paint(atlas.grammar, GOALS[0])]
    with pytest.raises(AgentError, match="exists: add --overwrite"):
        export_npz(painted_world(), atlas, out, target)
    assert out.read_text() == "mine"
    export_npz(painted_world(), atlas, out, target, overwrite=True)
    assert np.load(out, allow_pickle=False)["rewards"].shape == (1, 1, 480)


def test_nothing_is_left_of_an_export_that_fails(atlas, tmp_path):
    target = [paint(atlas.grammar, GOALS[0])]
    with pytest.raises(RewardError, match="unknown reward"):
        export_npz(painted_world(), atlas, tmp_path / "base.npz", target, ["fame"])
    assert list(tmp_path.iterdir()) == []


def test_a_sample_of_the_states_is_rejected(tmp_path):
    sample = Atlas.build(painted_world(), tmp_path / "sample.safetensors", sample=10)
    with pytest.raises(AtlasError, match="10 of 480 states"):
        export_npz(painted_world(), sample, tmp_path / "sample.npz")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> list[str]:
    """Options of a world of eight states of the embedded models, with its atlas."""
    folder: Path = tmp_path_factory.mktemp("world")
    (folder / "small.lark").write_text(SMALL)
    options = ["--grammar", folder / "small.lark", "--store", folder / "store.sqlite"]
    options = [*map(str, options), "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        main(["atlas", "build", *options])
    assert ended.value.code == 0
    return options


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["atlas", "export", *map(str, arguments)])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.mark.filterwarnings("ignore::rldf_gym.goal.LowConfidenceWarning")
def test_the_command_writes_an_npz_and_its_summary_as_json(capsys, world, tmp_path):
    out = tmp_path / "new" / "small.npz"
    options = ["--format", "npz", "--target", DEFAULT_TARGET, "--out", out, "--json"]
    status, printed, _ = run(capsys, *options, *world)
    summary = json.loads(printed)
    assert status == 0
    assert summary["states"] == 8
    arrays = np.load(out, allow_pickle=False)
    assert {name: list(arrays[name].shape) for name in arrays.files} == summary["arrays"]
    assert summary["goals"] == [arrays["prompts"][arrays["goals"][0]]]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--format", "csv", "--out", "a"], "csv"),
        (["--format", "npz"], "--out"),
        (["--format", "npz", "--out", "a", "--target", "none.png"], "does not exist"),
        (["--format", "npz", "--out", "a", "--reward", "fame"], "fame"),
        (["--format", "npz", "--out", "."], "exists"),
        (["--format", "npz", "--out", "a", "--atlas", "none"], "rldf atlas build"),
        (["--format", "minari", "--out", "a", "--reward", "clip", "--reward", "clip"], "one"),
    ],
)
def test_bad_input_to_the_command_is_one_line(
    capsys, world, tmp_path, monkeypatch, options, complaint
):
    monkeypatch.chdir(tmp_path)
    status, printed, error = run(capsys, *options, *world)
    assert (status, printed) == (2, "")
    assert complaint in error
    assert len([line for line in error.splitlines() if "error" in line]) == 1
    assert list(tmp_path.iterdir()) == []


def test_minari_is_named_where_it_is_missing(capsys, world, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    status, _, error = run(capsys, "--format", "minari", "--out", tmp_path / "out", *world)
    assert status == 2
    assert "pip install 'rldf-gym[minari]'" in error
