"""Draws a described scene: background, people, things, light, weather, and a box for each figure.

Two ways of composing a picture: *loose* places figures anywhere in their band (the look of the
pictures that nobody shows the models beforehand), *tidy* sets them in rows with a little play, so
that each can be counted. The detector, classifiers and judge learn from both; the text-to-image
model learns to draw tidily.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from tools.embedded_world.atmosphere import apply_light, apply_weather, light_sky
from tools.embedded_world.backgrounds import SIDE, paint_background
from tools.embedded_world.cutouts import NOUNS, Cutouts

PERSON_CLASS = len(NOUNS)  # class index of people in boxes; nouns come first

# Longest side in pixels of a thing that is alone in the picture.
THING_SIDES = {
    "banana": 54,
    "orange": 44,
    "apple": 44,
    "ball": 44,
    "duck": 54,
    "dog": 58,
    "sheep": 60,
    "horse": 68,
    "elephant": 70,
    "car": 76,
}
MANY_THINGS_SCALE = 0.6
COLUMNS = (23, 64, 105)  # where the three figures of a tidy row stand
_TRIES = 14
_CYCLING_SCALE = 1.1


@dataclass(frozen=True)
class Description:
    """What one picture shows.

    Attributes:
        scene: one of `backgrounds.SCENES`.
        noun: the thing, or None when only people are shown.
        things: how many of it.
        people: how many people.
        action: what the people do; None lets each stand or walk.
        weather: one of `atmosphere.WEATHERS`.
        time_of_day: one of `atmosphere.TIMES_OF_DAY`.
        tidy: how figures are placed (module docstring).
    """

    scene: str
    noun: str | None
    things: int
    people: int
    action: str | None = None
    weather: str = "clear"
    time_of_day: str = "day"
    tidy: bool = False


@dataclass(frozen=True)
class _Figure:
    kind: int
    box: tuple[int, int, int, int]
    image: Image.Image


@dataclass(frozen=True)
class _Row:
    """A band in which figures of one kind stand."""

    kind: int
    names: tuple[str, ...]
    count: int
    side: float
    feet: tuple[int, int]
    overlap: float


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = ((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return width * height / max(1, min(areas))


class Renderer:
    """Renders descriptions with a set of cut-outs."""

    def __init__(self, cutouts: Cutouts) -> None:
        self._cutouts = cutouts

    def render(
        self, rng: np.random.Generator, description: Description
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one picture.

        Returns:
            uint8 [SIDE, SIDE, 3] and int16 [n, 5] rows of class, left, top, right, bottom (pixels).
        """
        image, horizon = paint_background(rng, description.scene)
        if description.scene != "kitchen" and description.weather != "foggy":
            light_sky(image, rng, description.time_of_day, horizon)
        figures = self._place(rng, description)
        for figure in sorted(figures, key=lambda figure: figure.box[3]):
            image.paste(figure.image, figure.box[:2], figure.image)
        pixels = apply_light(np.asarray(image, np.float32), rng, description.time_of_day)
        pixels = apply_weather(pixels, rng, description.weather, description.time_of_day)
        boxes = np.array([(f.kind, *f.box) for f in figures], np.int16).reshape(-1, 5)
        return np.clip(pixels, 0, 255).astype(np.uint8), boxes

    def _place(self, rng: np.random.Generator, d: Description) -> list[_Figure]:
        figures: list[_Figure] = []
        place = self._place_tidy_row if d.tidy else self._place_loose_row
        for row in _rows(d):
            figures += place(rng, row, figures)
        return figures

    def _cutout(self, rng: np.random.Generator, row: _Row, shrink: float) -> Image.Image:
        name = row.names[int(rng.integers(len(row.names)))]
        play = rng.uniform(0.95, 1.05) if shrink == 1 else rng.uniform(0.9, 1.1) * shrink
        side = max(20, round(row.side * play * (_CYCLING_SCALE if name == "cycling" else 1)))
        index = int(rng.integers(len(self._cutouts.images[name])))
        return self._cutouts.scaled(name, index, side, bool(rng.integers(2)))

    def _place_loose_row(
        self, rng: np.random.Generator, row: _Row, placed: list[_Figure]
    ) -> list[_Figure]:
        figures: list[_Figure] = []
        for _ in range(row.count):
            candidates: list[tuple[float, _Figure]] = []
            for attempt in range(_TRIES):
                image = self._cutout(rng, row, 0.999 if attempt < 8 else 0.92)
                left = int(rng.integers(0, max(1, SIDE - image.width + 1)))
                feet = int(rng.integers(row.feet[0], row.feet[1] + 1))
                box = (left, feet - image.height, left + image.width, feet)
                others = [_overlap(box, figure.box) for figure in placed + figures]
                worst = max(others, default=0.0)
                candidates.append((worst, _Figure(row.kind, box, image)))
                if worst <= row.overlap:
                    break
            figures.append(min(candidates, key=lambda candidate: candidate[0])[1])
        return figures

    def _place_tidy_row(
        self, rng: np.random.Generator, row: _Row, placed: list[_Figure]
    ) -> list[_Figure]:
        if row.count == 1:
            columns = [int(rng.choice(_free_columns(placed)))]
        else:
            columns = [COLUMNS[i % len(COLUMNS)] for i in range(row.count)]
        figures = []
        for column in columns:
            image = self._cutout(rng, row, 1)
            centre = column + int(rng.integers(-4, 5))
            left = int(np.clip(centre - image.width // 2, 0, max(0, SIDE - image.width)))
            feet = int(rng.integers(row.feet[1] - 5, row.feet[1] + 1))
            box = (left, feet - image.height, left + image.width, feet)
            figures.append(_Figure(row.kind, box, image))
        return figures


def _free_columns(placed: list[_Figure]) -> list[int]:
    """Columns in which a single figure hides nobody, when there are any."""
    free = [c for c in COLUMNS if all(not f.box[0] - 8 < c < f.box[2] + 8 for f in placed)]
    return free or list(COLUMNS)


def _rows(d: Description) -> list[_Row]:
    alone = d.noun is None
    rows = []
    if d.people:
        names = (d.action,) if d.action else ("standing", "walking")
        if alone:
            side, feet = (74.0, (96, 116)) if d.people == 1 else (54.0, (92, 114))
        elif d.tidy:
            side, feet = (60.0, (80, 88)) if d.people == 1 else (54.0, (80, 88))
        else:
            side, feet = (56.0, (80, 92)) if d.people == 1 else (50.0, (80, 92))
        rows.append(_Row(PERSON_CLASS, names, d.people, side, feet, 0.10))
    if d.noun is not None:
        single = d.things == 1
        side = THING_SIDES[d.noun] * (1 if single else MANY_THINGS_SCALE)
        feet = (108, 124) if single else (88, 126)
        rows.append(_Row(NOUNS.index(d.noun), (d.noun,), d.things, side, feet, 0.12))
    return rows
