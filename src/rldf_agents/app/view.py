"""What the page shows of a search, as HTML and as components' values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from rldf_agents.app.live_search import FAILED, FOUND, MISSED, READING, SEARCHING, STOPPED, Progress
from rldf_agents.app.visitors import Place
from rldf_agents.applications.report import NOTHING, data_uri, render
from rldf_agents.applications.result import doubts_about
from rldf_agents.applications.trajectory import Frame

COMPARED = 512
"""Pixels across at which target and result are compared."""

_HEADLINES = {
    READING: "Reading your picture …",
    SEARCHING: "Searching …",
    FOUND: "Found: this picture reads the same",
    MISSED: "No picture reads the same",
    STOPPED: "Stopped",
    FAILED: "The search failed",
}
_CURVE = (600, 120)
_MOST_POINTS = 300


class Axis(TypedDict):
    """What a slider needs.

    Attributes:
        name: of the axis, for people.
        values: its words in the grammar's order.
        label: the number of the current one.
    """

    name: str
    values: list[str]
    label: int


def message(text: str) -> str:
    """Return the panel that says what is wrong."""
    return f'<div class="live"><p class="doubt" role="status">{escape(text)}</p></div>'


def live(progress: Progress) -> str:
    """Return the panel that shows a search."""
    goal = progress.goal
    return render(
        "live.html.jinja",
        progress=progress,
        headline=_HEADLINES[progress.phase],
        doubts=doubts_about(goal) if goal is not None else (),
        now=_tile(progress.now),
        best=_tile(progress.best),
        curve=_points(progress.rewards),
        size=_CURVE,
    )


def prompt(place: Place) -> str:
    """Return the sentence of a place."""
    return f'<p class="prompt" aria-live="polite">{escape(place.prompt)}</p>'


def axes(place: Place) -> list[Axis]:
    """Return the sliders of a place; an axis with one value has one as well."""
    return [
        Axis(
            name=axis.name.replace("_", " "),
            values=[value or NOTHING for value in axis.values],
            label=label,
        )
        for axis, label in zip(place.grammar.axes, place.state, strict=True)
    ]


def compared(picture: NDArray[np.uint8], shape: Sequence[int] | None = None) -> Image.Image:
    """Return a picture at the size for comparing, padded where its shape is another.

    Args:
        picture: uint8 ``[H, W, 3]``.
        shape: height and width of the picture to compare with; None for the picture's own.
    """
    height, width = picture.shape[:2] if shape is None else shape[:2]
    scale = COMPARED / max(height, width)
    size = (round(width * scale), round(height * scale))
    # Bicubic keeps the edges of small pictures; padding keeps all of a target of another shape.
    return ImageOps.pad(Image.fromarray(picture), size, Image.Resampling.BICUBIC, "#808080")


def _tile(frame: Frame | None) -> dict[str, Any] | None:
    if frame is None:
        return None
    return {"uri": _uri(frame), "prompt": frame.prompt, "visit": frame.visit}


@lru_cache(maxsize=64)
def _uri(frame: Frame) -> str:
    return data_uri(frame.picture)


def _points(rewards: Sequence[float]) -> str:
    """Return the points of the curve of rewards, the mean of several steps where they are many."""
    if len(rewards) < 2:
        return ""
    parts = np.array_split(np.array(rewards), min(len(rewards), _MOST_POINTS))
    values = np.array([part.mean() for part in parts])
    low, high = values.min(), values.max()
    width, height = _CURVE
    x = np.linspace(4, width - 4, len(values))
    y = height - 6 - (values - low) / ((high - low) or 1.0) * (height - 12)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
