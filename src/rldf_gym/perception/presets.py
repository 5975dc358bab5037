"""Perceptions by name, as data."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from rldf_gym.model_files import EMBEDDED, HubModel, ModelFiles
from rldf_gym.perception.calibration import CALIBRATION_FILE, calibrated
from rldf_gym.perception.checkpoints import PublishedDetector
from rldf_gym.perception.clip import CLIP_FILES, OpenClip
from rldf_gym.perception.detector import UltralyticsDetector
from rldf_gym.perception.protocols import Perception
from rldf_gym.perception.scene_classifier import UltralyticsSceneClassifier

_DOWNLOAD_COMMAND = "rldf generators fetch sd14"


def _pinned(repository: str, commit: str) -> HubModel:
    return HubModel(repository, commit, _DOWNLOAD_COMMAND)


# OpenAI's ViT-L/14, in open_clip's format (paper, §3.1: CLIP rewards by open implementations).
_VIT_L_14 = ModelFiles(
    _pinned("timm/vit_large_patch14_clip_224.openai", "18d0535469bb561bf468d76c1d73aa35156c922b"),
    CLIP_FILES,
)
# COCO's 80 classes, people among them.
_YOLO11N = PublishedDetector(
    _pinned("Ultralytics/YOLO11", "8b8ac7d1fae7468f85dbf89670dd66f41f485aab"),
    "yolo11n.pt",
    "0ebbc80d4a7680d14987a577cd21342b65ecfd94632bd9a8da63ae6417644ee1",
)


def perception_in(folder: Path, device: str | None) -> Perception:
    """Make a perception of a folder's models and, where it has one, its calibration file."""
    detector, scenes = folder / "detector", folder / "scene_classifier"
    clip = OpenClip(folder / "clip", device)
    perception = Perception(
        clip=clip,
        detector=UltralyticsDetector(detector, device) if detector.is_dir() else None,
        scene_classifier=UltralyticsSceneClassifier(scenes, device) if scenes.is_dir() else None,
    )
    return calibrated(perception, clip, folder / CALIBRATION_FILE)


def _embedded(device: str | None) -> Perception:
    return perception_in(EMBEDDED, device)


def _photos(device: str | None) -> Perception:
    return Perception(
        clip=OpenClip(_VIT_L_14, device), detector=UltralyticsDetector(_YOLO11N.folder(), device)
    )


def _clip_only(device: str | None) -> Perception:
    return Perception(clip=OpenClip(_VIT_L_14, device))


PERCEPTIONS: Mapping[str, Callable[[str | None], Perception]] = MappingProxyType(
    {"embedded": _embedded, "photos": _photos, "clip": _clip_only}
)
"""By name, what makes a perception on a device.

- "embedded": the models that ship with the package; they know the embedded world and no other.
- "photos": YOLO11n (COCO's 80 classes) for objects and people where a grammar's nouns are among
  its classes, CLIP ViT-L/14 zero-shot for everything else, the scene included.
- "clip": CLIP ViT-L/14 zero-shot for everything.

The last two are not calibrated: they cannot say that a target is outside what they know.
"""


def fetch_perception(name: str) -> None:
    """Bring the models of a perception to this machine, with progress bars.

    Raises:
        PerceptionError: when they cannot be had.
    """
    if name != "embedded":
        _VIT_L_14.check()
    if name == "photos":
        _YOLO11N.folder()
