"""The cost of finding a target, over many targets and seeds, with intervals that can be trusted.

The cost of a run is the number of unique generations up to its first arrival at the goal:
``RunStatistics.states_to_goal``. Many runs are summed up as in R. Agarwal et al., "Deep
Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS 2021; the rliable
library): the interquartile mean, and percentile intervals of a stratified bootstrap, where every
target is a stratum whose runs are drawn again with replacement. Such an interval describes other
seeds on the same targets. For other targets too, where the targets are a random sample with one
run each, pass them as one stratum: ``costs.reshape(1, -1)``.

A run that ends before it arrives is censored: its cost is known to be above the budget, no more.
Its cost is given as ``inf`` and treated in the open:

- The success curve, the share of runs that have arrived within n unique generations, needs no
  assumption at all: below the budget, every run has arrived by then or has not.
- Mean costs count a censored run at the budget and are therefore lower bounds. The interquartile
  mean cuts off the dearest quarter of the runs: as long as no more than a quarter is censored it
  is the very number that runs without a budget would have given (``SearchCost.exact``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.stats

from rldf_agents.errors import AgentError

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        n_resamples: how often the runs are drawn again.
        confidence: of the intervals, in (0, 1).
        seed: of the draws, at least 0.

    Raises:
        AgentError: a value out of its range.
    """

    n_resamples: int = 2_000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_resamples < 1:
            raise AgentError(f"n_resamples is {self.n_resamples}: give a number of at least 1")
        if not 0.0 < self.confidence < 1.0:
            raise AgentError(f"confidence is {self.confidence}: give a number between 0 and 1")
        if self.seed < 0:
            raise AgentError(f"seed is {self.seed}: give an integer of at least 0")


