"""ultralytics models from a JSON architecture and safetensors weights: no pickle, no network."""

import contextlib
import copy
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rldf_gym.model_files import ModelFiles
from rldf_gym.model_loading import suppress_all_logs
from rldf_gym.perception.protocols import PerceptionError

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"

_ULTRALYTICS_VARIABLES = (
    "YOLO_CONFIG_DIR",
    "YOLO_VERBOSE",
    "YOLO_OFFLINE",
    "OMP_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
)
"""What ultralytics reads from the environment on import, or leaves in it."""


def read_config(folder: ModelFiles, fields: dict[str, type]) -> dict[str, Any]:
    """The folder's config.json, with these fields of these types.

    Raises:
        PerceptionError: naming the file and the field.
    """
    path = folder.path / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PerceptionError(f"cannot read {path} ({error}); {folder.remedy}") from error
    for name, kind in fields.items():
        value = config.get(name) if isinstance(config, dict) else None
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted):
            raise PerceptionError(f"{path}: {name!r} is not a {kind.__name__}; {folder.remedy}")
    return dict(config)


def load_network(folder: ModelFiles, kind: str, device: "torch.device") -> Any:
    """An ultralytics network with the folder's weights, float32, fused, ready to look.

    Args:
        folder: with config.json (its "architecture") and model.safetensors.
        kind: name of a class in `ultralytics.nn.tasks`.
        device: where it runs.

    Raises:
        PerceptionError: when files are missing or damaged, or weights and architecture differ.
    """
    folder.check()
    architecture = read_config(folder, {"architecture": dict})["architecture"]
    with private_ultralytics(), suppress_all_logs():
        import torch
        from safetensors.torch import load_file
        from ultralytics.nn import tasks

        try:
            # ultralytics writes into the architecture that it is given.
            network = getattr(tasks, kind)(copy.deepcopy(architecture), verbose=False)
            network.load_state_dict(load_file(folder.path / WEIGHTS_FILE))
            network = network.float().eval().fuse(verbose=False)
            # What the kernels of convolutions want.
            return network.to(device, memory_format=torch.channels_last)
        except Exception as error:  # parsing an architecture fails in as many ways as it has words
            raise PerceptionError(
                f"{folder.path / WEIGHTS_FILE} does not fit the architecture in {CONFIG_FILE} "
                f"[{error}]; {folder.remedy}"
            ) from error


@contextlib.contextmanager
def private_ultralytics() -> Iterator[None]:
    """Import ultralytics without its side effects on the machine and on this process.

    On import it asks two name servers whether it is online, which also decides whether it sends
    usage events; writes a settings file into the user's home; sets OMP_NUM_THREADS to 1, which
    would slow torch down were torch not imported before it; changes how numpy prints; and replaces
    Pillow's ``Image.open`` by one that tries to install a package when a file is no picture. A
    settings folder that the user chose with YOLO_CONFIG_DIR is respected.
    """
    import torch
    from PIL import Image

    threads, open_picture = torch.get_num_threads(), Image.open
    before = {name: os.environ.get(name) for name in _ULTRALYTICS_VARIABLES}
    with tempfile.TemporaryDirectory(prefix="rldf-gym-") as folder, np.printoptions():
        os.environ.setdefault("YOLO_CONFIG_DIR", folder)
        os.environ.setdefault("YOLO_VERBOSE", "false")
        os.environ["YOLO_OFFLINE"] = "true"
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
            torch.set_num_threads(threads)
            Image.open = open_picture


def model_folder(path: Path) -> ModelFiles:
    """The folder of an ultralytics model of ours."""
    return ModelFiles(path, (CONFIG_FILE, WEIGHTS_FILE))
