"""One look for the figures of all benchmarks: colours that the colour-blind distinguish, thin axes.

Matplotlib is imported when something is drawn: measuring does not need it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
"""Okabe and Ito's palette, most legible first, its yellow replaced by a brown."""

LINES = ("-", "--", "-.", ":")

_STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style within this context."""
    from matplotlib import style

    with style.context(_STYLE):
        yield


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of so many inches that keeps its parts from overlapping.

    Independent of pyplot and of any display.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def curve_with_band(
    axes: "Axes",
    x: npt.ArrayLike,
    middle: npt.ArrayLike,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
    **line: Any,
) -> None:
    """Draw a curve and its confidence band in the curve's colour, ``[n]`` each."""
    [drawn] = axes.plot(x, middle, **line)
    axes.fill_between(x, low, high, color=drawn.get_color(), alpha=0.18, linewidth=0)
