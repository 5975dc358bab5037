"""The project's bars for search, judged by the rows."""

from dataclasses import dataclass

from benchmarks.aggregation import Estimate, cost_ratio
from benchmarks.sample_efficiency.costs import Measured
from benchmarks.sample_efficiency.searchers import SEARCHERS

TIMES_FEWER = 2.0
"""By how much the best learner has to beat the best peer."""


@dataclass(frozen=True)
class Bar:
    """How soon the best learner has to find the targets of a world."""

    world: str
    within: int
    """Unique generations."""
    share: float
    """Of the searches."""
    median: int | None = None
    """Of unique generations, at most."""


BARS = (Bar("base", 100, 0.95, median=30), Bar("extended", 200, 0.95), Bar("synthetic", 500, 0.90))


def verdicts(measured: Measured) -> list[str]:
    """One line for each bar of each world that was measured: met, or missed by how much."""
    lines = []
    for bar in BARS:
        if bar.world in measured.worlds:
            best = measured.best(bar.world, "learner")
            title = f"**{bar.world}**, {SEARCHERS[best].title}"
            lines += [f"{title}: {line}" for line in _speed(measured, bar, best)]
            lines += [f"{title}: {line}" for line in _lead(measured, bar.world, best)]
    return lines


def _speed(measured: Measured, bar: Bar, name: str) -> list[str]:
    if measured.budgets[bar.world] < bar.within:
        return [f"not judged within {bar.within}, which is beyond the budget"]
    share = measured.within(bar.world, name, bar.within)
    verdict = _verdict(share - bar.share, f"{100 * (bar.share - share):.1f} points")
    lines = [f"{share:.1%} within {bar.within}, bar {bar.share:.0%}: {verdict}"]
    if bar.median is not None:
        median = measured.summary(bar.world, name).median.value
        verdict = _verdict(bar.median - median, f"{median - bar.median:g}")
        lines.append(f"median {median:g}, bar at most {bar.median}: {verdict}")
    return lines


def _lead(measured: Measured, world: str, name: str) -> list[str]:
    """Against every peer of the bar, the best of them last."""
    ratios = {
        peer: lead(measured, world, peer, name)
        for peer in measured.searchers(world)
        if SEARCHERS[peer].kind in ("peer", "sb3")
    }
    worst = min(ratios.values(), key=lambda ratio: ratio.value)
    listed = ", ".join(f"{SEARCHERS[peer].title} {ratio}" for peer, ratio in ratios.items())
    verdict = _verdict(worst.value - TIMES_FEWER, f"{TIMES_FEWER - worst.value:.2f}")
    return [f"times fewer than peers: {listed}; bar {TIMES_FEWER:g} for each: {verdict}"]


def lead(measured: Measured, world: str, other: str, ours: str) -> Estimate:
    """How many times fewer unique generations ``ours`` takes than ``other``, on shared targets."""
    shared = sorted(measured.targets(world, other) & measured.targets(world, ours))
    return cost_ratio(
        measured.costs(world, other, shared),
        measured.costs(world, ours, shared),
        measured.budgets[world],
    )


def _verdict(margin: float, missed_by: str) -> str:
    return "met" if margin >= 0 else f"**missed by {missed_by}**"
