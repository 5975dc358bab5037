"""Pictures of any size to the square tensors that models take."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rldf_gym.perception.protocols import PerceptionError

if TYPE_CHECKING:
    import torch

LETTERBOX_GREY = 114 / 255
"""What ultralytics pads with, in training and afterwards."""


@dataclass(frozen=True)
class Placement:
    """Where a picture lies inside its letterbox, in the letterbox's pixels."""

    left: int
    top: int
    width: int
    height: int


def check_pictures(pictures: NDArray[np.uint8]) -> None:
    """Reject what is not a batch of RGB images.

    Raises:
        PerceptionError: naming shape and dtype.
    """
    is_batch = pictures.ndim == 4 and pictures.shape[-1] == 3 and 0 not in pictures.shape[1:]
    if pictures.dtype != np.uint8 or not is_batch:
        raise PerceptionError(
            f"pictures are {pictures.dtype} {list(pictures.shape)}; give uint8 [n, H, W, 3], RGB"
        )


def to_tensor(pictures: NDArray[np.uint8], device: "torch.device") -> "torch.Tensor":
    """Pictures uint8 `[n, H, W, 3]` as float32 `[n, 3, H, W]` in 0..1."""
    import torch

    return torch.tensor(pictures, device=device).permute(0, 3, 1, 2).float().div_(255)


def letterbox(
    pictures: "torch.Tensor",
    size: int,
    fill: float = LETTERBOX_GREY,
    interpolation: str = "bilinear",
) -> "tuple[torch.Tensor, Placement]":
    """Shrink or grow `[n, 3, H, W]` to fit into a padded square `[n, 3, size, size]`."""
    import torch

    height, width = pictures.shape[-2:]
    longest = max(height, width)
    new_height = max(1, round(height * size / longest))
    new_width = max(1, round(width * size / longest))
    top, left = (size - new_height) // 2, (size - new_width) // 2
    square = torch.full((len(pictures), 3, size, size), fill, device=pictures.device)
    square[..., top : top + new_height, left : left + new_width] = _resize(
        pictures, new_height, new_width, interpolation
    )
    return square, Placement(left, top, new_width, new_height)


def centre_square(
    pictures: "torch.Tensor", size: int, interpolation: str = "bilinear"
) -> "torch.Tensor":
    """Middle square of `[n, 3, H, W]`, resized to `[n, 3, size, size]`."""
    height, width = pictures.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = pictures[..., top : top + side, left : left + side]
    return _resize(middle, size, size, interpolation)


def squash(pictures: "torch.Tensor", size: int, interpolation: str = "bilinear") -> "torch.Tensor":
    """All of `[n, 3, H, W]` in `[n, 3, size, size]`, its proportions lost."""
    return _resize(pictures, size, size, interpolation)


def _resize(
    pictures: "torch.Tensor", height: int, width: int, interpolation: str
) -> "torch.Tensor":
    import torch

    if tuple(pictures.shape[-2:]) == (height, width):
        return pictures
    resized: torch.Tensor = torch.nn.functional.interpolate(
        pictures, (height, width), mode=interpolation, antialias=True, align_corners=False
    )
    # Bicubic filters overshoot at edges; Pillow's, which models were trained with, is cut off.
    return resized.clamp_(0, 1) if interpolation == "bicubic" else resized
