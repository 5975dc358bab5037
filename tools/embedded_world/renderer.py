"""Render a described scene: background, people, things, light, weather, and a box for each figure.

There are two compositions. *Loose* places figures of various sizes anywhere in their band, some
of them across the border; it stands for the pictures that users bring. *Tidy* sets figures in rows,
each in its place, so that it can be counted. The detector, the classifiers and the judge learn from
both, the text-to-image model from tidy pictures only.
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
# Centres of the figures of a tidy row. A single figure has one place for each composition: where it
# could stand at either side, a denoiser of few steps places one at each.
COLUMNS = (23, 64, 105)
_LEFT, _CENTRE, _RIGHT = (26,), (64,), (94,)
_BESIDE_A_PERSON = (72,)
_PERSON_SIDES = {  # (alone in the picture, one person): longest side in a tidy picture
    (True, True): 84.0,
    (True, False): 58.0,
    (False, True): 68.0,
    (False, False): 60.0,
}
_LOOSE_PERSON_SCALE = 0.88
_BEHIND, _IN_FRONT = (0.72, 0.52), (0.78, 0.56)  # scale of one thing and of many, in two rows
_SMALLEST = 20
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
        second_noun: another kind of thing, which stands in front of the first; None for none.
        second_things: how many of it.
        action: what the people do; None lets each stand or walk.
        weather: one of `atmosphere.WEATHERS`.
        time_of_day: one of `atmosphere.TIMES_OF_DAY`.
        tidy: how figures are placed (module docstring).
        size: scale of all figures.
        overhang: share of its width that a loose figure may lie outside the picture.
    """

    scene: str
    noun: str | None
    things: int
    people: int
    action: str | None = None
    weather: str = "clear"
    time_of_day: str = "day"
    tidy: bool = False
    second_noun: str | None = None
    second_things: int = 0
    size: float = 1.0
    overhang: float = 0.0


@dataclass(frozen=True)
class _Figure:
    """A cut-out in its place: ``corner`` may lie outside the picture, ``box`` does not."""

    kind: int
    corner: tuple[int, int]
    image: Image.Image

    @property
    def box(self) -> tuple[int, int, int, int]:
        left, top = self.corner
        right, bottom = left + self.image.width, top + self.image.height
        return max(left, 0), max(top, 0), min(right, SIDE), min(bottom, SIDE)


@dataclass(frozen=True)
class _Row:
    """A band in which figures of one kind stand."""

    kind: int
    names: tuple[str, ...]
    count: int
    side: float
    feet: tuple[int, int]
    overlap: float
    overhang: float
    columns: tuple[int, ...]


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
        self, rng: np.random.Generator, description: Description, left_out: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Render one picture.

        Args:
            rng: decides everything that the description leaves open.
            description: what the picture shows.
            left_out: number of a figure that is not drawn; everything else stays as it is.

        Returns:
            uint8 [SIDE, SIDE, 3] and int16 [n, 5] rows of class, left, top, right, bottom (pixels).
        """
        image, horizon = paint_background(rng, description.scene)
        if description.scene != "kitchen" and description.weather != "foggy":
            light_sky(image, rng, description.time_of_day, horizon)
        figures = self._place(rng, description)
        for number in sorted(range(len(figures)), key=lambda number: figures[number].box[3]):
            if number != left_out:
                image.paste(figures[number].image, figures[number].corner, figures[number].image)
        pixels = apply_light(np.asarray(image, np.float32), rng, description.time_of_day)
        pixels = apply_weather(pixels, rng, description.weather, description.time_of_day)
        boxes = np.array([(f.kind, *f.box) for f in figures], np.int16).reshape(-1, 5)
        return np.clip(pixels, 0, 255).astype(np.uint8), boxes

    def _place(self, rng: np.random.Generator, d: Description) -> list[_Figure]:
        figures: list[_Figure] = []
        for row in _rows(d):
            if d.tidy:
                figures += self._place_tidy_row(rng, row)
            else:
                figures += self._place_loose_row(rng, row, figures)
        return figures

    def _cutout(self, rng: np.random.Generator, row: _Row, shrink: float) -> Image.Image:
        name = row.names[int(rng.integers(len(row.names)))]
        play = rng.uniform(0.95, 1.05) if shrink == 1 else rng.uniform(0.9, 1.1) * shrink
        side = max(_SMALLEST, round(row.side * play * (_CYCLING_SCALE if name == "cycling" else 1)))
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
                outside = round(image.width * row.overhang)
                left = int(rng.integers(-outside, max(1, SIDE - image.width + 1 + outside)))
                feet = int(rng.integers(row.feet[0], row.feet[1] + 1))
                new = _Figure(row.kind, (left, feet - image.height), image)
                others = [_overlap(new.box, figure.box) for figure in placed + figures]
                worst = max(others, default=0.0)
                candidates.append((worst, new))
                if worst <= row.overlap:
                    break
            figures.append(min(candidates, key=lambda candidate: candidate[0])[1])
        return figures

    def _place_tidy_row(self, rng: np.random.Generator, row: _Row) -> list[_Figure]:
        figures = []
        for i in range(row.count):
            image = self._cutout(rng, row, 1)
            centre = row.columns[i % len(row.columns)] + int(rng.integers(-4, 5))
            left = int(np.clip(centre - image.width // 2, 0, max(0, SIDE - image.width)))
            feet = int(rng.integers(row.feet[1] - 5, row.feet[1] + 1))
            figures.append(_Figure(row.kind, (left, feet - image.height), image))
        return figures


def _rows(d: Description) -> list[_Row]:
    """Rows of figures from back to front."""
    rows = [_people_row(d)] if d.people else []
    if d.noun is not None and d.second_noun is not None:
        two = d.things == d.second_things == 1
        behind, in_front = (_LEFT, _RIGHT) if two else (_CENTRE, _CENTRE)
        rows.append(_thing_row(d, d.noun, d.things, _BEHIND, (72, 84), behind))
        rows.append(_thing_row(d, d.second_noun, d.second_things, _IN_FRONT, (110, 125), in_front))
    elif d.noun is not None:
        feet = (108, 124) if d.things == 1 else (88, 126)
        place = _BESIDE_A_PERSON if d.people == 1 else _CENTRE
        rows.append(_thing_row(d, d.noun, d.things, (1.0, MANY_THINGS_SCALE), feet, place))
    return rows


def _people_row(d: Description) -> _Row:
    alone, single = d.noun is None, d.people == 1
    side = _PERSON_SIDES[alone, single] * d.size * (1 if d.tidy else _LOOSE_PERSON_SCALE)
    feet = (80, 88 if d.tidy else 92)
    if alone:
        feet = (96, 118) if single else (92, 114)
    names = (d.action,) if d.action else ("standing", "walking")
    columns = COLUMNS
    if single:
        columns = _LEFT if d.things == 1 else _CENTRE
    return _Row(PERSON_CLASS, names, d.people, side, feet, 0.10, d.overhang, columns)


def _thing_row(
    d: Description,
    noun: str,
    count: int,
    scales: tuple[float, float],
    feet: tuple[int, int],
    place: tuple[int, ...],
) -> _Row:
    side = THING_SIDES[noun] * scales[count > 1] * d.size
    columns = COLUMNS if count > 1 else place
    return _Row(NOUNS.index(noun), (noun,), count, side, feet, 0.12, d.overhang, columns)
