"""ultralytics' published detectors as ours: no code of theirs runs, nothing stays pickled.

Ultralytics publishes its weights only as pickles of whole modules. Unpickling runs whatever code
a file names, so such a file is read by torch's restricted unpickler, which may build modules of
torch and of ultralytics' networks and nothing else; then it is written as a JSON architecture and
safetensors, and read from then on.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rldf_gym.atomic_file import replacing, write_atomically
from rldf_gym.model_files import HubModel
from rldf_gym.perception.protocols import PerceptionError
from rldf_gym.perception.weights import CONFIG_FILE, WEIGHTS_FILE, private_ultralytics

_MODULES = ("torch.nn.modules.", "ultralytics.nn.modules.", "ultralytics.nn.tasks.")
"""Where the classes may come from that a checkpoint is made of."""


@dataclass(frozen=True)
class PublishedDetector:
    """A detector as its makers publish it.

    Attributes:
        source: the repository.
        file: name of the checkpoint in it.
        sha256: of the checkpoint.
    """

    source: HubModel
    file: str
    sha256: str

    def folder(self) -> Path:
        """Folder with the detector in our format; fetched and converted if it is not there yet.

        Raises:
            PerceptionError: when it is not here and cannot be had, or is not what was published.
        """
        import platformdirs

        name = f"{Path(self.file).stem}-{self.sha256[:16]}"
        folder = platformdirs.user_cache_path("rldf-gym") / "detectors" / name
        if not (folder / CONFIG_FILE).is_file():
            checkpoint = self.source.files((self.file,)) / self.file
            digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
            if digest != self.sha256:
                raise PerceptionError(
                    f"{checkpoint} is not the file that was published (sha256 {digest}, not"
                    f" {self.sha256}); delete it and download it again with:"
                    f" {self.source.download_command}"
                )
            convert_detector(checkpoint, folder)
        return folder


def convert_detector(
    checkpoint: Path,
    folder: Path,
    image_size: int = 640,
    confidence: float = 0.25,
    iou: float = 0.7,
) -> Path:
    """Write an ultralytics detector's checkpoint as config.json and model.safetensors.

    Args:
        checkpoint: a ".pt" file of ultralytics. It may come from anywhere: whatever is more than
            modules and tensors is rejected, not run.
        folder: is made.
        image_size: pixels that pictures are scaled to, as in the training.
        confidence: least confidence of a detection; ultralytics' own default.
        iou: overlap from which two boxes are one object; ultralytics' own default.

    Raises:
        PerceptionError: naming what the checkpoint is made of that is not allowed.
    """
    from safetensors.torch import save_file

    with private_ultralytics():
        network = _restricted_load(checkpoint)
        weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
        config = {
            "architecture": network.yaml,
            "class_names": [network.names[number] for number in sorted(network.names)],
            "image_size": image_size,
            "confidence": confidence,
            "iou": iou,
        }
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS_FILE) as file:
        save_file(weights, file)
    # A folder with a configuration is complete: that comes last.
    write_atomically(folder / CONFIG_FILE, json.dumps(config, indent=2).encode())
    return folder


def _restricted_load(checkpoint: Path) -> Any:
    import torch

    try:
        named = torch.serialization.get_unsafe_globals_in_checkpoint(checkpoint)
        with torch.serialization.safe_globals(_modules_named(named)):
            content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network = content.get("ema") or content["model"]
    except PerceptionError as error:
        raise PerceptionError(f"{checkpoint} is not loaded: {error}") from None
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        raise PerceptionError(f"{checkpoint} is no checkpoint of ultralytics [{error}]") from error
    if type(network).__name__ != "DetectionModel":
        raise PerceptionError(f"{checkpoint} holds a {type(network).__name__}, not a detector")
    return network


def _modules_named(names: Sequence[str]) -> list[Any]:
    """Stand-ins for the classes of these names, if all are modules of torch or of ultralytics.

    Returns:
        `(class, name)` each, as `torch.serialization.safe_globals` takes them.
    """
    import importlib

    import torch

    classes: list[Any] = []
    rejected: list[str] = []
    for name in names:
        module, _, attribute = name.rpartition(".")
        is_ours = name.startswith(_MODULES)
        found = getattr(importlib.import_module(module), attribute, None) if is_ours else None
        if isinstance(found, type) and issubclass(found, torch.nn.Module):
            classes.append((_unconstructible(found), name))
        else:
            rejected.append(name)
    if rejected:
        raise PerceptionError(
            f"it is made of more than networks ({', '.join(sorted(rejected))}), which could run any"
            " code"
        )
    return classes


def _unconstructible(kind: type) -> type:
    """A module class as unpickling needs it: filled with its state, never constructed.

    A checkpoint could name arguments too, and some of these constructors read any file or download
    one, whose own pickles nobody restricts.
    """

    def reject(*_: Any, **__: Any) -> None:
        raise PerceptionError(f"it constructs a {kind.__name__}, which could run any code")

    return type(kind.__name__, (kind,), {"__init__": reject})