@dataclass(frozen=True)
class Estimate:
    """A number and the interval around it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True, eq=False)
class Band:
    """A curve and the pointwise interval around it, float64 ``[n_points]`` each."""

    mean: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class SearchCost:
    """What it takes to find the targets within a budget of unique generations."""

    n_targets: int
    n_runs: int
    """Of each target."""
    budget: int
    reached: Estimate
    """Share of runs that arrived within the budget."""
    interquartile_mean: Estimate
    """Of the cost; censored runs count at the budget."""
    median: Estimate
    """Of the cost; censored runs count at the budget."""
    area: Estimate
    """Under the success curve, as a share of the budget: 1 if every run arrived at once. The
    mean cost, censored runs counted at the budget, is ``budget * (1 - area)``, give or take 1."""
    exact: bool
    """Whether the interquartile mean is free of censored runs, and not just a lower bound."""


def costs_to_goal(first_arrivals: Sequence[Sequence[int | None]]) -> Floats:
    """Return costs, float64 ``[n_targets, n_runs]``, ``inf`` where a run never arrived (None).

    Raises:
        AgentError: if there is no target, or not all have equally many runs.
    """
    numbers = sorted({len(runs) for runs in first_arrivals})
    if len(numbers) != 1:
        raise AgentError(f"targets have {numbers} runs: give every target equally many")
    table = [[np.inf if cost is None else float(cost) for cost in runs] for runs in first_arrivals]
    return np.array(table, dtype=np.float64)


def interquartile_mean(values: npt.ArrayLike) -> Floats:
    """Return the mean of the middle half along the last axis: ``[..., n]`` to ``[...]``.

    The quarter cut off at either end is rounded down to whole values, as in rliable.
    """
    return np.asarray(scipy.stats.trim_mean(values, proportiontocut=0.25, axis=-1))


def search_cost(costs: Floats, budget: int, bootstrap: Bootstrap | None = None) -> SearchCost:
    """Sum up what the searches for many targets cost.

    Args:
        costs: unique generations to the first arrival, float64 ``[n_targets, n_runs]``; ``inf``,
            or any number above the budget, for a run that did not arrive within it.
        budget: unique generations granted to each run, at least 1.
        bootstrap: how intervals are made; None for the usual.

    Raises:
        AgentError: if costs are not as above or there are fewer than two runs to a target.
    """
    how = bootstrap or Bootstrap()
    runs = _resampled(costs, budget, how)
    restricted = np.minimum(runs, budget)
    n_censored = int(np.isinf(runs[0]).sum())
    return SearchCost(
        n_targets=costs.shape[0],
        n_runs=costs.shape[1],
        budget=budget,
        reached=_estimate(np.isfinite(runs).mean(axis=-1), how),
        interquartile_mean=_estimate(interquartile_mean(restricted), how),
        median=_estimate(np.median(restricted, axis=-1), how),
        area=_estimate(np.maximum(budget + 1 - runs, 0.0).mean(axis=-1) / budget, how),
        exact=n_censored <= int(0.25 * costs.size),
    )


def success_curve(costs: Floats, budget: int, bootstrap: Bootstrap | None = None) -> Band:
    """Return the share of runs that arrived within n unique generations, n from 0 to the budget.

    Args:
        costs: see ``search_cost``.
        budget: n of the last point, at least 1.
        bootstrap: how the band is made; None for the usual.

    Returns:
        A band of ``budget + 1`` points.

    Raises:
        AgentError: see ``search_cost``.
    """
    costs = _checked_costs(costs, budget)
    return mean_band(costs[..., np.newaxis] <= np.arange(budget + 1), bootstrap)


def cost_ratio(
    others: Floats, ours: Floats, budget: int, bootstrap: Bootstrap | None = None
) -> Estimate:
    """Return how many times fewer unique generations ours takes: a ratio of interquartile means.

    Args:
        others: see ``search_cost``; of the same targets, with any number of runs.
        ours: see ``search_cost``.
        budget: see ``search_cost``; the same for both.
        bootstrap: how the interval is made; None for the usual.

    Raises:
        AgentError: see ``search_cost``; or if the targets differ in number.
    """
    if len(others) != len(ours):
        raise AgentError(f"the ratio is of {len(others)} and {len(ours)} targets: give the same")
    how = bootstrap or Bootstrap()
    # A stream for each: the two sets of runs are independent of one another.
    above, below = (
        interquartile_mean(np.minimum(_resampled(costs, budget, how, stream), budget))
        for stream, costs in enumerate((others, ours))
    )
    return _estimate(above / below, how)


def mean_band(series: npt.ArrayLike, bootstrap: Bootstrap | None = None) -> Band:
    """Return the mean over all runs of a number that changes in the course of a run.

    Args:
        series: float or bool ``[n_targets, n_runs, n_points]``, for example the distance to the
            goal after each step.
        bootstrap: how the band is made; None for the usual.

    Returns:
        A band of ``n_points``.

    Raises:
        AgentError: if the shape is another or there are fewer than two runs to a target.
    """
    how = bootstrap or Bootstrap()
    points = _checked(np.asarray(series, dtype=np.float64), "[n_targets, n_runs, n_points]")
    flat = points.reshape(-1, points.shape[-1])
    n = len(flat)
    draws = _draws(points.shape, how)
    # How often each run was drawn: the means of all resamples are then one matrix product.
    rows = np.arange(how.n_resamples)[:, np.newaxis]
    counts = np.bincount((draws + rows * n).ravel(), minlength=how.n_resamples * n)
    means = counts.reshape(how.n_resamples, n) @ flat / n
    low, high = np.quantile(means, _tails(how), axis=0)
    return Band(flat.mean(axis=0), low, high)


def _resampled(costs: Floats, budget: int, how: Bootstrap, stream: int = 0) -> Floats:
    """All runs in the first row, resamples of them below: ``[1 + n_resamples, n]``."""
    costs = _checked_costs(costs, budget)
    flat = costs.ravel()
    return np.concatenate([flat[np.newaxis], flat[_draws(costs.shape, how, stream)]])


def _draws(shape: tuple[int, ...], how: Bootstrap, stream: int = 0) -> Indices:
    """Flat indices of runs, ``[n_resamples, n_targets * n_runs]``: each stays with its target."""
    n_targets, n_runs = shape[:2]
    random = np.random.default_rng([how.seed, stream])
    draws = random.integers(n_runs, size=(how.n_resamples, n_targets, n_runs))
    draws += n_runs * np.arange(n_targets)[:, np.newaxis]
    return draws.reshape(how.n_resamples, -1)


def _estimate(statistics: Floats, how: Bootstrap) -> Estimate:
    """The statistic of all runs comes first, those of the resamples follow."""
    low, high = np.quantile(statistics[1:], _tails(how))
    return Estimate(float(statistics[0]), float(low), float(high))


def _tails(how: Bootstrap) -> tuple[float, float]:
    outside = (1.0 - how.confidence) / 2
    return outside, 1.0 - outside


def _checked_costs(costs: Floats, budget: int) -> Floats:
    """The costs, ``inf`` wherever they are above the budget."""
    if budget < 1:
        raise AgentError(f"the budget is {budget}: give at least one unique generation")
    costs = _checked(np.asarray(costs, dtype=np.float64), "[n_targets, n_runs]")
    if np.isnan(costs).any() or (costs < 1).any():
        raise AgentError("a cost is below 1 or not a number: give inf for a run without arrival")
    return np.where(costs <= budget, costs, np.inf)


def _checked(runs: Floats, shape: str) -> Floats:
    if runs.ndim != shape.count(",") + 1 or not runs.size:
        raise AgentError(f"runs have the shape {list(runs.shape)}: give {shape}, none of them 0")
    if runs.shape[1] < 2:
        raise AgentError(
            "there is one run to each target, and nothing to draw again: give at least two, or "
            "all targets as one stratum, costs.reshape(1, -1)"
        )
    return runs
