"""Our intervals against rliable, the library whose definitions they follow."""

import numpy as np
import pytest

from benchmarks.aggregation import Bootstrap, search_cost

pytestmark = pytest.mark.interop

BUDGET = 300


def test_the_interquartile_mean_and_its_interval_are_those_of_rliable():
    from rliable import library, metrics

    random = np.random.default_rng(0)
    hardness = random.gamma(2.0, 15.0, size=(20, 1))
    costs = np.ceil(1 + random.gamma(3.0, hardness / 3, size=(20, 5)))
    # rliable has one row for each run, one column for each task.
    points, intervals = library.get_interval_estimates(
        {"ours": costs.T},
        lambda scores: np.array([metrics.aggregate_iqm(scores)]),
        reps=5_000,
        random_state=np.random.RandomState(0),
    )
    low, high = intervals["ours"].ravel()
    estimate = search_cost(costs, BUDGET, Bootstrap(n_resamples=5_000)).interquartile_mean
    assert (costs <= BUDGET).all()
    assert estimate.value == pytest.approx(float(points["ours"][0]))
    assert estimate.low == pytest.approx(low, abs=0.05 * (high - low))
    assert estimate.high == pytest.approx(high, abs=0.05 * (high - low))
