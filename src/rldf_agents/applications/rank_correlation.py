"""Somers' D, a rank correlation that ties among the values do not lower, with an interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_LEAST_RESAMPLED = 6
"""A bootstrap of fewer pictures says little: nearly all resamples agree with each other."""


class RankCorrelation(NamedTuple):
    """Somers' D, -1 to 1, and its 95 % bootstrap interval; None where undefined."""

    value: float | None
    interval: tuple[float, float] | None


def rank_correlation(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> RankCorrelation:
    """Return whether scores rise with labels: Somers' D, with a 95 % percentile interval.

    Somers' D is the share of the pairs with different labels whose scores are in the labels' order,
    less the share in the opposite order (Somers 1962). Spearman's coefficient would stay below 1
    where several pictures have the same label, however well their scores are ordered.

    Args:
        labels: int64 ``[n]``, positions of values.
        scores: float64 ``[n]``.

    Returns:
        No value where all labels are the same; no interval for fewer than six pictures. Resamples
        with a single label are left out.
    """
    order = np.sign(labels[:, np.newaxis] - labels)
    agreement = order * np.sign(scores[:, np.newaxis] - scores)
    n_pairs = np.abs(order).astype(np.float64)
    if not n_pairs.any():
        return RankCorrelation(None, None)
    whole = float(agreement.sum() / n_pairs.sum())
    n = len(labels)
    if n < _LEAST_RESAMPLED:
        return RankCorrelation(whole, None)
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=_RESAMPLES)
    of_resample = ((times @ n_pairs) * times).sum(axis=1)
    agreements = ((times @ agreement) * times).sum(axis=1)
    usable = of_resample > 0
    low, high = np.percentile(agreements[usable] / of_resample[usable], [2.5, 97.5])
    return RankCorrelation(whole, (float(low), float(high)))
