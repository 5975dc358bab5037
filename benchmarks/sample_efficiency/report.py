"""The report: verdicts, the success curves, a table for every world."""

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.aggregation import Estimate, SearchCost, success_curve
from benchmarks.figures import COLOURS, curve_with_band, house_style, new_figure
from benchmarks.results import Report, Results
from benchmarks.sample_efficiency.costs import Measured
from benchmarks.sample_efficiency.searchers import SEARCHERS
from benchmarks.sample_efficiency.verdicts import TIMES_FEWER, lead, verdicts
from benchmarks.sample_efficiency.worlds import BASE, WORLDS, informed_walk, straight_walk

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WITHIN = (30, 100, 200, 500)
_LINE_OF = {"learner": "-", "sb3": ":", "peer": "--", "reference": "-."}
_HEADER = (
    "| search | searches | reached | "
    + " | ".join(f"≤ {n}" for n in WITHIN)
    + " | median | IQM [95 %] | best peer's IQM over it |"
)
_RULE = "|---|" + "---:|" * (len(WITHIN) + 5)
_INTRODUCTION = """\
The cost of a search is the number of distinct states that it visited, starting states included,
until the first visit to its goal: the images that an empty store would have to generate. Learners
and Stable-Baselines3 walk one move at a time from random starting states. Optuna, random search,
hill climbing and coordinate search may jump to any state at the same cost; a second visit is free
for all. Every search has one setting for all targets, receives rewards only (`multi_semantic`), and
ends at the world's budget."""
_FLOOR = """\
What bounds the ratio from above is that a learner walks while a peer may jump. A walker that knew
the goal beforehand would visit this many states on average: {straight}. One that knew of every
image which axes are right, and nothing else, could expect no less than: {informed}; a learner has
to infer that from rewards. In a small world this leaves little margin below a peer that
jumps: the best peer's IQM on base, halved, is {half:.1f}."""
_NOTES = """\
IQM: interquartile mean of all searches, with a 95 % interval from a bootstrap stratified by target,
about these targets and no others; searches cut off count at the budget, and ≥ marks means that are
thereby lower bounds. The last column compares with the best of Stable-Baselines3, Optuna, random
search and hill climbing, on the targets that both searched for: above 1 is better than it.
Coordinate search tries one axis's values after another by jumping along the axis; it is here to
show what that freedom is worth, and no bar names it. Optuna's TPE runs with its own defaults and,
"tuned", with the best settings found on base and extended; `factored_ucb` with defaults chosen on
other goals of the same worlds. Hill climbing moves to neighbours one move away, and sideways on
plateaus. Every target has seeds, and thereby starting states, of its own; all who search for it
share them."""


def report(results: Results) -> Report:
    """Make the report from the rows alone."""
    measured = Measured(results.rows, results.settings["budgets"])
    parts = ["# How many pictures until the target is found?", _INTRODUCTION]
    parts += ["## Against the bars", "\n".join(f"- {line}" for line in verdicts(measured))]
    parts.append(_floor(measured))
    parts.append("![Share of searches that found their target](sample_efficiency.png)")
    for world in measured.worlds:
        budget = measured.budgets[world]
        heading = f"## {WORLDS[world].title}, budget {budget:,}"
        parts += [heading, "\n".join([_HEADER, _RULE, *_table(measured, world)])]
    parts.append(_NOTES)
    return Report("\n\n".join(parts), {"": _csv(measured)}, {"": _figure(measured)})


def _floor(measured: Measured) -> str:
    straight, informed = (
        ", ".join(f"{walk(world):.1f} on {world}" for world in measured.worlds)
        for walk in (straight_walk, informed_walk)
    )
    peer = measured.summary(BASE.name, measured.best(BASE.name, "peer", "sb3"))
    half = peer.interquartile_mean.value / TIMES_FEWER
    return _FLOOR.format(straight=straight, informed=informed, half=half)


