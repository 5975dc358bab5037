"""Which objects are where: an ultralytics detector with shipped weights."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.model_loading import open_device
from rldf_gym.perception.picture_model import PictureModel
from rldf_gym.perception.pixels import Placement, letterbox, to_tensor
from rldf_gym.perception.protocols import Output
from rldf_gym.perception.weights import load_network, model_folder, read_config

if TYPE_CHECKING:
    import torch

_MAX_OBJECTS = 50
_NMS_SECONDS_PER_PICTURE = 60.0
"""ultralytics drops pictures when suppression takes long; a slow machine must see the same."""


class UltralyticsDetector(PictureModel):
    """Meets the `DetectionModel` protocol; weights are loaded at the first look.

    Args:
        path: folder with config.json ("architecture", "class_names", "image_size", "confidence",
            "iou") and model.safetensors.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Raises:
        ModelError: unknown device.
        PerceptionError: missing or damaged configuration.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        super().__init__(model_folder(path), device)
        config = read_config(
            self._folder,
            {"class_names": list, "image_size": int, "confidence": float, "iou": float},
        )
        self.class_names: tuple[str, ...] = tuple(config["class_names"])
        self.threshold = float(config["confidence"])
        self._image_size = int(config["image_size"])
        self._iou = float(config["iou"])

    def _outputs(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Return the objects in each picture, the most confident first; see `DetectionModel`."""
        network, device = self._loaded
        from ultralytics.utils.nms import non_max_suppression

        square, placement = letterbox(to_tensor(pictures, device), self._image_size)
        found = non_max_suppression(
            network(square),
            conf_thres=self.threshold,
            iou_thres=self._iou,
            max_det=_MAX_OBJECTS,
            nc=len(self.class_names),
            max_time_img=_NMS_SECONDS_PER_PICTURE,
            end2end=network.end2end,
        )
        return [_output(rows.cpu().numpy(), placement) for rows in found]

    @functools.cached_property
    def _loaded(self) -> "tuple[Any, torch.device]":
        device = open_device(self._device)
        return load_network(self._folder, "DetectionModel", device), device


def _output(rows: NDArray[np.float32], placement: Placement) -> Output:
    """Rows (x1, y1, x2, y2, confidence, class) in letterbox pixels, as stored."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    corner = np.array([placement.left, placement.top] * 2, np.float32)
    extent = np.array([placement.width, placement.height] * 2, np.float32)
    return {
        "classes": rows[:, 5].astype(np.int64),
        "confidences": rows[:, 4].astype(np.float32),
        "boxes": np.clip((rows[:, :4] - corner) / extent, 0, 1).astype(np.float32),
    }
