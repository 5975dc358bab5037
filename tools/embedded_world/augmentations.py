"""Random changes of pictures that leave their meaning: what perception has to hold up against.

Each appearance change maps float32 [n, 3, H, W] in 0..1 and a random generator to the same shape
and range. `warp` moves pixels and boxes together.
"""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur, rgb_to_grayscale

from tools.embedded_world.styles import Filter

_CROP = (0.58, 1.05)  # sides of the window that is cut out, as shares of the picture's
_STRETCH = 0.15
_TURN = np.radians(9)
_VISIBLE = 0.25  # share of a figure that has to stay visible for it to count


def _column(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)


def light(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Change brightness, from a quarter to half as much again, and contrast."""
    n = len(pictures)
    brightness = _column(np.exp(rng.uniform(np.log(0.25), np.log(1.5), n))).to(pictures.device)
    contrast = _column(rng.uniform(0.6, 1.4, n)).to(pictures.device)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    return ((mean + (pictures - mean) * contrast) * brightness).clamp(0, 1)


def saturation(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Make colours weaker or stronger."""
    grey = rgb_to_grayscale(pictures)
    factor = _column(rng.uniform(0, 1.8, len(pictures))).to(pictures.device)
    return (grey + (pictures - grey) * factor).clamp(0, 1)


def greyscale(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Take all colour away."""
    return rgb_to_grayscale(pictures, num_output_channels=3)


def blur(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur with a deviation of up to three pixels."""
    return gaussian_blur(pictures, [15, 15], [float(rng.uniform(0.8, 3.0))])


def resize(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Shrink, and grow again."""
    side = int(pictures.shape[-1] * rng.uniform(0.25, 0.75))
    small = functional.interpolate(pictures, (side, side), mode="bilinear", antialias=True)
    return functional.interpolate(small, pictures.shape[-2:], mode="bilinear").clamp(0, 1)


def noise(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Add Gaussian noise."""
    deviation = _column(rng.uniform(0.03, 0.2, len(pictures))).to(pictures.device)
    grain = torch.from_numpy(rng.standard_normal(tuple(pictures.shape), np.float32))
    return (pictures + deviation * grain.to(pictures.device)).clamp(0, 1)


def posterise(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Keep two to six levels of each colour."""
    levels = int(rng.integers(2, 7))
    if rng.uniform() < 0.5:
        return (pictures * levels).floor().clamp(max=levels - 1) / levels
    return (pictures * (levels - 1)).round() / (levels - 1)


def jpeg(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Compress hard."""
    quality = int(rng.integers(6, 50))
    restored = []
    for pixels in (pictures * 255).byte().permute(0, 2, 3, 1).cpu().numpy():
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "JPEG", quality=quality)
        restored.append(np.asarray(Image.open(data)))
    x = torch.from_numpy(np.stack(restored)).permute(0, 3, 1, 2)
    return x.to(pictures.device).float() / 255


APPEARANCE: tuple[tuple[float, Filter], ...] = (  # share of the pictures, change
    (0.30, light),
    (0.15, saturation),
    (0.18, greyscale),
    (0.12, blur),
    (0.12, resize),
    (0.14, posterise),
    (0.20, noise),
    (0.12, jpeg),
)


def change_appearance(pictures: Tensor, chosen: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Apply a random few of `APPEARANCE` to the ``chosen`` (bool [n]) pictures."""
    pictures = pictures.clone()
    for share, change in APPEARANCE:
        rows = np.flatnonzero(chosen & (rng.uniform(size=len(pictures)) < share))
        if len(rows):
            pictures[rows] = change(pictures[rows], rng)
    return pictures


def warp(
    pictures: Tensor, boxes: np.ndarray, chosen: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """Crop, stretch and turn the ``chosen`` pictures where that leaves their counts as they are.

    Args:
        pictures: float32 [n, 3, H, W].
        boxes: float32 [n, m, 5] of class (-1: none) and left, top, right, bottom in 0..1.
        chosen: bool [n].
        rng: decides windows and angles.

    Returns:
        Pictures and boxes; boxes of figures that are hardly visible any more have class -1.
    """
    n = len(pictures)
    across = rng.uniform(*_CROP, n)
    sides = np.stack([across, across * np.exp(rng.uniform(-_STRETCH, _STRETCH, n))], 1)
    turn = rng.uniform(-_TURN, _TURN, n)
    rotation = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], 1)
    matrix = rotation.reshape(n, 2, 2) * sides[:, None, :]
    shift = rng.uniform(-1, 1, (n, 2)) * np.maximum(0, 1 - sides)
    moved = _moved_boxes(boxes, matrix, shift)
    rows = np.flatnonzero(chosen & _counts_stay(boxes, moved))
    if not len(rows):
        return pictures, boxes
    theta = torch.from_numpy(np.concatenate([matrix, shift[..., None]], 2)[rows]).float()
    grid = functional.affine_grid(theta, list(pictures[rows].shape), align_corners=False)
    pictures, boxes = pictures.clone(), boxes.copy()
    pictures[rows] = functional.grid_sample(
        pictures[rows], grid.to(pictures.device), padding_mode="border", align_corners=False
    )
    boxes[rows] = moved[rows]
    return pictures, boxes


def _moved_boxes(boxes: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return boxes in the window's coordinates, clipped; class -1 for what is hardly visible."""
    corners = boxes[..., [1, 2, 3, 2, 3, 4, 1, 4]].reshape(*boxes.shape[:2], 4, 2) * 2 - 1
    offset = corners - shift[:, None, None]
    moved = np.einsum("nij,nbcj->nbci", np.linalg.inv(matrix), offset) / 2 + 0.5
    whole = np.concatenate([moved.min(2), moved.max(2)], -1)
    clipped = whole.clip(0, 1)

    def area(box: np.ndarray) -> np.ndarray:
        return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])

    visible = area(clipped) >= _VISIBLE * area(whole)
    kinds = np.where(visible, boxes[..., 0], -1)
    return np.concatenate([kinds[..., None], clipped], -1).astype(np.float32)


def _counts_stay(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Bool [n]: every kind that was there once is there, and every kind that was many is many."""
    kinds = np.arange(before[..., 0].max() + 1)

    def counts(boxes: np.ndarray) -> np.ndarray:
        return (boxes[:, :, :1] == kinds).sum(1)

    return (counts(after) >= np.minimum(counts(before), 2)).all(1)