def _table(measured: Measured, world: str) -> Iterator[str]:
    best_peer = measured.best(world, "peer", "sb3")
    for name in _cheapest_first(measured, world):
        cost, title = measured.summary(world, name), SEARCHERS[name].title
        cells = (
            f"**{title}**" if SEARCHERS[name].kind == "learner" else title,
            f"{cost.n_targets} x {cost.n_runs}",
            f"{cost.reached.value:.3f}",
            *(_share(measured, world, name, n) for n in WITHIN),
            _median(cost),
            f"{'' if cost.exact else '≥ '}{_as_text(cost.interquartile_mean)}",
            "" if name == best_peer else str(lead(measured, world, best_peer, name)),
        )
        yield f"| {' | '.join(cells)} |"


def _cheapest_first(measured: Measured, world: str) -> list[str]:
    def largest_area(name: str) -> tuple[float, str]:
        return -measured.summary(world, name).area.value, name

    return sorted(measured.searchers(world), key=largest_area)


def _share(measured: Measured, world: str, name: str, generations: int) -> str:
    if generations > measured.budgets[world]:
        return ""
    return f"{measured.within(world, name, generations):.2f}"


def _median(cost: SearchCost) -> str:
    censored = cost.median.value >= cost.budget
    return f"> {cost.budget:,}" if censored else f"{cost.median.value:,.0f}"


def _as_text(estimate: Estimate) -> str:
    return f"{estimate.value:,.1f} [{estimate.low:,.1f}, {estimate.high:,.1f}]"


def _csv(measured: Measured) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ("world", "searcher", "kind", "targets", "seeds", "reached")
    iqm = ("iqm", "iqm_low", "iqm_high", "iqm_exact")
    writer.writerow([*header, *(f"within_{n}" for n in WITHIN), "median", *iqm])
    for world in measured.worlds:
        for name in measured.searchers(world):
            cost = measured.summary(world, name)
            who = (world, name, SEARCHERS[name].kind, cost.n_targets, cost.n_runs)
            shares = (cost.reached.value, *(measured.within(world, name, n) for n in WITHIN))
            mean = cost.interquartile_mean
            numbers = (*shares, cost.median.value, mean.value, mean.low, mean.high)
            writer.writerow([*who, *(f"{number:.4f}" for number in numbers), int(cost.exact)])
    return text.getvalue()


def _figure(measured: Measured) -> "Figure":
    with house_style():
        figure = new_figure(4.2 * len(measured.worlds) + 1.8, 4.4)
        panels = figure.subplots(1, len(measured.worlds), sharey=True, squeeze=False)[0]
        styles = _styles(measured)
        for panel, world in zip(panels, measured.worlds, strict=True):
            _panel(panel, measured, world, styles)
        panels[0].set_ylabel("share of searches at their goal")
        lines = dict(zip(*reversed(panels[0].get_legend_handles_labels()), strict=True))
        titles = [SEARCHERS[name].title for name in _cheapest_first(measured, measured.worlds[0])]
        figure.legend([lines[title] for title in titles], titles, loc="outside right center")
    return figure


def _styles(measured: Measured) -> dict[str, dict[str, Any]]:
    """How each is drawn in every panel: its kind by the line, the best learner by its width."""
    drawn: dict[str, int] = {}
    styles: dict[str, dict[str, Any]] = {}
    best = measured.best(measured.worlds[0], "learner")
    for name, searcher in SEARCHERS.items():
        kind = searcher.kind
        colour = "black" if kind == "reference" else COLOURS[drawn.get(kind, 0) % len(COLOURS)]
        drawn[kind] = drawn.get(kind, 0) + 1
        styles[name] = {"color": colour, "linestyle": _LINE_OF[kind], "label": searcher.title}
        if name == best:
            styles[name]["linewidth"] = 3.0
    return styles


def _panel(
    panel: "Axes", measured: Measured, world: str, styles: dict[str, dict[str, Any]]
) -> None:
    budget = measured.budgets[world]
    for name in measured.searchers(world):
        band = success_curve(measured.costs(world, name), budget)
        curve_with_band(
            panel,
            np.arange(1, budget + 1),
            band.mean[1:],
            band.low[1:],
            band.high[1:],
            **styles[name],
        )
    panel.set_xscale("log")
    panel.set_xlim(3, budget)
    panel.set_ylim(0, 1.02)
    panel.set_title(WORLDS[world].title)
    panel.set_xlabel("unique generations")
