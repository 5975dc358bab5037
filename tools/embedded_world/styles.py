"""Styles as filters: how a rendered photo looks as a painting, a sketch or pixel art.

A filter maps float32 [n, 3, H, W] in 0..1 and a random generator to the same shape and range.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur, rgb_to_grayscale

Filter = Callable[[Tensor, np.random.Generator], Tensor]


def photo(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Return the pictures as they are."""
    return pictures


def painting(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Return flat strokes: Kuwahara's filter (Kuwahara et al. 1976), with stronger colours.

    Each pixel becomes the mean of the least varied of the four windows that it is a corner of.
    """
    reach = int(rng.integers(2, 5))
    padded = functional.pad(pictures, (reach,) * 4, mode="replicate")
    grey = rgb_to_grayscale(padded)
    means = functional.avg_pool2d(padded, reach + 1, 1)
    spread = functional.avg_pool2d(grey.square(), reach + 1, 1) - (
        functional.avg_pool2d(grey, reach + 1, 1).square()
    )
    height, width = pictures.shape[-2:]
    corners = [(y, x) for y in (0, reach) for x in (0, reach)]
    spreads = torch.stack([spread[..., y : y + height, x : x + width] for y, x in corners])
    windows = torch.stack([means[..., y : y + height, x : x + width] for y, x in corners])
    best = spreads.argmin(0, keepdim=True).expand(-1, -1, 3, -1, -1)
    strokes = windows.gather(0, best)[0]
    grey = rgb_to_grayscale(strokes)
    return (grey + (strokes - grey) * rng.uniform(1.15, 1.5)).clamp(0, 1)


def sketch(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Return a drawing by one of several methods, since line drawings differ a lot."""
    method = _SKETCHES[int(rng.integers(len(_SKETCHES)))]
    return method(pictures, rng).expand_as(pictures).clamp(0, 1)


def pixel_art(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Return blocks of four pixels in few colours."""
    colours = int(rng.integers(4, 8))
    small = functional.avg_pool2d(pictures, 4)
    small = (small * (colours - 1)).round() / (colours - 1)
    return functional.interpolate(small, size=pictures.shape[-2:], mode="nearest")


def _pencil(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Colour dodge: grey divided by its blurred self, which leaves strokes at edges."""
    grey = rgb_to_grayscale(pictures)
    around = gaussian_blur(grey, [15, 15], [float(rng.uniform(1.5, 5))])
    return (grey / (around + 0.02)).clamp(0, 1) ** float(rng.uniform(1.5, 5))


def _gradient(pictures: Tensor) -> Tensor:
    """Return the length of the steepest channel's gradient, [n, 1, H, W]."""
    padded = functional.pad(pictures, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return (across.square() + down.square()).sqrt().amax(1, keepdim=True)


def _outline(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Dark outlines on white, soft."""
    if rng.uniform() < 0.5:
        pictures = gaussian_blur(pictures, [5, 5], [float(rng.uniform(0.6, 1.4))])
    return 1 - _gradient(pictures) * float(rng.uniform(1.2, 4))


def _ink(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Outlines in two tones, dark on white or light on black."""
    pictures = gaussian_blur(pictures, [5, 5], [float(rng.uniform(0.5, 1.3))])
    lines = (_gradient(pictures) > float(rng.uniform(0.08, 0.3))).float()
    return lines if rng.uniform() < 0.3 else 1 - lines


def _contour(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """The Laplacian, in grey or by channel, added to white or taken from black."""
    if rng.uniform() < 0.5:
        pictures = rgb_to_grayscale(pictures)
    padded = functional.pad(pictures, (1, 1, 1, 1), mode="replicate")
    curvature = 9 * (pictures - functional.avg_pool2d(padded, 3, 1))
    if rng.uniform() < 0.6:
        return 1 + curvature.clamp(max=0)
    return curvature.clamp(min=0) if rng.uniform() < 0.5 else 1 - curvature.abs()


_SKETCHES: tuple[Filter, ...] = (_pencil, _outline, _ink, _contour)

STYLES: dict[str, Filter] = {
    "photo": photo,
    "painting": painting,
    "sketch": sketch,
    "pixel art": pixel_art,
}
STYLE_NAMES = tuple(STYLES)
