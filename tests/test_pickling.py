"""Stores, generators and perception models are copied without what they have open or loaded."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from tiny_models import save_clip, save_detector, save_scene_classifier, save_text_to_image

from rldf_gym.generation import DiffusersGenerator, GeneratorPreset, make_generator
from rldf_gym.perception import OpenClip, UltralyticsDetector, UltralyticsSceneClassifier
from rldf_gym.store import Store, image_key

PICTURE = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
KEY = image_key("generator", "a dog", 0)
COPIES = [copy.deepcopy, lambda instance: pickle.loads(pickle.dumps(instance))]
copied = pytest.mark.parametrize("duplicate", COPIES, ids=["deepcopy", "pickle"])


@copied
def test_a_copied_store_reads_and_writes_the_same_file(tmp_path, duplicate):
    store = Store.open(tmp_path / "store.sqlite", "2GB")
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    other = duplicate(store)
    assert (other.path, other.limit) == (store.path, store.limit)
    np.testing.assert_array_equal(other.picture(KEY), PICTURE)
    other.add_pictures("generator", {("a dog", 1): PICTURE[::-1]})
    np.testing.assert_array_equal(store.picture(image_key("generator", "a dog", 1)), PICTURE[::-1])


@copied
def test_a_copied_store_in_memory_has_the_same_rows_and_goes_its_own_way(duplicate):
    store = Store.open(None)
    store.add_pictures("generator", {("a dog", 0): PICTURE})
    store.add_outputs("model", {KEY: {"embedding": np.ones(3, np.float32)}})
    store.add_texts("model", {"a dog": np.ones(3, np.float32)})
    other = duplicate(store)
    np.testing.assert_array_equal(other.picture(KEY), PICTURE)
    assert other.outputs("model", [KEY])[KEY]["embedding"].tolist() == [1, 1, 1]
    assert other.texts("model", ["a dog"])["a dog"].tolist() == [1, 1, 1]
    other.add_pictures("generator", {("a dog", 1): PICTURE})
    assert not store.has_picture(image_key("generator", "a dog", 1))


@copied
def test_a_copied_generator_loads_its_own_pipeline_and_generates_the_same(tmp_path, duplicate):
    preset = GeneratorPreset(
        str(save_text_to_image(tmp_path / "model")), steps=2, height=32, width=32
    )
    generator = DiffusersGenerator("tiny", preset, "cpu")
    before = generator(["a dog"], [0])
    pickled_size = len(pickle.dumps(generator))
    other = duplicate(generator)
    assert pickled_size < 10_000
    assert other.fingerprint == generator.fingerprint
    np.testing.assert_array_equal(other(["a dog"], [0]), before)


@copied
def test_a_copied_generator_of_an_images_server_opens_its_own_connection(monkeypatch, duplicate):
    monkeypatch.setenv("OPENAI_API_KEY", "a-secret-that-no-file-may-hold")
    generator = make_generator("openai:model", base_url="http://127.0.0.1:1/v1")
    assert generator._client is not None
    assert b"a-secret" not in pickle.dumps(generator)
    other = duplicate(generator)
    assert other.settings == generator.settings
    assert other._client is not generator._client


@copied
@pytest.mark.parametrize(
    ("kind", "save"),
    [
        (OpenClip, save_clip),
        (UltralyticsDetector, save_detector),
        (UltralyticsSceneClassifier, save_scene_classifier),
    ],
)
def test_a_copied_perception_model_sees_the_same(tmp_path, kind, save, duplicate):
    folder: Path = save(tmp_path / "model")
    model = kind(folder, "cpu")
    before = model(PICTURE[None])[0]
    other = duplicate(model)
    assert len(pickle.dumps(model)) < 10_000
    assert other.fingerprint == model.fingerprint
    after = other(PICTURE[None])[0]
    assert all(np.array_equal(after[name], before[name]) for name in before)
