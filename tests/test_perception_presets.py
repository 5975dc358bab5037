"""Models for real pictures: published detectors made safe, CLIP from the Hub, presets by name."""

import hashlib
import shutil

import numpy as np
import pytest
from tiny_models import NOUNS, detector_architecture, save_clip

from rldf_gym.errors import ModelError
from rldf_gym.factory import make_evaluator
from rldf_gym.generation import PRESETS, make_generator
from rldf_gym.grammar import load_grammar
from rldf_gym.model_files import HubModel, ModelFiles
from rldf_gym.perception import (
    PERCEPTIONS,
    OpenClip,
    PerceptionError,
    UltralyticsDetector,
    make_perception,
)
from rldf_gym.perception.checkpoints import PublishedDetector, convert_detector
from rldf_gym.perception.clip import CLIP_FILES
from rldf_gym.perception.weights import private_ultralytics

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Empty caches, and no network: names cannot be resolved."""

    def refuse(*_, **__):
        raise OSError("the network is unreachable")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "hub"


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A detector as ultralytics publishes it: a pickled module in half precision."""
    import torch

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("published") / "yolo.pt"
    with private_ultralytics():
        from ultralytics.nn.tasks import DetectionModel

        network = DetectionModel(detector_architecture(), verbose=False).half()
        network.names = dict(enumerate(NOUNS))
        torch.save({"model": network, "ema": None, "train_args": {"epochs": 1}}, path)
    return path


def on_the_hub(repository="somebody/model"):
    return HubModel(repository, COMMIT, "rldf generators fetch sd14")


def put_into_cache(cache, repository, *files):
    snapshot = cache / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for file in files:
        shutil.copy(file, snapshot)


def test_a_published_detector_becomes_json_and_safetensors(checkpoint, tmp_path, pictures):
    folder = convert_detector(checkpoint, tmp_path / "converted", image_size=64, confidence=1e-6)
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    detector = UltralyticsDetector(folder, "cpu")
    assert detector.class_names == NOUNS
    assert all(len(output["classes"]) for output in detector(pictures))


def test_the_converted_detector_has_the_published_weights(checkpoint, tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = convert_detector(checkpoint, tmp_path / "converted")
    published = torch.load(checkpoint, weights_only=False)["model"].state_dict()
    converted = load_file(folder / "model.safetensors")
    assert converted.keys() == published.keys()
    assert all(torch.equal(converted[name], published[name]) for name in published)


class _Harmful:
    def __init__(self, file):
        self._file = file

    def __reduce__(self):
        return print, ("harm done", self._file)


@pytest.mark.parametrize("hidden_in", ["model", "train_args"])
def test_a_checkpoint_that_would_run_code_is_rejected_without_running_it(
    tmp_path, capsys, hidden_in
):
    import torch

    path = tmp_path / "harmful.pt"
    torch.save({hidden_in: _Harmful("x")}, path)
    with pytest.raises(PerceptionError, match=r"print.*could run any code"):
        convert_detector(path, tmp_path / "converted")
    assert "harm done" not in capsys.readouterr().out
    assert not (tmp_path / "converted").exists()


class _Constructing:
    """Pickled as a call of a module's constructor, with arguments."""

    def __init__(self, kind, *arguments):
        self._call = kind, arguments

    def __reduce__(self):
        return self._call


def test_a_checkpoint_that_has_a_module_load_another_file_is_rejected(tmp_path, capsys):
    import torch

    torch.save({"model": _Harmful("x")}, tmp_path / "inner.pt")
    with private_ultralytics():
        from ultralytics.nn.autobackend import AutoBackend

        torch.save(
            {"model": _Constructing(AutoBackend, str(tmp_path / "inner.pt"))}, tmp_path / "outer.pt"
        )
        with pytest.raises(PerceptionError, match=r"AutoBackend.*could run any code"):
            convert_detector(tmp_path / "outer.pt", tmp_path / "converted")
    assert "harm done" not in capsys.readouterr().out


def test_a_checkpoint_that_constructs_modules_is_rejected(tmp_path):
    import torch

    path = tmp_path / "constructing.pt"
    torch.save({"model": _Constructing(torch.nn.Linear, 2, 2)}, path)
    with pytest.raises(PerceptionError, match=r"constructs a Linear.*could run any code"):
        convert_detector(path, tmp_path / "converted")


def test_what_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(PerceptionError, match=r"broken\.pt is no checkpoint"):
        convert_detector(tmp_path / "broken.pt", tmp_path / "converted")


def test_a_classifier_is_no_detector(tmp_path):
    import torch

    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "linear.pt")
    with pytest.raises(PerceptionError, match="holds a Linear, not a detector"):
        convert_detector(tmp_path / "linear.pt", tmp_path / "converted")


def test_a_published_detector_is_converted_once(cache, checkpoint):
    put_into_cache(cache, "somebody/model", checkpoint)
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    published = PublishedDetector(on_the_hub(), "yolo.pt", digest)
    folder = published.folder()
    shutil.rmtree(cache)
    assert published.folder() == folder
    assert UltralyticsDetector(folder, "cpu").class_names == NOUNS


def test_another_file_than_the_published_one_is_rejected(cache, checkpoint):
    put_into_cache(cache, "somebody/model", checkpoint)
    with pytest.raises(PerceptionError, match="not the file that was published"):
        PublishedDetector(on_the_hub(), "yolo.pt", "0" * 64).folder()


def test_clip_is_read_from_the_hubs_cache(cache, tmp_path, pictures):
    folder = save_clip(tmp_path / "clip", with_tokenizer=False)
    put_into_cache(cache, "somebody/model", *(folder / name for name in CLIP_FILES))
    there, here = OpenClip(ModelFiles(on_the_hub(), CLIP_FILES), "cpu"), OpenClip(folder, "cpu")
    for ours, theirs in zip(there(pictures), here(pictures), strict=True):
        np.testing.assert_array_equal(ours["embedding"], theirs["embedding"])


def test_the_identity_of_a_hub_model_needs_no_download():
    clips = [OpenClip(ModelFiles(on_the_hub(name), CLIP_FILES)) for name in ("a/b", "a/c")]
    assert clips[0].fingerprint != clips[1].fingerprint


@pytest.mark.parametrize("name", ["photos", "clip"])
def test_missing_models_are_named_with_the_command_that_fetches_them(name, pictures):
    with pytest.raises(ModelError, match="rldf generators fetch sd14"):
        make_perception(name, "cpu").clip(pictures)


def test_every_preset_names_a_perception_that_exists():
    assert {preset.perception for preset in PRESETS.values()} <= set(PERCEPTIONS)


def test_an_unknown_perception_is_rejected_with_the_known_ones():
    with pytest.raises(PerceptionError, match=r"'yolo'.*embedded, photos, clip"):
        make_perception("yolo")


def test_the_generator_decides_what_looks_at_its_pictures():
    grammar = load_grammar("base")

    def world(perception):
        return make_evaluator(
            *(grammar, "sd14", perception, None, 0, "cpu", None),
            generator_kwargs={"perception": "clip", "steps": 10},
        )

    auto = world("auto")
    assert auto.perception.detector is None
    assert auto.perception.clip.fingerprint == PERCEPTIONS["clip"](None).clip.fingerprint
    assert world("embedded").perception.detector is not None
    assert auto.generator.fingerprint == make_generator("sd14", steps=10).fingerprint
