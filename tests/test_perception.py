"""Pictures to model outputs: shapes, loading without pickle or network, refusals."""

import json
import math
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError
from tiny_models import (
    NOUNS,
    SCENES,
    save_clip,
    save_detector,
    save_scene_classifier,
    truncate,
)

from rldf_gym.errors import ModelError
from rldf_gym.perception import (
    OpenClip,
    Perception,
    PerceptionError,
    UltralyticsDetector,
    UltralyticsSceneClassifier,
    make_perception,
)
from rldf_gym.perception.clip import _prepare
from rldf_gym.perception.pixels import to_tensor

PROMPTS = ["a photo of one dog", "a photo of many car"]
MODELS = ("clip", "detector", "scene_classifier")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("perception")
    save_detector(path / "detector")
    save_scene_classifier(path / "scene_classifier")
    save_clip(path / "clip")
    return path


@pytest.fixture(scope="module")
def perception(folder):
    return make_perception(folder, "cpu")


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


def weights_file(folder, model):
    return folder / model / ("open_clip_model" if model == "clip" else "model")


def test_the_detector_gives_classes_confidences_and_boxes(perception, pictures):
    for output in perception.detector(pictures):
        k = len(output["classes"])
        assert k > 0
        assert output["classes"].dtype == np.int64
        assert output["confidences"].dtype == np.float32
        assert output["boxes"].dtype == np.float32
        assert output["boxes"].shape == (k, 4)
        assert set(output["classes"]) <= set(range(len(NOUNS)))
        assert (np.diff(output["confidences"]) <= 0).all()
        assert ((output["boxes"] >= 0) & (output["boxes"] <= 1)).all()
        assert (output["boxes"][:, :2] <= output["boxes"][:, 2:]).all()


def test_the_detector_gives_empty_arrays_where_it_sees_nothing(folder, tmp_path, pictures):
    blind = shutil.copytree(folder / "detector", tmp_path / "blind")
    config = json.loads((blind / "config.json").read_text())
    (blind / "config.json").write_text(json.dumps(config | {"confidence": 0.999}))
    output = UltralyticsDetector(blind, "cpu")(pictures[:1])[0]
    assert output["classes"].shape == (0,)
    assert output["confidences"].shape == (0,)
    assert output["boxes"].shape == (0, 4)


def test_boxes_of_a_wide_picture_are_fractions_of_the_picture_not_of_its_padding(folder):
    detector = UltralyticsDetector(folder / "detector", "cpu")
    wide = np.random.default_rng(1).integers(0, 256, (1, 32, 128, 3), dtype=np.uint8)
    boxes = detector(wide)[0]["boxes"]
    assert ((boxes >= 0) & (boxes <= 1)).all()


def test_the_scene_classifier_gives_probabilities(perception, pictures):
    for output in perception.scene_classifier(pictures):
        assert output["probabilities"].dtype == np.float32
        assert output["probabilities"].shape == (len(SCENES),)
        assert output["probabilities"].sum() == pytest.approx(1, abs=1e-5)


def test_clip_gives_unit_embeddings_of_pictures_and_prompts(perception, pictures):
    seen = np.stack([output["embedding"] for output in perception.clip(pictures)])
    said = perception.clip.embed_texts(PROMPTS)
    for embeddings, n in ((seen, 3), (said, 2)):
        assert embeddings.dtype == np.float32
        assert embeddings.shape == (n, 8)
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert np.abs(said[0] - said[1]).max() > 1e-3


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(96, 96), (80, 120)])
def test_clip_sees_pictures_as_open_clip_would_prepare_them(resize_mode, interpolation, shape):
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    settings = {
        **{"size": 32, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "fill_color": 40},
        **{"resize_mode": resize_mode, "interpolation": interpolation},
    }
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = image_transform_v2(PreprocessCfg(**settings), is_train=False)(Image.fromarray(picture))
    ours = _prepare(to_tensor(picture[np.newaxis], torch.device("cpu")), settings)[0]
    # Pillow rounds to whole levels twice, and open_clip crops after resizing.
    difference = (ours - theirs).abs() * theirs.new_tensor(settings["std"]).view(3, 1, 1) * 255
    inner = difference[:, 2:-2, 2:-2]
    assert inner.max() <= 2


