"""Orders of an axis by what its values mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rldf_gym.grammar import GrammarError, semantic_order, text_locality


def on_a_half_circle(angles: list[float]) -> np.ndarray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_values_along_a_line_come_back_in_their_order():
    embeddings = on_a_half_circle([0.9, 0.1, 0.5, 1.3, 0.3])
    assert semantic_order(embeddings).tolist() == [1, 4, 2, 0, 3]


def test_the_best_order_has_no_distance_to_itself():
    embeddings = on_a_half_circle([0.9, 0.1, 0.5, 1.3, 0.3])
    report = text_locality(embeddings, semantic_order(embeddings))
    assert report.length == report.best_length
    assert report.disagreement == 0


def test_an_order_and_its_reverse_are_the_same_to_an_agent():
    embeddings = on_a_half_circle([0.0, 0.2, 0.5, 1.0])
    forward, backward = text_locality(embeddings), text_locality(embeddings, [3, 2, 1, 0])
    assert forward.length == pytest.approx(backward.length)
    assert forward.disagreement == backward.disagreement == 0


def test_a_swapped_pair_is_counted():
    report = text_locality(on_a_half_circle([0.0, 0.5, 0.2, 1.0]))
    assert report.best_order == (0, 2, 1, 3)
    assert report.disagreement == pytest.approx(1 / 6)
    assert report.length > report.best_length


def test_the_length_of_an_embedding_does_not_matter():
    embeddings = on_a_half_circle([0.0, 0.5, 0.2, 1.0])
    scaled = embeddings * np.array([[1.0], [20.0], [0.01], [3.0]])
    assert text_locality(scaled).length == pytest.approx(text_locality(embeddings).length)


def test_a_single_value_is_in_order():
    report = text_locality([[3.0, 4.0]])
    assert report.best_order == (0,)
    assert report.length == report.best_length == report.disagreement == 0


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_report_stays_in_its_ranges_for_any_embeddings(n_values, d, seed):
    rng = np.random.default_rng(seed)
    embeddings = rng.normal(size=(n_values, d)).astype(np.float32)
    report = text_locality(embeddings, rng.permutation(n_values))
    assert sorted(report.best_order) == list(range(n_values))
    assert 0 <= report.disagreement <= 0.5
    assert 0 <= report.length <= 2 * n_values
    assert 0 <= report.best_length <= 2 * n_values


@pytest.mark.parametrize(
    "embeddings",
    [[], [1.0, 2.0], np.zeros((0, 3)), [[0.0, 0.0], [1.0, 0.0]], [[np.nan, 1.0], [1.0, 0.0]]],
)
def test_embeddings_without_a_direction_are_rejected(embeddings):
    with pytest.raises(GrammarError, match="embeddings"):
        text_locality(embeddings)


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [1, 2, 3], [[0, 1, 2]], [0.0, 1.5, 2.0]])
def test_an_order_that_is_no_permutation_is_rejected(order):
    with pytest.raises(GrammarError, match="each label 0 to 2 once"):
        text_locality(np.eye(3), order)
