"""Costs of many searches, summed up with intervals."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.aggregation import (
    Bootstrap,
    cost_ratio,
    costs_to_goal,
    interquartile_mean,
    mean_band,
    search_cost,
    success_curve,
)
from rldf_agents import AgentError

INF = np.inf
BUDGET = 100
costs_of_runs = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.integers(2, 5)),
    elements=st.one_of(st.integers(1, 2 * BUDGET).map(float), st.just(INF)),
)


def costs_like_those_of_searches(n_targets=30, n_runs=5):
    """Some targets are harder than others, some runs never arrive."""
    random = np.random.default_rng(0)
    hardness = random.gamma(2.0, 15.0, size=(n_targets, 1))
    costs = np.ceil(1 + random.gamma(3.0, hardness / 3, size=(n_targets, n_runs)))
    return np.where(costs <= BUDGET, costs, INF)


def test_the_interquartile_mean_is_the_mean_of_the_middle_half():
    assert interquartile_mean([0, 1, 2, 3, 4, 5, 6, 1000]) == (2 + 3 + 4 + 5) / 4


def test_quarters_are_cut_to_whole_values():
    assert interquartile_mean([1, 2, 3, 4, 5, 1000]) == (2 + 3 + 4 + 5) / 4


def test_a_run_that_never_arrived_costs_more_than_any_budget():
    assert costs_to_goal([[3, None], [5, 7]]).tolist() == [[3, INF], [5, 7]]


def test_costs_are_summed_up_as_worked_out_by_hand():
    cost = search_cost(np.array([[10.0, 20.0], [30.0, INF]]), budget=100)
    assert (cost.n_targets, cost.n_runs, cost.budget) == (2, 2, 100)
    assert cost.reached.value == 0.75
    assert cost.interquartile_mean.value == 25.0
    assert cost.median.value == 25.0
    assert cost.area.value == pytest.approx((91 + 81 + 71 + 0) / 4 / 100)
    assert cost.exact


def test_more_than_a_quarter_of_censored_runs_make_the_interquartile_mean_a_lower_bound():
    cost = search_cost(np.array([[10.0, INF], [20.0, INF]]), budget=50)
    assert cost.interquartile_mean.value == (20 + 50) / 2
    assert not cost.exact


@given(costs_of_runs, st.floats(1.0, 1e6))
def test_an_exact_interquartile_mean_does_not_depend_on_what_censored_runs_would_have_cost(
    costs, excess
):
    cost = search_cost(costs, BUDGET, Bootstrap(n_resamples=1))
    uncensored = np.where(costs <= BUDGET, costs, BUDGET + excess)
    truth = float(interquartile_mean(uncensored.ravel()))
    if cost.exact:
        assert cost.interquartile_mean.value == pytest.approx(truth)
    else:
        assert cost.interquartile_mean.value <= truth * (1 + 1e-12)


@given(costs_of_runs)
def test_the_area_under_the_success_curve_is_its_mean_over_the_budget(costs):
    how = Bootstrap(n_resamples=1)
    curve = success_curve(costs, BUDGET, how)
    assert search_cost(costs, BUDGET, how).area.value == pytest.approx(curve.mean[1:].mean())


@given(costs_of_runs)
def test_the_success_curve_climbs_from_none_to_the_share_that_reached(costs):
    curve = success_curve(costs, BUDGET, Bootstrap(n_resamples=20))
    assert curve.mean[0] == 0.0
    assert (np.diff(curve.mean) >= 0).all()
    assert curve.mean[-1] == pytest.approx((costs <= BUDGET).mean())
    assert (curve.low <= curve.high).all()
    assert ((curve.low >= -1e-12) & (curve.high <= 1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("field", "statistic"),
    [
        ("interquartile_mean", lambda x: scipy.stats.trim_mean(x, 0.25, axis=-1)),
        ("median", lambda x: np.median(x, axis=-1)),
        ("area", lambda x: (BUDGET + 1 - np.minimum(x, BUDGET + 1)).mean(axis=-1) / BUDGET),
    ],
)
def test_intervals_agree_with_a_stratified_bootstrap_of_scipy(field, statistic):
    costs = costs_like_those_of_searches()
    capped = np.minimum(costs, BUDGET + (field == "area"))
    # Samples that SciPy is given apart are drawn again apart: they are strata.
    theirs = scipy.stats.bootstrap(
        tuple(capped),
        lambda *strata, axis: statistic(np.concatenate(strata, axis=axis)),
        n_resamples=20_000,
        vectorized=True,
        method="percentile",
        batch=1_000,
        rng=0,
    ).confidence_interval
    ours = getattr(search_cost(costs, BUDGET, Bootstrap(n_resamples=20_000)), field)
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_runs_are_drawn_again_within_their_target_only():
    every_run_alike = np.repeat([[5.0], [50.0]], 3, axis=1)
    cost = search_cost(every_run_alike, BUDGET)
    assert cost.median.low == cost.median.high == 27.5
    one_stratum = search_cost(every_run_alike.reshape(1, -1), BUDGET)
    assert one_stratum.median.low == 5.0
    assert one_stratum.median.high == 50.0


def test_intervals_of_more_confidence_are_wider():
    costs = costs_like_those_of_searches()
    narrow = search_cost(costs, BUDGET, Bootstrap(confidence=0.5)).interquartile_mean
    wide = search_cost(costs, BUDGET, Bootstrap(confidence=0.99)).interquartile_mean
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_the_same_seed_gives_the_same_intervals():
    costs = costs_like_those_of_searches()
    how = Bootstrap(seed=3)
    assert search_cost(costs, BUDGET, how) == search_cost(costs, BUDGET, how)
    assert search_cost(costs, BUDGET, how) != search_cost(costs, BUDGET, Bootstrap(seed=4))


def test_an_interval_of_95_percent_covers_the_truth_about_95_times_in_100():
    random = np.random.default_rng(1)
    truth = float(interquartile_mean(np.ceil(random.gamma(3.0, 8.0, size=10**6))))
    covered = 0
    for seed in range(200):
        costs = np.ceil(random.gamma(3.0, 8.0, size=(4, 25)))
        estimate = search_cost(costs, 10**6, Bootstrap(500, seed=seed)).interquartile_mean
        covered += estimate.low <= truth <= estimate.high
    assert 175 <= covered <= 199


def test_half_the_cost_is_a_ratio_of_two():
    costs = costs_like_those_of_searches()
    ratio = cost_ratio(2 * costs, costs, budget=10**6)
    assert ratio.value == pytest.approx(2.0)
    assert 1.0 < ratio.low < 2.0 < ratio.high < 4.0


def test_the_two_sides_of_a_ratio_are_drawn_apart():
    costs = costs_like_those_of_searches()
    ratio = cost_ratio(costs, costs, BUDGET)
    assert ratio.value == 1.0
    assert ratio.low < 1.0 < ratio.high


def test_a_band_follows_the_mean_over_all_runs():
    series = np.random.default_rng(0).normal(size=(7, 4, 11)).cumsum(axis=-1)
    band = mean_band(series)
    assert band.mean == pytest.approx(series.mean(axis=(0, 1)))
    assert (band.low < band.mean).all()
    assert (band.mean < band.high).all()


def test_a_band_at_one_point_is_the_interval_of_its_mean():
    costs = costs_like_those_of_searches()
    curve = success_curve(costs, BUDGET)
    reached = search_cost(costs, BUDGET).reached
    assert (curve.low[-1], curve.high[-1]) == pytest.approx((reached.low, reached.high))


@pytest.mark.parametrize(
    ("costs", "budget", "message"),
    [
        ([[1.0, 2.0]], 0, "budget is 0"),
        ([1.0, 2.0], 10, r"shape \[2\]: give \[n_targets, n_runs\]"),
        ([[]], 10, r"shape \[1, 0\]"),
        ([[1.0], [2.0]], 10, "at least two"),
        ([[0.0, 2.0]], 10, "below 1"),
        ([[np.nan, 2.0]], 10, "inf for a run without arrival"),
    ],
)
def test_costs_that_mean_nothing_are_rejected(costs, budget, message):
    with pytest.raises(AgentError, match=message):
        search_cost(np.array(costs), budget)
    with pytest.raises(AgentError, match=message):
        success_curve(np.array(costs), budget)


def test_targets_with_different_numbers_of_runs_are_rejected():
    with pytest.raises(AgentError, match=r"targets have \[1, 2\] runs"):
        costs_to_goal([[1, 2], [3]])


def test_a_ratio_over_different_targets_is_rejected():
    with pytest.raises(AgentError, match="2 and 1 targets"):
        cost_ratio(np.ones((2, 3)), np.ones((1, 3)), BUDGET)


@pytest.mark.parametrize(
    ("field", "value"), [("n_resamples", 0), ("confidence", 1.0), ("seed", -1)]
)
def test_a_bootstrap_out_of_range_is_rejected_by_name(field, value):
    with pytest.raises(AgentError, match=f"{field} is {value}"):
        dataclasses.replace(Bootstrap(), **{field: value})