def test_clip_uses_open_clips_own_tokenizer_where_the_folder_has_none(tmp_path):
    clip = OpenClip(save_clip(tmp_path / "clip", with_tokenizer=False), "cpu")
    assert clip.embed_texts(["anything at all"]).shape == (1, 8)


def test_the_logit_scale_is_the_models(perception):
    assert perception.clip.logit_scale == pytest.approx(1 / 0.07, rel=1e-2)
    assert math.isfinite(perception.clip.logit_scale)


def test_objects_seen_in_a_batch_are_as_sure_as_alone(perception, pictures):
    # The random detector sees near-ties everywhere, so only the surest object is comparable.
    for together, picture in zip(perception.detector(pictures), pictures, strict=True):
        alone = perception.detector(picture[np.newaxis])[0]
        assert together["confidences"][0] == pytest.approx(alone["confidences"][0], abs=1e-5)


@pytest.mark.parametrize("model", ["clip", "scene_classifier"])
def test_a_picture_seen_in_a_batch_is_seen_as_if_alone(perception, pictures, model):
    look = perception.models()[model]
    for together, picture in zip(look(pictures), pictures, strict=True):
        alone = look(picture[np.newaxis])[0]
        for name, array in together.items():
            np.testing.assert_allclose(array, alone[name], atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shape", [(128, 128), (300, 200), (17, 90), (1, 1)])
def test_pictures_of_any_size_can_be_looked_at(perception, model, shape):
    picture = np.zeros((1, *shape, 3), np.uint8)
    for array in perception.models()[model](picture)[0].values():
        assert np.isfinite(array).all()


@pytest.mark.parametrize("model", MODELS)
def test_no_pictures_give_no_outputs(perception, model):
    assert perception.models()[model](np.empty((0, 64, 64, 3), np.uint8)) == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "wrong", [np.zeros((64, 64, 3), np.uint8), np.zeros((1, 64, 64, 3)), np.zeros((1, 8, 8, 4))]
)
def test_what_is_no_batch_of_rgb_pictures_is_rejected(perception, model, wrong):
    with pytest.raises(PerceptionError, match="uint8"):
        perception.models()[model](wrong)


