"""A clone beside a real data set: distances, copies, classes, classifiers, files and messages."""

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_cli import refusal, run
from test_report import Page

from rldf_agents.cloning.identity import CloneFile
from rldf_agents.cloning.matching import ClassMatch
from rldf_agents.cloning.names import folder_name
from rldf_agents.evaluation import classifier, features, open_labelled_folder
from rldf_agents.evaluation.classifier import (
    ClassifierSettings,
    accuracy_interval,
    classify,
    ratio_interval,
    train_classifier,
)
from rldf_agents.evaluation.distances import measure_distance, nearest_copies
from rldf_agents.evaluation.row_cache import CHUNK, RowCache
from rldf_gym.perception import Perception

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 70), "red": (200, 50, 40)}
OWN = ["--features", "test_evaluation:ColourFeatures", "--perception", "test_evaluation:perception"]
SMALL = ["--classifier-epochs", "3", "--classifier-seeds", "2", "--classifier-side", "32"]


class ColourFeatures:
    """Mean and deviation of each colour."""

    name, fingerprint = "colours", "colours-1"

    def __call__(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        means = [[*picture.mean((0, 1)), *picture.std((0, 1))] for picture in pictures]
        return np.array(means, np.float32)


class ColourDetector:
    """Finds one object in every picture: its colour."""

    class_names, threshold, fingerprint = tuple(COLOURS), 0.1, "colour-detector"

    def __call__(self, pictures: np.ndarray) -> list[dict[str, np.ndarray]]:
        colours = np.array(list(COLOURS.values()))
        nearest = [np.abs(colours - p.mean((0, 1))).sum(1).argmin() for p in pictures]
        box, sure = np.array([[0, 0, 1, 1]], np.float32), np.array([0.9], np.float32)
        return [{"classes": np.array([n]), "confidences": sure, "boxes": box} for n in nearest]


class NoClip:
    logit_scale, fingerprint = 1.0, "no-clip"

    def __call__(self, pictures: np.ndarray) -> list[dict[str, np.ndarray]]:
        return [{"embedding": np.ones(1, np.float32)} for _ in pictures]

    def embed_texts(self, prompts: Sequence[str]) -> np.ndarray:
        return np.ones((len(prompts), 1), np.float32)


def perception() -> Perception:
    return Perception(clip=NoClip(), detector=ColourDetector())


def write(folder: Path, seed: int, each: int = 12, shift: int = 0, side: int = 20) -> Path:
    """Write class folders of noise around the classes' colours."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            around = np.array(colour) + rng.normal(0, 12, 3) + shift
            pixels = around + rng.normal(0, 15, (side, side, 3))
            picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
            picture.save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def folders(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(Path("clone"), 1)
    write(Path("real"), 2)
    write(Path("bright"), 3, shift=45)
    return tmp_path


def command(*more: str) -> list[str]:
    return ["evaluate", "clone", "--real", "real", *OWN, "--out", "out", *more]


def document(capsys, *arguments: str) -> dict:
    status, printed, errors = run(capsys, *arguments, "--json")
    assert status == 0, errors
    return json.loads(printed)


class TestDistances:
    rng = np.random.default_rng(0)
    some = rng.normal(size=(400, 8)).astype(np.float32)
    others = rng.normal(size=(400, 8)).astype(np.float32)

    def test_of_a_set_to_itself_are_zero(self):
        found = measure_distance("itself", self.some, self.some, 0)
        assert found.fid == pytest.approx(0, abs=1e-6)
        assert found.precision == found.recall == 1
        assert abs(found.kid) < 0.1

    def test_grow_with_a_shift(self):
        near = measure_distance("near", self.some, self.others, 0)
        far = measure_distance("far", self.some + 1, self.others, 0)
        assert near.fid < 1 < far.fid
        assert near.kid < far.kid
        assert near.precision > far.precision

    def test_of_gaussians_are_those_of_the_formula(self):
        # Dowson and Landau 1982: the squared distance of the means, and of the deviations.
        wide = measure_distance("wide", 3 * self.some + 2, self.some, 0)
        mean, deviation = self.some.mean(0), np.cov(self.some.T)
        expected = np.square(2 * mean + 2).sum() + np.trace(deviation) * (3 - 1) ** 2
        assert wide.fid == pytest.approx(expected, rel=1e-4)

    def test_leave_fid_out_where_pictures_are_few(self):
        few = measure_distance("few", self.some[:8], self.others, 0)
        assert few.fid is None
        assert few.kid is not None
        fewer = measure_distance("fewer", self.some[:3], self.others, 0)
        assert fewer.kid is fewer.kid_deviation is fewer.precision is fewer.recall is None

    def test_repeat_with_the_same_seed(self):
        assert measure_distance("a", self.some, self.others, 4) == measure_distance(
            "a", self.some, self.others, 4
        )

    def test_find_copies_and_only_those(self):
        clone = self.others.copy()
        clone[[3, 70]] = self.some[[5, 6]] + 1e-3
        found = nearest_copies(self.some, clone)
        assert sorted(found.copies) == [3, 70]
        assert found.rows[[3, 70]].tolist() == [5, 6]


class TestTheFolders:
    def test_may_have_splits(self, tmp_path):
        write(tmp_path / "data" / "train", 1, each=3)
        write(tmp_path / "data" / "val", 2, each=2)
        found = open_labelled_folder(tmp_path / "data")
        assert (len(found), found.classes) == (15, ("blue", "green", "red"))
        assert found.held_out(0).sum() == 6
        assert found.name(0) == "train/blue/0.png"

    def test_of_a_clone_have_more_than_splits_and_a_class_may_be_called_train(self, tmp_path):
        write(tmp_path / "clone" / "train", 1, each=3)
        (tmp_path / "clone" / "shards").mkdir()
        CloneFile({}, [], 1, 1, 1).save(tmp_path / "clone")
        assert len(open_labelled_folder(tmp_path / "clone")) == 9
        write(tmp_path / "vehicles", 1, each=3)
        (tmp_path / "vehicles" / "red").rename(tmp_path / "vehicles" / "train")
        assert open_labelled_folder(tmp_path / "vehicles").classes == ("blue", "green", "train")

    @pytest.mark.parametrize("name", ["train", "red/green", "…", "a" * 300])
    def test_of_a_clone_are_classes_of_the_source(self, tmp_path, name):
        folder = write(tmp_path / "clone" / "train", 1, each=3)
        (folder / "red").rename(folder / folder_name(name))
        match = ClassMatch(name, (0,), ("one",), 1.0, 1.0, 1.0, 3)
        CloneFile({}, [match], 1, 1, 1).save(tmp_path / "clone")
        found = open_labelled_folder(tmp_path / "clone")
        assert found.classes == tuple(sorted(("blue", "green", name)))

    def test_without_splits_hold_out_a_fifth_of_every_class(self, tmp_path):
        found = open_labelled_folder(write(tmp_path / "data", 1, each=10))
        held_out = found.held_out(0)
        assert np.bincount(found.labels[held_out]).tolist() == [2, 2, 2]
        assert (held_out == found.held_out(0)).all()
        assert (held_out != found.held_out(1)).any()


def dark_and_light():
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=48)
    light = 60 + 120 * labels[:, None, None, None]
    return rng.normal(light, 20, (48, 37, 37, 3)).clip(0, 255).astype(np.uint8), labels


def trained(pictures, labels, epochs):
    settings = ClassifierSettings(epochs=epochs, seeds=1, side=32)
    return train_classifier(pictures, labels, 2, settings, 3, "cpu")


class TestTheClassifier:
    def test_learns(self, monkeypatch):
        monkeypatch.setattr(classifier, "_BATCH", 8)  # for steps enough with few pictures
        pictures, labels = dark_and_light()
        network = trained(pictures, labels, epochs=10)
        assert (classify(network, pictures, 32, "cpu") == labels).mean() > 0.9

    def test_repeats(self):
        pictures, labels = dark_and_light()
        first, again = (trained(pictures, labels, epochs=2).state_dict() for _ in range(2))
        assert all(torch.equal(weights, again[name]) for name, weights in first.items())

    def test_has_intervals_around_its_accuracy(self):
        right = np.random.default_rng(0).random((3, 200)) < 0.7
        found = accuracy_interval(right, 0)
        assert found.low < found.value == right.mean() < found.high
        assert found.high - found.low < 0.2
        ratio = ratio_interval(right, right, 0)
        assert ratio.low < 1 == ratio.value < ratio.high
        assert ratio_interval(right, np.zeros_like(right), 0) is None


class TestTheCommand:
    def test_measures_everything_and_writes_it(self, capsys, folders):
        found = document(capsys, *command("--shift", "bright=bright", *SMALL))
        assert found.pop("folder") == "out"
        assert found == json.loads(Path("out/evaluation.json").read_text())
        real, bright = found["distances"]
        assert (real["data"], bright["data"]) == ("real", "bright")
        assert real["fid"] < bright["fid"]
        assert found["consistency"]["all"] == 1
        assert found["nearest_real"]["copies"] == []
        assert found["features"]["comparable_with_the_paper"] is False
        tests = {(t["trained_on"], t["tested_on"]): t for t in found["classifier"]["tests"]}
        assert len(tests) == 2 * 3
        assert tests["clone", "real"]["training_pictures"] == 30
        assert tests["clone", "real"]["test_pictures"] == 6
        assert tests["real", "bright"]["test_pictures"] == 36
        assert all(len(t["by_seed"]) == 2 for t in tests.values())
        assert found["data"]["clone"]["pictures"] == 36

    def test_shows_the_papers_figures_beside_its_own(self, capsys, folders):
        assert run(capsys, *command("--no-classifier", "--quiet"))[:2] == (0, "")
        rows = list(csv.DictReader(Path("out/evaluation.csv").read_text().splitlines()))
        paper = [row for row in rows if row["source"] == "paper"]
        assert {"table": "Table 1", "data": "IN", "measure": "FID", "value": "180.8"}.items() <= (
            paper[0].items()
        )
        assert [row["value"] for row in paper if row["table"] == "Table 2"][-1] == "49.14"
        assert len([row for row in rows if row["source"] == "this clone"]) == 4
        text = Path("out/evaluation.md").read_text()
        assert "not comparable with the paper's" in text
        assert "| RLDF, FID | 180.8 | 255.3 | 227.5 | 303.7 | 264.1 |" in text
        html = Path("out/report.html").read_text()
        page = Page.of(html)
        assert not page.open
        assert all(link.startswith("data:image/") for link in page.links)
        assert "--no-classifier" in html

    def test_lists_copies_and_unreadable_pictures(self, capsys, folders):
        shutil.copy("real/red/4.png", "clone/red/3.png")
        Path("clone/blue/broken.png").write_text("no picture")
        found = document(capsys, *command("--no-classifier"))
        [copy] = found["nearest_real"]["copies"]
        assert (copy["clone"], copy["real"]) == ("red/3.png", "red/4.png")
        [skipped] = found["data"]["clone"]["unreadable"]
        assert skipped["file"] == "clone/blue/broken.png"
        assert "1 unreadable pictures were skipped" in found["notes"][0]

    def test_continues_where_it_was_interrupted(self, capsys, folders, monkeypatch):
        calls = []

        def interrupted(self, pictures):
            calls.append(len(pictures))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return np.zeros((len(pictures), 6), np.float32) + np.arange(6)

        monkeypatch.setattr(ColourFeatures, "__call__", interrupted)
        status, _, errors = run(capsys, *command("--no-classifier"))
        assert status == 130
        assert "the same command continues with what out/cache keeps" in errors
        document(capsys, *command("--no-classifier"))
        assert len(calls) == 3
        # Everything is in the cache, trained classifiers too.
        assert "holds an evaluation" in refusal(capsys, *command("--no-classifier"))
        document(capsys, *command("--overwrite", *SMALL))
        monkeypatch.setattr("rldf_agents.evaluation.transfer.train_classifier", None)
        document(capsys, *command("--overwrite", *SMALL))
        assert len(calls) == 3

    def test_leaves_out_of_the_tests_what_the_real_data_set_lacks(self, capsys, folders):
        Path("bright/red").rename("bright/yellow")
        found = document(capsys, *command("--shift", "bright=bright", *SMALL))
        tests = {(t["trained_on"], t["tested_on"]): t for t in found["classifier"]["tests"]}
        assert tests["clone", "bright"]["test_pictures"] == 24
        assert any("leave out 1 classes" in note for note in found["notes"])

    def test_says_that_a_perception_does_not_know_the_classes(self, capsys, folders):
        for name in ("clone", "real"):
            Path(name, "red").rename(Path(name, "vermilion"))
        arguments = command("--no-classifier")
        arguments[arguments.index("--perception") + 1] = "embedded"
        found = document(capsys, *arguments)
        assert found["consistency"] == {"reader": None, "all": None}
        assert "the perception embedded does not know" in found["notes"][0].lower()
        assert "vermilion" in found["notes"][0]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda: shutil.rmtree("clone/red"), "clone lacks the classes red of real"),
            (lambda: shutil.rmtree("real/green"), "real lacks the classes green of clone"),
            (lambda: shutil.rmtree("clone"), "clone is not a folder"),
            (lambda: [shutil.rmtree(f"clone/{n}") for n in COLOURS], "clone has no class folders"),
            (lambda: Path("clone/white").mkdir(), "clone/white holds no pictures"),
            (lambda: Path("real/train/red").mkdir(parents=True), "beside other folders"),
            (
                lambda: [p.write_text("x") for p in Path("real/red").iterdir()],
                "real: none of the pictures of the class red can be read",
            ),
        ],
    )
    def test_says_what_is_wrong_with_a_folder(self, capsys, folders, change, reason):
        change()
        assert reason in refusal(capsys, *command())
        assert not Path("out").exists()

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--shift", "bright"], "--shift bright: give NAME=DIR"),
            (["--shift", "a=bright", "--shift", "a=real"], "--shift a is given twice"),
            (["--shift", "real=bright"], "--shift real: this name is taken"),
            (["--features", "incepton"], "did you mean 'inception'"),
            (["--features", "open_clip:ViT-B-32"], "give open_clip:MODEL/PRETRAINED"),
            (["--classifier-epochs", "0"], "classifier_epochs is 0"),
            (["--classifier-side", "8"], "classifier_side is 8"),
            (["--device", "abacus"], "unknown device 'abacus'"),
        ],
    )
    def test_says_what_is_wrong_with_an_option(self, capsys, folders, options, reason):
        assert reason in refusal(capsys, *command(*options))
        assert not Path("out").exists()


def test_a_damaged_file_of_the_cache_is_made_again(tmp_path):
    pictures = open_labelled_folder(write(tmp_path / "data", 1, each=CHUNK // 3 + 2))
    cache = RowCache(tmp_path / "cache")
    rows = cache.rows(pictures, ColourFeatures(), lambda *_: None).all()
    first, *others = sorted((tmp_path / "cache").iterdir())
    assert len(others) == 1
    first.write_bytes(first.read_bytes()[:100])
    again = cache.rows(pictures, ColourFeatures(), lambda *_: None)
    assert (again.all() == rows).all()
    some = np.array([0, CHUNK, len(rows) - 1])
    assert (again.take(some) == rows[some]).all()


def test_auto_takes_inception_where_its_weights_are(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "_inception_file", lambda: tmp_path / "weights.pth")
    made = features.make_extractor("auto", "cpu")
    assert "embedded" in made.name
    pictures = [np.full((40, 30, 3), 90, np.uint8), np.full((20, 20, 3), 40, np.uint8)]
    found = made(pictures)
    assert np.square(found).mean(axis=1) == pytest.approx([1, 1], rel=1e-4)
    assert not features.is_comparable(made)


@pytest.mark.slow
def test_inceptions_features_are_comparable(tmp_path, monkeypatch):
    import torch

    network = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    monkeypatch.setattr(
        network.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None
    )
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    monkeypatch.setattr(features, "_inception_file", lambda: path)
    made = features.make_extractor("auto", "cpu")
    assert features.is_comparable(made)
    assert made([np.full((40, 30, 3), 90, np.uint8)] * 2).shape == (2, 2048)
