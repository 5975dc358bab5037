"""What is measured of a perception: temperatures, calibration errors, pictures from outside."""

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rldf_gym.goal import load_picture
from rldf_gym.model_files import EMBEDDED
from rldf_gym.perception import PerceptionError, make_perception
from rldf_gym.perception.calibration import CALIBRATION_FILE, Calibration
from rldf_gym.perception.objects import AxisPrediction
from tests.plain_renders import plain_corpus
from tools.embedded_world import calibration as measuring
from tools.embedded_world import outside as scoring
from tools.embedded_world.calibration import calibrate, calibration_error, temperature
from tools.embedded_world.corpus import Corpus
from tools.embedded_world.outliers import outlier_pictures
from tools.embedded_world.outside import logistic_weights, under_curve


@pytest.fixture(scope="module")
def perception():
    return make_perception("embedded", "cpu")


def scores(perception, pictures) -> np.ndarray:
    return np.concatenate([output["score"] for output in perception.outlier_model(pictures)])


def test_the_shipped_perception_knows_its_world_from_synthetic_outliers(perception):
    targets = [load_picture(path) for path in sorted(Path("benchmarks/targets").glob("*.png"))[:40]]
    outliers = outlier_pictures(np.stack(targets), 60, 99)
    assert (scores(perception, np.stack(targets)) > 0).mean() <= 0.05
    assert (scores(perception, outliers) > 0).mean() >= 0.9


def test_the_same_seed_makes_the_same_outliers():
    renders = plain_corpus().pictures[:4]
    first, again = (outlier_pictures(renders, 20, 5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (20, 128, 128, 3)
    assert first.dtype == np.uint8


def test_a_calibration_file_is_read_as_it_was_written(tmp_path):
    calibration = Calibration.load(EMBEDDED / CALIBRATION_FILE)
    calibration.save(tmp_path / CALIBRATION_FILE)
    again = Calibration.load(tmp_path / CALIBRATION_FILE)
    np.testing.assert_array_equal(again.weights, calibration.weights)
    assert vars(replace(again, weights=calibration.weights)) == vars(calibration)


def test_a_damaged_calibration_file_is_named_with_the_fix(tmp_path):
    (tmp_path / CALIBRATION_FILE).write_bytes(b"no safetensors")
    with pytest.raises(PerceptionError, match=r"calibration\.safetensors is damaged.*calibrate"):
        make_perception(tmp_path, "cpu")


def test_a_calibration_of_other_weights_is_named_with_the_fix(tmp_path):
    (tmp_path / "clip").symlink_to(EMBEDDED / "clip")
    calibration = Calibration.load(EMBEDDED / CALIBRATION_FILE)
    replace(calibration, clip="0" * 64).save(tmp_path / CALIBRATION_FILE)
    perception = make_perception(tmp_path, "cpu")
    with pytest.raises(PerceptionError, match=r"measured with other weights of CLIP.*calibrate"):
        _ = perception.outlier_model.fingerprint


def test_without_a_calibration_file_nothing_is_outside(tmp_path):
    (tmp_path / "clip").symlink_to(EMBEDDED / "clip")
    perception = make_perception(tmp_path, "cpu")
    assert perception.outlier_model is None
    assert perception.least_similarity is None


def sure_answers(sharpness: float) -> tuple[list[np.ndarray], list[int]]:
    """Labels sampled from probabilities, and these to the power of ``sharpness``, normalized."""
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.ones(4), 4000)
    labels = [int(rng.choice(4, p=row)) for row in true]
    given = true**sharpness
    return list(given / given.sum(1, keepdims=True)), labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_too_much_and_too_little_sharpness(sharpness):
    probabilities, labels = sure_answers(sharpness)
    found = temperature(probabilities, labels)
    assert found == pytest.approx(sharpness, rel=0.1)
    cooled = [AxisPrediction(0, 1.0, row).calibrated(found).probabilities for row in probabilities]
    assert calibration_error(cooled, labels) < 0.025
    assert sharpness == 1 or calibration_error(probabilities, labels) > 0.05


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(any), st.floats(0.2, 5))
def test_a_temperature_keeps_the_likeliest_value_and_the_sum(weights, chosen):
    value = int(np.argmax(weights))
    before = AxisPrediction.of(value, 0.5, np.array(weights))
    after = before.calibrated(chosen)
    assert after.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert after.probabilities[value] == after.probabilities.max()
    assert (after.value, after.confidence) == (before.value, before.confidence)


def test_the_area_under_the_curve_counts_ties_half():
    assert under_curve(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
    assert under_curve(np.array([1.0, 2.0]), np.array([0.0, 2.0])) == pytest.approx(3 / 8)


def test_logistic_weights_point_from_one_class_to_the_other():
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(0, 1, (400, 3)), rng.normal((2, 0, -2), 1, (100, 3))
    weights = logistic_weights(inside, outside)
    assert weights[0] > 5 * abs(weights[1])
    assert weights[2] == pytest.approx(-weights[0], rel=0.3)


def test_calibrating_measures_every_model(monkeypatch):
    monkeypatch.setattr(measuring, "_READ", 100)
    for name in ("_INSIDE", "_OUTSIDE", "_VALIDATED", "_STYLED"):
        monkeypatch.setattr(scoring, name, 100)
    corpus = Corpus(*(np.concatenate([part] * 4) for part in astuple(plain_corpus())))
    calibration = calibrate(EMBEDDED, "cpu", corpus, corpus)
    assert calibration.temperatures.keys() == {"clip", "detector", "scene_classifier"}
    assert all(0.13 < value < 7.5 for value in calibration.temperatures.values())
    assert -1 <= calibration.least_similarity <= 1
    assert np.isfinite(calibration.weights).all()
    assert calibration.clip == make_perception("embedded").clip.fingerprint
