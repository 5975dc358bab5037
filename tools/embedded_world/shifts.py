"""Fixed changes of pictures to measure perception under; training uses others (`augmentations`).

A shift maps an RGB picture to an RGB picture.
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

Shift = Callable[[Image.Image], Image.Image]
_NOISE_SEED, _NOISE = 20_260, 25.0


def _crop(image: Image.Image) -> Image.Image:
    """Cut a sixth off each side."""
    x, y = image.width // 6, image.height // 6
    return image.crop((x, y, image.width - x, image.height - y))


def _noise(image: Image.Image) -> Image.Image:
    grain = np.random.default_rng(_NOISE_SEED).normal(0, _NOISE, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))


def _jpeg(image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=10)
    return Image.open(data).convert("RGB")


def _line_drawing(image: Image.Image) -> Image.Image:
    edges = ImageOps.autocontrast(image.convert("L").filter(ImageFilter.FIND_EDGES))
    return ImageOps.invert(edges).convert("RGB")


SHIFTS: dict[str, Shift] = {
    "crop": _crop,
    "dark": lambda image: ImageEnhance.Brightness(image).enhance(1 / 3),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "noise": _noise,
    "posterise": lambda image: ImageOps.posterize(image, 2),
    "JPEG": _jpeg,
    "line drawing": _line_drawing,
}


def shifted(pictures: np.ndarray, shift: Shift) -> np.ndarray:
    """Apply a shift to uint8 [n, H, W, 3] pictures."""
    return np.stack([np.asarray(shift(Image.fromarray(picture))) for picture in pictures])
