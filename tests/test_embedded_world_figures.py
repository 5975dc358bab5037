"""What is measured of the embedded world's models, and their card."""

import json

import numpy as np
import pytest

from rldf_gym.grammar import load_grammar
from tools.embedded_world.evaluate import accuracy, frechet_distance, without_order
from tools.embedded_world.model_card import BARS, summary, write_card


def test_the_frechet_distance_of_equal_features_is_zero_and_grows_with_the_mean():
    features = np.random.default_rng(0).normal(size=(500, 8))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features + 2) == pytest.approx(8 * 4)


def states_of(*sentences: str) -> np.ndarray:
    grammar = load_grammar("objects")
    return np.stack([grammar.encode(sentence) for sentence in sentences])


def test_two_things_are_right_in_either_order():
    grammar = load_grammar("objects")
    true = states_of(
        "a photo of one dog and many car in snow",
        "a photo of many dog and one dog in park",
        "a photo of one dog and one car in park",
    )
    found = states_of(
        "a photo of many car and one dog in snow",
        "a photo of one dog and many dog in park",
        "a photo of many car and one dog in park",
    )
    np.testing.assert_array_equal(
        without_order(grammar, found[:2]), without_order(grammar, true[:2])
    )
    figures = accuracy(grammar, found, true)
    assert figures["all"] == pytest.approx(2 / 3)
    assert figures["second_count"] == pytest.approx(2 / 3)
    assert figures["first_noun"] == 1


def test_states_with_one_thing_stay_as_they_are():
    grammar = load_grammar("base")
    states = np.stack([grammar.state(i) for i in range(grammar.n_states)])
    np.testing.assert_array_equal(without_order(grammar, states), states)


MEASURED = {
    "generation": {
        name: {"all": 0.9}
        for name in (
            "base: judged",
            "base: closed loop",
            "extended: judged",
            "actions: judged",
            "objects: judged",
        )
    },
    "perception": {
        f"{name}: perception": {"noun": 0.995, "scene": 0.97, "all": 0.5}
        for name in ("base", "extended", "actions")
    },
    "robustness": {
        "base, grey: perception": {"all": 0.9},
        "base, crop: perception": {"all": 0.7},
        "base, crop: judge": {"all": 0.1},
    },
    "extent": {"states": 720, "renders": 1_000},
    "weather": {"seed 1": 0.9, "seed 2": 0.8},
    "distance": {"new": 1.0, "previous": 4.0},
    "calibration": {"base: perception": {"noun": 0.02}},
    "outside": {
        "photographs against renders": {
            "area under ROC": 0.995,
            "flagged at 1 % false alarms": 0.9,
        }
    },
    "speed": {"generator, batch 1": 70.0, "generator, batch 16": 30.0},
    "sizes": {"all": 40.0, "text_to_image": 20.0},
    "autoencoder": {"all": 30.0, "figures": 26.0},
}


def test_the_summary_takes_the_worst_seed_the_worst_axis_and_the_mean_over_shifts():
    assert summary(MEASURED) == pytest.approx(
        {
            "weather, worst seed": 0.8,
            "distance, new over previous": 0.25,
            "shifted": 0.8,
            "clean, worst axis": 0.97,
        }
    )


def test_the_card_says_of_every_bar_whether_it_is_reached(tmp_path):
    write_card(tmp_path, MEASURED)
    card = (tmp_path / "README.md").read_text()
    assert "on 1000 test renders of each grammar" in " ".join(card.split())
    rows = {bar.what: line for bar in BARS for line in card.splitlines() if bar.what in line}
    assert rows.keys() == {bar.what for bar in BARS}
    assert rows["Autoencoder, dB over all pixels"].endswith("| ≥ 29.5 | 30.0 | yes |")
    assert rows["Generation, batch 16, ms a picture"].endswith("| ≤ 28 | 30.0 | **no** |")
    assert json.loads((tmp_path / "figures.json").read_text())["weather"] == MEASURED["weather"]
