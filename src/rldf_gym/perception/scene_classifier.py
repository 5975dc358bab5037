"""Where a picture was taken: an ultralytics classifier with shipped weights."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.model_loading import open_device
from rldf_gym.perception.picture_model import PictureModel
from rldf_gym.perception.pixels import centre_square, to_tensor
from rldf_gym.perception.protocols import Output
from rldf_gym.perception.weights import load_network, model_folder, read_config

if TYPE_CHECKING:
    import torch


class UltralyticsSceneClassifier(PictureModel):
    """Meets the `SceneModel` protocol; weights are loaded at the first look.

    Args:
        path: folder with config.json ("architecture", "class_names", "image_size") and
            model.safetensors.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Raises:
        ModelError: unknown device.
        PerceptionError: missing or damaged configuration.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        super().__init__(model_folder(path), device)
        config = read_config(self._folder, {"class_names": list, "image_size": int})
        self.class_names: tuple[str, ...] = tuple(config["class_names"])
        self._image_size = int(config["image_size"])

    def _outputs(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Return the scene probabilities of each picture; see `SceneModel`."""
        network, device = self._loaded
        square = centre_square(to_tensor(pictures, device), self._image_size)
        # Outside training the head gives (probabilities, logits).
        probabilities = network(square)[0].cpu().numpy()
        return [{"probabilities": row} for row in probabilities]

    @functools.cached_property
    def _loaded(self) -> "tuple[Any, torch.device]":
        device = open_device(self._device)
        return load_network(self._folder, "ClassificationModel", device), device
