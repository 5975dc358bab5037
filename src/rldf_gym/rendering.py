"""Render for people: trajectory strips (paper, Fig. 12), animations, and states as text."""

import io
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rldf_gym.grammar import Grammar

if TYPE_CHECKING:
    from PIL import Image

Picture = NDArray[np.uint8]

_MARGIN = 14
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
    beside = _tile(target, target_caption, size)
    tiles = [
        _tile(picture, caption, size, outlined=number in highlighted)
        for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True))
    ]
    across, down = size + _MARGIN, _MARGIN + max(tile.height for tile in [beside, *tiles])
    left = across + 3 * _MARGIN
    n_columns, n_rows = min(columns, len(tiles)), math.ceil(len(tiles) / columns)
    width, height = left + across * n_columns, _MARGIN + down * n_rows
    strip = Image.new("RGB", (width, height), _PAPER)
    strip.paste(beside, (_MARGIN, _MARGIN))
    rule = left - 3 * _MARGIN // 2
    ImageDraw.Draw(strip).line([(rule, _MARGIN), (rule, height - _MARGIN)], _INK, 1)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        strip.paste(tile, (left + across * column, _MARGIN + down * row))
    return strip


def animated_webp(
    frames: "Sequence[Image.Image]", milliseconds: int = 700, quality: int = 90
) -> bytes:
    """Return frames as an endless WebP; lower ones are filled up with white below.

    Args:
        frames: Pillow images of one width, at least one.
        milliseconds: that a frame is shown.
        quality: of the encoder, 0 to 100.
    """
    from PIL import Image

    height = max(frame.height for frame in frames)
    filled = [Image.new("RGB", (frame.width, height), _PAPER) for frame in frames]
    for whole, frame in zip(filled, frames, strict=True):
        whole.paste(frame)
    content = io.BytesIO()
    options = {"duration": milliseconds, "loop": 0, "quality": quality}
    filled[0].save(content, "WEBP", save_all=True, append_images=filled[1:], **options)
    return content.getvalue()


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


def _tile(picture: Picture, caption: str, size: int, outlined: bool = False) -> "Image.Image":
    """Return a picture in the middle of a square, its caption below."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = picture.shape[:2]
    scale = size / max(height, width)
    shown = Image.fromarray(picture).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.LANCZOS
    )
    if outlined:
        box = (0, 0, shown.width - 1, shown.height - 1)
        ImageDraw.Draw(shown).rectangle(box, outline=_OUTLINE, width=max(3, size // 48))
    text_size = max(12, size // 13)
    font = ImageFont.load_default(size=text_size)
    text = textwrap.fill(caption, int(size / font.getlength("n")))
    at = (0, shown.height + text_size // 2)
    _, _, _, bottom = ImageDraw.Draw(shown).multiline_textbbox(at, text, font=font)
    tile = Image.new("RGB", (size, round(bottom)), _PAPER)
    tile.paste(shown, ((size - shown.width) // 2, 0))
    ImageDraw.Draw(tile).multiline_text(at, text, fill=_INK, font=font)
    return tile
