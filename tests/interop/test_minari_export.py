"""``rldf atlas export --format minari``: Minari loads the data set, and its steps are RLDF-v0's."""

import importlib
import json

import pytest

from rldf_agents.cli import main

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore::rldf_gym.goal.LowConfidenceWarning"),
]

GRAMMAR = """start: "a photo of " frequency " " noun " and no people in " scene
frequency: "one" | "many"
noun: "dog" | "car" | "banana"
scene: "park" | "street"
"""


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["atlas", *map(str, arguments)])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


@pytest.fixture
def world(tmp_path, capsys) -> list[str]:
    (tmp_path / "small.lark").write_text(GRAMMAR)
    store = tmp_path / "store.sqlite"
    options = ["--grammar", tmp_path / "small.lark", "--store", store, "--device", "cpu"]
    assert run(capsys, "build", *options)[0] == 0
    return options


@pytest.mark.parametrize("learner", ["random", "q_learning"])
def test_minari_replays_the_episodes(capsys, world, tmp_path, monkeypatch, learner):
    minari = importlib.import_module("minari")  # only in the interop environment
    out = tmp_path / "out"
    options = ["--format", "minari", "--out", out, "--episodes", 5, "--learner", learner]
    status, printed, _ = run(capsys, "export", *options, "--json", *world)
    assert status == 0
    summary = json.loads(printed)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(out))
    dataset = minari.load_dataset(summary["dataset_id"])
    assert (dataset.total_episodes, dataset.total_steps) == (5, summary["steps"])
    env = dataset.recover_environment()
    assert env.unwrapped.goal.prompt == summary["goal"]
    for episode in dataset.iterate_episodes():
        env.reset(options={"state": episode.observations[0]})
        for step, action in enumerate(episode.actions):
            observed, reward, terminated, truncated, info = env.step(action)
            assert observed.tolist() == episode.observations[step + 1].tolist()
            assert reward == episode.rewards[step]
            assert terminated == episode.terminations[step]
            assert truncated == episode.truncations[step]
            assert info["values"].tolist() == episode.infos["values"][step + 1].tolist()
    assert info["generations"] == 0
    assert [path.name for path in out.iterdir()] == ["rldf"]


def test_the_same_seed_walks_the_same(capsys, world, tmp_path, monkeypatch):
    minari = importlib.import_module("minari")
    actions = []
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ["--format", "minari", "--out", tmp_path / out, "--seed", seed, "--episodes", 3]
        summary = json.loads(run(capsys, "export", *options, "--json", *world)[1])
        monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / out))
        episodes = minari.load_dataset(summary["dataset_id"]).iterate_episodes()
        actions.append([episode.actions.tolist() for episode in episodes])
    assert actions[0] == actions[1] != actions[2]


def test_only_an_earlier_export_is_replaced(capsys, world, tmp_path):
    out = tmp_path / "out"
    export = ["export", "--format", "minari", "--out", out, "--episodes", 1, *world]
    assert run(capsys, *export)[0] == 0
    status, _, error = run(capsys, *export)
    assert status == 2
    assert "exists: add --overwrite" in error
    assert run(capsys, *export, "--overwrite")[0] == 0
    (out / "thesis.txt").write_text("mine")
    status, _, error = run(capsys, *export, "--overwrite")
    assert status == 2
    assert "is no earlier export" in error
    assert (out / "thesis.txt").read_text() == "mine"


def test_an_image_that_the_store_lacks_is_not_generated(capsys, world, tmp_path):
    elsewhere = [*world[:3], tmp_path / "empty.sqlite", *world[4:]]
    [atlas] = (tmp_path / "atlases").iterdir()
    options = ["--format", "minari", "--atlas", atlas, "--out", tmp_path / "out"]
    status, _, error = run(capsys, "export", *options, *elsewhere)
    assert status == 2
    assert "the store lacks the image" in error
    assert not (tmp_path / "out").exists()
