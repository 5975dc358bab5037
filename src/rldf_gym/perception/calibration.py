"""What was measured of a perception beside its weights: one small file in its folder.

The file holds a temperature for each model, the least similarity of a picture and its own prompt,
and a linear score for pictures from outside its world.
`python -m tools.embedded_world calibrate` writes it.
"""

import functools
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.perception.clip import OpenClip
from rldf_gym.perception.protocols import Output, Perception, PerceptionError

CALIBRATION_FILE = "calibration.safetensors"

_FACTS = "facts"  # key of the file's metadata


@dataclass(frozen=True, eq=False)
class Calibration:
    """The content of a calibration file.

    Attributes:
        clip: fingerprint of the CLIP model that was measured.
        layers: names of the layers of its image tower whose statistics are scored.
        weights: float32 `[d]`, of the statistics; see `OpenClip.layer_statistics`.
        bias: is added; a picture whose sum is above 0 is outside.
        least_similarity: see `Perception`.
        temperatures: see `Perception`.
    """

    clip: str
    layers: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: float
    least_similarity: float
    temperatures: dict[str, float]

    def save(self, path: Path) -> None:
        """Write the file."""
        from safetensors.numpy import save_file

        facts: dict[str, Any] = {k: v for k, v in vars(self).items() if k != "weights"}
        save_file({"weights": self.weights}, path, {_FACTS: json.dumps(facts)})

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Read the file.

        Raises:
            PerceptionError: it is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                facts = json.loads(file.metadata()[_FACTS])
                weights = file.get_tensor("weights")
            return cls(weights=weights, **{**facts, "layers": tuple(facts["layers"])})
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise PerceptionError(
                f"calibration file {path} is damaged ({error}); write it again with"
                " `python -m tools.embedded_world calibrate`, or delete it"
            ) from error


class LayerOutlierModel:
    """Scores pictures by the statistics of a CLIP model's layers; meets `OutlierModel`.

    A logistic regression between pictures of the world, as they are and changed, and synthetic
    outliers: outlier exposure (Hendrycks et al. 2019, arXiv:1812.04606) on the features of several
    layers (Lee et al. 2018, arXiv:1807.03888, Sec. 2.2).
    """

    def __init__(self, clip: OpenClip, calibration: Calibration) -> None:
        self._clip = clip
        self._calibration = calibration

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sha256 hex of the CLIP model and what was measured of it.

        Raises:
            PerceptionError: another CLIP model was measured.
        """
        known = self._calibration
        if known.clip != self._clip.fingerprint:
            raise PerceptionError(
                f"{CALIBRATION_FILE} was measured with other weights of CLIP (fingerprint"
                f" {known.clip[:12]}) than are beside it ({self._clip.fingerprint[:12]}); measure"
                " these with `python -m tools.embedded_world calibrate`"
            )
        facts = [known.clip, known.weights.tobytes().hex(), repr((known.bias, known.layers))]
        return hashlib.sha256(" ".join(facts).encode()).hexdigest()

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Score every picture; see `OutlierModel`."""
        known = self._calibration
        statistics = self._clip.layer_statistics(pictures, known.layers)
        scores = statistics @ known.weights + np.float32(known.bias)
        return [{"score": row} for row in scores[:, np.newaxis]]


def calibrated(perception: Perception, clip: OpenClip, path: Path) -> Perception:
    """Return the perception with what the file says of it; unchanged where there is no file.

    Raises:
        PerceptionError: the file is damaged.
    """
    if not path.is_file():
        return perception
    calibration = Calibration.load(path)
    return replace(
        perception,
        outlier_model=LayerOutlierModel(clip, calibration),
        least_similarity=calibration.least_similarity,
        temperatures=calibration.temperatures,
    )
