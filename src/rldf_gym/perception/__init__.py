"""Pixels to meaning.

Three models look at a picture: a detector (objects and people), a scene classifier and CLIP. What
they saw is stored; `LabelDecoder` turns it into a grammar's terms. Making a perception is cheap:
weights are loaded at the first look. Only the detector of "photos", whose classes have to be known,
is fetched at once where it is not on this machine (6 MB).
"""

from pathlib import Path

from rldf_gym.perception.clip import OpenClip
from rldf_gym.perception.detector import UltralyticsDetector
from rldf_gym.perception.known_classes import with_known_roles
from rldf_gym.perception.label_decoder import LabelDecoder
from rldf_gym.perception.presets import PERCEPTIONS, fetch_perception, perception_in
from rldf_gym.perception.protocols import (
    DetectionModel,
    OutlierModel,
    Output,
    Perception,
    PerceptionError,
    PerceptionSpec,
    PictureModel,
    Reading,
    Readings,
    SceneModel,
    TextEmbedder,
    TextPictureModel,
)
from rldf_gym.perception.scene_classifier import UltralyticsSceneClassifier
from rldf_gym.perception.zero_shot import clip_reading, fill_unread, zero_shot
from rldf_gym.registry import is_object_name, make_named, unknown_name

__all__ = [
    "PERCEPTIONS",
    "DetectionModel",
    "LabelDecoder",
    "OpenClip",
    "OutlierModel",
    "Output",
    "Perception",
    "PerceptionError",
    "PerceptionSpec",
    "PictureModel",
    "Reading",
    "Readings",
    "SceneModel",
    "TextEmbedder",
    "TextPictureModel",
    "UltralyticsDetector",
    "UltralyticsSceneClassifier",
    "clip_reading",
    "fetch_perception",
    "fill_unread",
    "make_perception",
    "with_known_roles",
    "zero_shot",
]


def make_perception(
    spec: str | Path | Perception = "embedded", device: str | None = None
) -> Perception:
    """Perception by name, from a folder, or the perception itself.

    Args:
        spec: a name in `PERCEPTIONS`; the path of a folder with the subfolder clip and, where
            there are such models, detector, scene_classifier and the file
            calibration.safetensors; `package.module:object` for a
            `Perception`, or a function that makes one without arguments; or a ready perception.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Raises:
        PerceptionError: for an unknown name or device, listing the known ones, and for missing or
            damaged configurations.
    """
    if isinstance(spec, Perception):
        return spec
    if spec in PERCEPTIONS:
        return PERCEPTIONS[str(spec)](device)
    if isinstance(spec, Path) or Path(spec).is_dir():
        return perception_in(Path(spec), device)
    if is_object_name(spec):
        ready: Perception = make_named(
            "perception", spec, lambda found: isinstance(found, Perception), "a Perception"
        )
        return ready
    raise PerceptionError(unknown_name("perception", spec, PERCEPTIONS, "a folder of models"))
