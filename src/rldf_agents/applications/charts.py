"""Charts for reports as SVG elements in the colours of the page around them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rldf_agents.applications.history import StepLog

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rldf_agents.applications.ablate import Level

# Colours that occur nowhere else in the chart stand for the page's own (light or dark).
_COLOURS = {
    "#101112": "var(--ink)",
    "#818283": "var(--muted)",
    "#d1d2d3": "var(--line)",
    "#2155c1": "var(--accent)",
    "#168747": "var(--good)",
}
_INK, _MUTED, _LINE, _ACCENT, _GOOD = _COLOURS
_FEW_STEPS = 10
"""The least number of steps on the axis."""

_SPARSE_STEPS = 200
"""Up to here single steps are far enough apart for larger dots."""

_MANY_STEPS = 5000
"""From here on curves are pixels: the page stays small."""

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rldf",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
}


def progress_chart(steps: Sequence[StepLog]) -> str:
    """Return distance, reward and pictures over the steps of a run as an ``<svg>`` element.

    Args:
        steps: of the whole run, at least one.
    """
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with style.context(_STYLE):
        figure = Figure(figsize=(9.0, 6.4), layout="constrained")
        FigureCanvasSVG(figure)
        distance, reward, pictures = figure.subplots(3, 1, sharex=True)
        numbers = np.arange(1, len(steps) + 1)
        _draw_distance(distance, numbers, steps)
        _draw_reward(reward, numbers, steps)
        _draw_pictures(pictures, numbers, steps)
        pictures.set_xlabel("step")
        pictures.set_xlim(0, max(len(steps), _FEW_STEPS) + 0.5)
        pictures.xaxis.set_major_locator(MaxNLocator(integer=True))
        return _svg(figure)


def comparison_chart(runs: Mapping[str, Sequence[StepLog]]) -> str:
    """Return the least distance so far over the images seen, one curve a run, as an ``<svg>``.

    Args:
        runs: steps by the name of the learner, at least one step each.
    """
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with style.context(_STYLE):
        figure = Figure(figsize=(9.0, 3.0), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        axes.set_title("Least distance to the goal state so far")
        axes.set_xlabel("different pictures seen")
        for (name, steps), colour in zip(runs.items(), (_ACCENT, _MUTED), strict=False):
            least = np.minimum.accumulate([step.distance for step in steps])
            seen = [step.states_seen for step in steps]
            axes.step(seen, least, where="post", color=colour, label=name, marker=".")
        axes.set_ylim(bottom=-0.3)
        axes.legend(loc="upper right")
        return _svg(figure)


def score_chart(
    groups: Mapping[str, Sequence[float]], levels: Mapping[str, Level | None], concept: str
) -> str:
    """Return scores as dots, one row a group, as an ``<svg>`` element.

    Args:
        groups: scores 0 to 1 by the name of the group, from the top.
        levels: of some groups: the mean with its interval is drawn beside the dots. The spread of
            the last group is a band.
        concept: what the scores are probabilities of.
    """
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with style.context(_STYLE):
        figure = Figure(figsize=(9.0, 2.6), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        for row, (name, scores) in enumerate(groups.items()):
            jitter = row + np.linspace(0.08, 0.32, len(scores)) if len(scores) > 1 else [row]
            axes.plot(scores, jitter, "o", color=_ACCENT, markersize=5, alpha=0.65, clip_on=False)
            level = levels.get(name)
            if level is not None:
                low, high = level.interval or (level.mean, level.mean)
                axes.plot([low, high], [row - 0.12] * 2, color=_INK, linewidth=2.2)
                axes.plot([level.mean], [row - 0.12], "D", color=_INK, markersize=6, clip_on=False)
        last = levels.get(list(groups)[-1])
        if last is not None:
            axes.axvspan(*last.spread, color=_LINE, alpha=0.8, zorder=0)
        axes.set_yticks(range(len(groups)), list(groups))
        axes.tick_params(axis="y", length=0, labelcolor=_INK)
        axes.set_ylim(len(groups) - 0.45, -0.45)
        axes.set_xlim(-0.01, 1.01)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(
            f"probability of \N{LEFT DOUBLE QUOTATION MARK}{concept}\N{RIGHT DOUBLE QUOTATION MARK}"
        )
        return _svg(figure)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    drawing = out.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for colour, variable in _COLOURS.items():
        drawing = drawing.replace(colour, variable)
    return drawing


def _draw_distance(axes: Axes, numbers: Any, steps: Sequence[StepLog]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title("Distance to the goal state")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=-0.6, top=max(3, *(step.distance for step in steps)) + 0.8)
    distances = np.array([float(step.distance) for step in steps])
    # A gap at every start of an episode: the agent did not walk there.
    starts = [i for i in range(1, len(steps)) if steps[i].episode != steps[i - 1].episode]
    axes.plot(
        np.insert(numbers.astype(float), starts, np.nan),
        np.insert(distances, starts, np.nan),
        color=_ACCENT,
        linewidth=1.1,
        marker="." if len(steps) <= _FEW_STEPS else "",
        rasterized=len(steps) > _MANY_STEPS,
    )
    reached = numbers[[step.at_goal for step in steps]]
    if len(reached):
        axes.plot(
            reached, np.zeros(len(reached)), "o", color=_GOOD, markersize=6, label="goal state"
        )
        axes.legend(loc="upper right")


def _draw_reward(axes: Axes, numbers: Any, steps: Sequence[StepLog]) -> None:
    window = max(1, len(steps) // 20)
    rewards = np.array([step.reward for step in steps])
    many = len(steps) > _MANY_STEPS
    size = 6.0 if len(steps) <= _SPARSE_STEPS else 2.5
    axes.plot(numbers, rewards, ".", color=_MUTED, markersize=size, rasterized=many)
    if window > 1:
        sums = np.cumsum(np.insert(rewards, 0, 0.0))
        means = (sums[window:] - sums[:-window]) / window
        axes.plot(numbers[window - 1 :], means, color=_ACCENT, linewidth=1.4, rasterized=many)
        axes.set_title(f"Reward of each step, and its mean over the last {window}")
    else:
        axes.set_title("Reward of each step")


def _draw_pictures(axes: Axes, numbers: Any, steps: Sequence[StepLog]) -> None:
    axes.set_title("Pictures")
    many = len(steps) > _MANY_STEPS
    seen = [step.states_seen for step in steps]
    generated = [step.generations for step in steps]
    curves = (
        (seen, _MUTED, "-", "different ones seen"),
        (generated, _ACCENT, "--", "generated in this search (the others were in the store)"),
    )
    for counts, colour, line, label in curves:
        axes.plot(
            *(numbers, counts, line), color=colour, linewidth=1.4, label=label, rasterized=many
        )
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right")
