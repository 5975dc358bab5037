"""How well the order of an axis keeps values that mean alike together (paper §3).

An agent moves one label at a time, so an axis is easy to search when neighbours mean alike. Given
text embeddings of the values, this measures an order and proposes a better one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rldf_gym.grammar.faults import GrammarError


@dataclass(frozen=True)
class Locality:
    """How far one order of an axis's values is from the order by similarity.

    Attributes:
        length: Cosine distances between neighbours, summed along the given order; 0 is best.
        best_order: Labels of the values ordered by similarity; see :func:`semantic_order`.
        best_length: The same sum along ``best_order``.
        disagreement: Share of all pairs of values that the two orders put the other way round,
            0 .. 0.5. An order and its reverse count as the same.
    """

    length: float
    best_order: tuple[int, ...]
    best_length: float
    disagreement: float


def text_locality(embeddings: npt.ArrayLike, order: Sequence[int] | None = None) -> Locality:
    """Measure an order of values against the order by similarity.

    Args:
        embeddings: One text embedding per value, float ``[n_values, d]``, of any length but zero.
        order: The order to measure, labels ``[n_values]``; by default the order of the rows.

    Raises:
        GrammarError: Embeddings that are not a finite table without zero rows, or an order that is
            not a permutation of the labels.
    """
    distances = _cosine_distances(embeddings)
    given = np.arange(len(distances)) if order is None else np.asarray(order)
    if given.ndim != 1 or not np.array_equal(np.sort(given), np.arange(len(distances))):
        raise GrammarError(
            f"an order holds each label 0 to {len(distances) - 1} once, not {given.tolist()}"
        )
    best = _leaf_order(distances)
    return Locality(
        length=_path_length(distances, given),
        best_order=tuple(best.tolist()),
        best_length=_path_length(distances, best),
        disagreement=_disagreement(given, best),
    )


def semantic_order(embeddings: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Labels int64 ``[n_values]`` in an order that keeps similar values together.

    Average-linkage clustering by cosine distance, its leaves in the optimal order (Bar-Joseph et
    al. 2001, by scipy): the shortest path among all orders that keep every cluster together. That
    is not always the shortest of all orders. Of the two directions, the one that begins with the
    smaller label.

    Args:
        embeddings: One text embedding per value, float ``[n_values, d]``, of any length but zero.

    Raises:
        GrammarError: Embeddings that are not a finite table without zero rows.
    """
    return _leaf_order(_cosine_distances(embeddings))


def order_correlation(similarities: npt.ArrayLike, order: Sequence[int] | None = None) -> float:
    """Return how well distance along an order follows dissimilarity, -1 .. 1; 1 is best.

    That is Spearman's rank correlation, over all pairs of values, of the number of steps between
    the two with how unlike they are.

    Args:
        similarities: float ``[n_values, n_values]``, symmetric, the larger the more alike.
        order: The order to measure, labels ``[n_values]``; by default the order of the rows.

    Raises:
        GrammarError: No square table of at least three values.
    """
    from scipy.stats import spearmanr

    table = np.asarray(similarities, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 3:
        raise GrammarError(
            f"similarities have shape [n, n] with at least 3 values, not {table.shape}"
        )
    labels = np.arange(len(table)) if order is None else np.asarray(order)
    one, other = np.triu_indices(len(table), k=1)
    return float(spearmanr(other - one, -table[labels[one], labels[other]]).statistic)


def _cosine_distances(embeddings: npt.ArrayLike) -> npt.NDArray[np.float64]:
    table = np.asarray(embeddings, dtype=np.float64)
    if table.ndim != 2 or 0 in table.shape:
        raise GrammarError(f"embeddings have shape [n_values, d], not {list(table.shape)}")
    lengths = np.linalg.norm(table, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise GrammarError("embeddings hold a row that is zero or not finite: it has no direction")
    unit = table / lengths
    similarities = unit @ unit.T
    distances: npt.NDArray[np.float64] = np.clip(
        1.0 - (similarities + similarities.T) / 2, 0.0, 2.0
    )
    np.fill_diagonal(distances, 0.0)
    return distances


def _leaf_order(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    # Imported here because scipy takes longer to import than the rest of the package.
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    if len(distances) < 2:
        return np.arange(len(distances))
    condensed = squareform(distances, checks=False)
    tree = hierarchy.linkage(condensed, method="average", optimal_ordering=True)
    order = np.asarray(hierarchy.leaves_list(tree), dtype=np.int64)
    return order if order[0] < order[-1] else order[::-1].copy()


def _path_length(distances: npt.NDArray[np.float64], order: npt.NDArray[np.int64]) -> float:
    return float(distances[order[:-1], order[1:]].sum())


def _disagreement(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> float:
    rank_in_other = np.argsort(other)[one]
    pairs = len(one) * (len(one) - 1) // 2
    later, earlier = np.tril_indices(len(one), k=-1)
    swapped = int((rank_in_other[later] < rank_in_other[earlier]).sum())
    return min(swapped, pairs - swapped) / max(pairs, 1)
