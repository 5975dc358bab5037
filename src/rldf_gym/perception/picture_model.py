"""What the models that look at pictures share: a folder, a device, a fingerprint, batches."""

import functools
import itertools
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rldf_gym.model_files import ModelFiles
from rldf_gym.model_loading import state_without, validate_device_name
from rldf_gym.perception.pixels import check_pictures
from rldf_gym.perception.protocols import Output
from rldf_gym.threads import check_not_forked, compute


class PictureModel(ABC):
    """A model that turns pictures into outputs; subclasses load it into ``_loaded`` when needed.

    Args:
        folder: configuration and weights.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Raises:
        ModelError: unknown device.
    """

    batch: ClassVar[int] = 32
    """Pictures evaluated at once."""
    share: ClassVar[int] = 8
    """Most pictures that a thread evaluates at once with a small network."""

    def __init__(self, folder: ModelFiles, device: str | None) -> None:
        validate_device_name(device)
        self._folder = folder
        self._device = device

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the loaded model: a copy loads its own."""
        return state_without(self, "_loaded")

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sha256 hex of weights and configuration."""
        return self._folder.content_hash()

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Return the output for each picture of uint8 ``[n, H, W, 3]``."""
        check_not_forked()
        check_pictures(pictures)
        if not len(pictures):
            return []

        def outputs(part: slice) -> list[Output]:
            return self._outputs(pictures[part])

        parts = compute(self._loaded[0], len(pictures), outputs, self.share, self.batch)
        return list(itertools.chain(*parts))

    @functools.cached_property
    @abstractmethod
    def _loaded(self) -> tuple[Any, ...]:
        """The network that computes the outputs, then what else was loaded."""

    @abstractmethod
    def _outputs(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Return the outputs of a part of a batch, without gradients, in any thread."""
