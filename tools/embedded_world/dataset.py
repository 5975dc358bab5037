"""A labelled data set of renders, with shifted versions: what a clone is made and measured of.

It stands for a user's folder of class folders. The shifts stand for ImageNet's: line drawings for
ImageNet-Sketch, other colours for ImageNet-R, blur for ImageNet-A, small windows of a picture for
ImageNet-O.
"""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image
from tqdm import tqdm

from tools.embedded_world.corpus import sample_description
from tools.embedded_world.cutouts import NOUNS, Cutouts
from tools.embedded_world.renderer import Renderer
from tools.embedded_world.shifts import SHIFTS, Shift

REAL, SPLITS = "real", ("train", "val")
_GRAMMARS, _TIDY_SHARE = ("base", "extended"), 0.5
_HUES = (60, 120)  # of 255: the least and the greatest turn of the colour circle
_WINDOW = 0.45  # share of the side that a hard crop keeps


def _recoloured(image: Image.Image) -> Image.Image:
    """Turn all hues by an angle that depends on the picture."""
    pixels = np.array(image.convert("HSV"))
    pixels[..., 0] += np.uint8(_HUES[0] + int(pixels.sum()) % (_HUES[1] - _HUES[0]))
    return Image.fromarray(pixels, "HSV").convert("RGB")


def _hard_crop(image: Image.Image) -> Image.Image:
    """Enlarge a window whose place depends on the picture."""
    width, height = (round(side * _WINDOW) for side in image.size)
    number = int(np.asarray(image).sum())
    left = number % (image.width - width + 1)
    top = number // 101 % (image.height - height + 1)
    window = image.crop((left, top, left + width, top + height))
    return window.resize(image.size, Image.Resampling.BICUBIC)


DATASET_SHIFTS: Mapping[str, Shift] = MappingProxyType(
    {
        "sketch": SHIFTS["line drawing"],
        "recoloured": _recoloured,
        "blurred": SHIFTS["blur"],
        "cropped": _hard_crop,
    }
)


def write_dataset(
    cutouts: Cutouts, folder: Path, per_class: int, shifts: tuple[str, ...], seed: int, workers: int
) -> None:
    """Write ``folder/real/{train,val}/CLASS/NUMBER.png`` and ``folder/SHIFT/CLASS/NUMBER.png``.

    The shifted pictures are those of ``val``. The same seed gives the same pictures, whatever the
    number of workers.

    Args:
        cutouts: to render with.
        folder: for the data sets.
        per_class: pictures of each of the ten classes, in each split and each shift.
        shifts: names in `DATASET_SHIFTS`.
        seed: decides every picture.
        workers: processes.
    """
    jobs = [(split, noun) for split in SPLITS for noun in NOUNS]
    write = partial(_write_class, cutouts, folder, per_class, shifts, seed)
    with ProcessPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(write, jobs), total=len(jobs), desc="rendering", unit="class"):
            pass


def _write_class(
    cutouts: Cutouts,
    folder: Path,
    per_class: int,
    shifts: tuple[str, ...],
    seed: int,
    job: tuple[str, str],
) -> None:
    split, noun = job
    rng = np.random.default_rng([seed, SPLITS.index(split), NOUNS.index(noun)])
    renderer = Renderer(cutouts)
    outs: dict[Path, Shift] = {folder / REAL / split / noun: lambda image: image}
    if split == SPLITS[-1]:
        outs |= {folder / name / noun: DATASET_SHIFTS[name] for name in shifts}
    for out in outs:
        out.mkdir(parents=True, exist_ok=True)
    for number in range(per_class):
        grammar = _GRAMMARS[int(rng.integers(len(_GRAMMARS)))]
        description = sample_description(rng, grammar, bool(rng.uniform() < _TIDY_SHARE))
        pixels, _ = renderer.render(rng, replace(description, noun=noun))
        picture = Image.fromarray(pixels)
        for out, shift in outs.items():
            shift(picture).save(out / f"{number:04}.png")
