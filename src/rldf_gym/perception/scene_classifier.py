"""Where a picture was taken: an ultralytics classifier with shipped weights."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.model_loading import open_device, state_without, validate_device_name
from rldf_gym.perception.pixels import centre_square, check_pictures, to_tensor
from rldf_gym.perception.protocols import Output
from rldf_gym.perception.weights import load_network, model_folder, read_config
from rldf_gym.threads import check_not_forked

if TYPE_CHECKING:
    import torch

_BATCH = 32


class UltralyticsSceneClassifier:
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
        validate_device_name(device)
        self._folder = model_folder(path)
        self._device = device
        config = read_config(self._folder, {"class_names": list, "image_size": int})
        self.class_names: tuple[str, ...] = tuple(config["class_names"])
        self._image_size = int(config["image_size"])

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the loaded model: a copy loads its own."""
        return state_without(self, "_network")

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sha256 hex of weights and configuration."""
        return self._folder.content_hash()

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Scene probabilities of every picture; see `SceneModel`."""
        check_not_forked()
        check_pictures(pictures)
        outputs: list[Output] = []
        for start in range(0, len(pictures), _BATCH):
            probabilities = self._classify(pictures[start : start + _BATCH])
            outputs += [{"probabilities": row} for row in probabilities]
        return outputs

    def _classify(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        network, device = self._network
        with torch.inference_mode():
            square = centre_square(to_tensor(pictures, device), self._image_size)
            # Outside training the head gives (probabilities, logits).
            probabilities: NDArray[np.float32] = network(square)[0].cpu().numpy()
        return probabilities

    @functools.cached_property
    def _network(self) -> "tuple[Any, torch.device]":
        device = open_device(self._device)
        return load_network(self._folder, "ClassificationModel", device), device
