"""Render for people: trajectory strips (paper, Fig. 12) and states as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rldf_gym.grammar import Grammar

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Picture = NDArray[np.uint8]

_MARGIN = 14
_LINE = 1.3
_INK = (30, 32, 38)
_PAPER = (255, 255, 255)
_OUTLINE = (22, 135, 72)
_VALUES_EACH_SIDE = 4


def trajectory_strip(
    pictures: Sequence[Picture],
    captions: Sequence[str],
    target: Picture,
    target_caption: str = "target",
    highlighted: Sequence[int] = (),
    columns: int = 6,
    size: int = 192,
) -> "Image.Image":
    """Return a search as a sequence of pictures, with the target beside it (paper, Fig. 12).

    Args:
        pictures: each uint8 ``[H, W, 3]``, from the start to the end; at least one.
        captions: one for each picture, such as its prompt.
        target: uint8 ``[H, W, 3]``.
        target_caption: below the target.
        highlighted: which pictures to outline, such as the one that reached the goal.
        columns: pictures in a row, at least 1.
        size: pixels of a tile's side, at least 48.

    Returns:
        A Pillow image; ``numpy.asarray`` makes it uint8 ``[height, width, 3]``.

    Raises:
        ValueError: there is no picture, or not one caption for each.
    """
    from PIL import Image, ImageDraw

    if not pictures or len(pictures) != len(captions):
        raise ValueError(f"{len(pictures)} pictures and {len(captions)} captions; give one each")
    tile = _Tile(size)
    tiles = [
        tile.draw(picture, caption, outlined=number in highlighted)
        for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True))
    ]
    beside = tile.draw(target, target_caption)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [max(each.height for each in row) for row in rows]
    heights[0] = max(heights[0], beside.height)
    step = size + _MARGIN
    left = _MARGIN + step + 2 * _MARGIN
    strip = Image.new(
        "RGB",
        (left + step * len(rows[0]), sum(heights) + _MARGIN * (len(rows) + 1)),
        _PAPER,
    )
    strip.paste(beside, (_MARGIN, _MARGIN))
    rule = left - 2 * _MARGIN + _MARGIN // 2
    ImageDraw.Draw(strip).line([(rule, _MARGIN), (rule, strip.height - _MARGIN)], _INK, 1)
    top = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, each in enumerate(row):
            strip.paste(each, (left + step * column, top))
        top += height + _MARGIN
    return strip


def text_frame(
    grammar: Grammar, state: NDArray[np.int64], goal: NDArray[np.int64] | None = None
) -> str:
    """Return a state as text: its prompt, then every axis with the values around the current one.

    Args:
        grammar: whose state it is.
        state: int64 ``[n_axes]``; its values stand in brackets.
        goal: int64 ``[n_axes]``; its values are marked with a star. None marks nothing.
    """
    width = max(map(len, grammar.axis_names))
    lines = [grammar.decode(state)]
    for index, axis in enumerate(grammar.axes):
        here = int(state[index])
        first = max(0, here - _VALUES_EACH_SIDE)
        last = min(len(axis.values), here + _VALUES_EACH_SIDE + 1)
        words = []
        for value in range(first, last):
            word = axis.values[value] or "-"
            word = f"[{word}]" if value == here else word
            words.append(f"{word}*" if goal is not None and value == goal[index] else word)
        before, after = "… " * (first > 0), " …" * (last < len(axis.values))
        lines.append(f"{axis.name:<{width}}  {before}{' '.join(words)}{after}")
    return "\n".join(lines)


class _Tile:
    """A picture in a square, its caption below."""

    def __init__(self, size: int) -> None:
        from PIL import ImageFont

        self._size = size
        self._text_size = max(12, size // 13)
        self._font = ImageFont.load_default(size=self._text_size)

    def draw(self, picture: Picture, caption: str, outlined: bool = False) -> "Image.Image":
        from PIL import Image, ImageDraw

        height, width = picture.shape[:2]
        scale = self._size / max(height, width)
        shown = Image.fromarray(picture).resize(
            (max(1, round(width * scale)), max(1, round(height * scale))),
            Image.Resampling.LANCZOS,
        )
        pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
        lines = self._wrapped(caption, pen)
        line_height = round(self._text_size * _LINE)
        text_top = shown.height + self._text_size // 2
        tile = Image.new("RGB", (self._size, text_top + line_height * len(lines)), _PAPER)
        left = (self._size - shown.width) // 2
        tile.paste(shown, (left, 0))
        pen = ImageDraw.Draw(tile)
        if outlined:
            box = (left, 0, left + shown.width - 1, shown.height - 1)
            pen.rectangle(box, outline=_OUTLINE, width=max(3, self._size // 48))
        for number, line in enumerate(lines):
            pen.text((0, text_top + number * line_height), line, fill=_INK, font=self._font)
        return tile

    def _wrapped(self, text: str, pen: "ImageDraw.ImageDraw") -> list[str]:
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and pen.textlength(longer, font=self._font) <= self._size:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines
