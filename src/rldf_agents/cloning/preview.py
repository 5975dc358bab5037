"""The first pictures of every class, before anything expensive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rldf_agents.cloning.clone import Clone
from rldf_agents.cloning.plan import PREVIEW, PlannedPicture
from rldf_agents.cloning.shards import encode_png
from rldf_gym.atomic_file import write_atomically
from rldf_gym.failed_images import FailedImage
from rldf_gym.generation import generate

N_PICTURES = 9
_CLASSES_ON_A_SHEET = 20
_TILE, _GAP, _TEXT = 128, 6, 22
_INK, _DOUBT, _PAPER = (30, 32, 38), (176, 96, 0), (255, 255, 255)

Picture = NDArray[np.uint8]


def make_preview(
    clone: Clone, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Path]:
    """Generate the first pictures of every class, and return the contact sheets.

    The pictures are the first of the plan, with the same prompts and seeds. A row of a sheet is a
    class: an example from the source, then the generated pictures.

    Args:
        clone: to preview.
        on_progress: receives the number of finished classes, and of all.
    """
    folder = clone.out / PREVIEW
    plan, n_classes = clone.plan, len(clone.plan.classes)
    sheets = []
    for first in range(0, n_classes, _CLASSES_ON_A_SHEET):
        chosen = range(first, min(first + _CLASSES_ON_A_SHEET, n_classes))
        rows = []
        for number in chosen:
            count = min(N_PICTURES, plan.layout.per_class)
            planned = plan.numbered([place * n_classes + number for place in range(count)])
            pictures = _generated(clone, planned)
            for place, picture in enumerate(pictures, 1):
                path = folder / plan.classes[number].folder / f"{place}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, encode_png(picture))
            match = clone.matches[number]
            title = (
                f"{match.name}: {', '.join(match.words)}   (read in {match.agreement:.0%} of"
                f" {match.n_examples} examples, verified in {match.verified:.0%})"
            )
            rows.append((title, match.verified, [clone.sources[number].examples[0], *pictures]))
            on_progress(number + 1, n_classes)
        sheets.append(folder / f"sheet-{first // _CLASSES_ON_A_SHEET:03d}.png")
        write_atomically(sheets[-1], encode_png(contact_sheet(rows)))
    return sheets


def _generated(clone: Clone, planned: Sequence[PlannedPicture]) -> list[Picture]:
    images = generate(
        clone.job.generator,
        [picture.prompt for picture in planned],
        [picture.seed for picture in planned],
    )
    return [
        image.placeholder() if isinstance(image, FailedImage) else np.asarray(image)
        for image in images
    ]


def contact_sheet(rows: Sequence[tuple[str, float, Sequence[Picture]]]) -> Picture:
    """Return rows of pictures below their titles, uint8 ``[height, width, 3]``.

    Args:
        rows: for each the title, the verified share (below one half, the title is amber), and the
            pictures; the first is set apart.
    """
    font = ImageFont.load_default(14)
    height = _TEXT + _TILE + 2 * _GAP
    width = (N_PICTURES + 1) * (_TILE + _GAP) + 3 * _GAP
    sheet = Image.new("RGB", (width, len(rows) * height + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (title, verified, pictures) in enumerate(rows):
        top = _GAP + number * height
        ink = _INK if verified >= 0.5 else _DOUBT
        pen.text((_GAP, top), _fitting(title, font, width - 2 * _GAP), fill=ink, font=font)
        for place, picture in enumerate(pictures):
            tile = Image.fromarray(picture)
            tile.thumbnail((_TILE, _TILE))
            left = _GAP + place * (_TILE + _GAP) + (2 * _GAP if place else 0)
            sheet.paste(tile, (left, top + _TEXT))
    return np.asarray(sheet)


def _fitting(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    plain = " ".join(title.split())
    while font.getlength(plain) > width:
        plain = f"{plain[: int(len(plain) * 0.95) - 1]}…"
    return plain