def test_fingerprints_and_names_need_no_torch(folder):
    program = (
        "import sys, pathlib; from rldf_gym.perception import make_perception;"
        f"p = make_perception(pathlib.Path({str(folder)!r}));"
        "[model.fingerprint for model in p.models().values()];"
        "p.spec();"
        "heavy = {'torch', 'ultralytics', 'open_clip', 'transformers', 'PIL'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_looking_prints_nothing_and_leaves_home_threads_and_environment_alone(folder, tmp_path):
    program = (
        "import os, pathlib, numpy as np, torch; threads = torch.get_num_threads();"
        "before = dict(os.environ); width = np.get_printoptions()['linewidth'];"
        "from rldf_gym.perception import make_perception;"
        f"p = make_perception(pathlib.Path({str(folder)!r}), 'cpu');"
        "[m(np.zeros((1, 64, 64, 3), np.uint8)) for m in p.models().values()];"
        "p.clip.embed_texts(['park']);"
        "assert torch.get_num_threads() == threads;"
        "assert np.get_printoptions()['linewidth'] == width;"
        "assert all(os.environ.get(k) == before.get(k) for k in"
        " ('OMP_NUM_THREADS', 'YOLO_CONFIG_DIR', 'YOLO_OFFLINE', 'YOLO_VERBOSE'))"
    )
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO", "OMP", "XDG"))}
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=variables | {"HOME": str(tmp_path)},
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert not list(tmp_path.rglob("*ltralytics*"))


def test_looking_leaves_pillow_as_it_was(perception, pictures, tmp_path):
    perception.detector(pictures)
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    with pytest.raises(UnidentifiedImageError):
        Image.open(broken)


def test_usage_reports_are_off(perception, pictures):
    perception.detector(pictures[:1])
    from ultralytics.utils.events import events

    assert not events.enabled


@pytest.mark.parametrize("model", MODELS)
def test_a_fingerprint_changes_with_the_weights(folder, tmp_path, model):
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = weights_file(copy, model).with_suffix(".safetensors")
    before = make_perception(copy).models()[model].fingerprint
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x3b")
    assert make_perception(copy).models()[model].fingerprint != before


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("damage", ["truncated", "missing", "text"])
def test_damaged_or_missing_weights_are_named_with_the_fix(folder, tmp_path, model, damage):
    copy = shutil.copytree(folder, tmp_path / "copy")
    weights = weights_file(copy, model).with_suffix(".safetensors")
    if damage == "truncated":
        truncate(weights)
    elif damage == "missing":
        weights.unlink()
    else:
        weights.write_text("<html>404: not found</html>")
    look = make_perception(copy, "cpu").models()[model]
    with pytest.raises(ModelError, match="save the model") as refusal:
        look(np.zeros((1, 64, 64, 3), np.uint8))
    assert str(weights) in str(refusal.value)
    with pytest.raises(ModelError):
        _ = look.fingerprint


def test_pickled_clip_weights_are_not_loaded(folder, tmp_path):
    copy = shutil.copytree(folder / "clip", tmp_path / "clip")
    weights = copy / "open_clip_model.safetensors"
    weights.rename(copy / "open_clip_pytorch_model.bin")
    with pytest.raises(ModelError, match="missing"):
        OpenClip(copy, "cpu").embed_texts(["park"])


@pytest.mark.parametrize("model", ["detector", "scene_classifier"])
def test_weights_of_another_architecture_are_rejected(folder, tmp_path, model):
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / model / "config.json").read_text())
    config["architecture"]["nc"] += 1
    (copy / model / "config.json").write_text(json.dumps(config))
    with pytest.raises(PerceptionError, match="does not fit"):
        make_perception(copy, "cpu").models()[model](np.zeros((1, 64, 64, 3), np.uint8))


@pytest.mark.parametrize(
    ("field", "value"), [("class_names", None), ("image_size", "128"), ("confidence", "high")]
)
def test_a_faulty_configuration_names_its_field(folder, tmp_path, field, value):
    copy = shutil.copytree(folder / "detector", tmp_path / "detector")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {field: value}))
    with pytest.raises(PerceptionError, match=field):
        UltralyticsDetector(copy)


def test_a_broken_configuration_file_is_named(folder, tmp_path):
    copy = shutil.copytree(folder / "scene_classifier", tmp_path / "scene_classifier")
    (copy / "config.json").write_text("{")
    with pytest.raises(PerceptionError, match=r"config\.json"):
        UltralyticsSceneClassifier(copy)


def test_an_unknown_perception_is_rejected_with_the_known_one():
    with pytest.raises(PerceptionError, match=r"'eyes'.*embedded"):
        make_perception("eyes")


def test_an_unknown_device_is_rejected_with_the_known_ones(folder):
    with pytest.raises(ModelError, match="cpu, cuda, cuda:N, mps"):
        make_perception(folder, "tpu")


def test_a_ready_perception_is_given_back(perception):
    assert make_perception(perception) is perception


def test_a_folder_with_clip_alone_makes_a_perception_without_the_others(folder, tmp_path):
    shutil.copytree(folder / "clip", tmp_path / "clip")
    perception = make_perception(tmp_path)
    assert isinstance(perception, Perception)
    assert perception.detector is None
    assert perception.scene_classifier is None


def test_the_specification_lists_what_the_models_know(perception):
    spec = perception.spec()
    assert spec.detector_classes == NOUNS
    assert spec.scene_classes == SCENES
    assert spec.logit_scale == perception.clip.logit_scale
    assert spec.embed(PROMPTS).shape == (2, 8)
