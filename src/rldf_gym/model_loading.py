"""Shared model-loading functions: check files, open a device, suppress logs.

Nothing here imports torch until a device is opened, so that a fingerprint, and an environment
whose images are all in the store, need no heavy import.
"""

import contextlib
import functools
import hashlib
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rldf_gym.errors import ModelError
from rldf_gym.threads import check_not_forked, limit_torch_threads

if TYPE_CHECKING:
    import torch

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of the models that ship with the package."""

_DECIDING_SUFFIXES = frozenset({".bin", ".json", ".model", ".safetensors", ".txt"})
"""Files that decide what a model computes; cards and licences beside them do not."""

_DEVICE_NAME = re.compile(r"cpu|mps|cuda(:\d+)?")
KNOWN_DEVICES = "cpu, cuda, cuda:N, mps"


class ModelFiles(Protocol):
    """The files of one model, wherever they are: `ModelFolder`, or `rldf_gym.hub.HubFiles`."""

    @property
    def path(self) -> Path:
        """The folder that they are in."""
        ...

    @property
    def remedy(self) -> str:
        """How to restore missing or damaged files, as the end of a sentence."""
        ...

    def check(self) -> None:
        """Raise `ModelError` for missing and damaged files."""
        ...

    def content_hash(self) -> str:
        """Return the identity of the model, as sha256 hex."""
        ...


@dataclass(frozen=True)
class ModelFolder:
    """A folder with one model's configuration and safetensors weights.

    Attributes:
        path: the folder.
        required: file names, relative to the folder, without which the model cannot be loaded.
    """

    path: Path
    required: tuple[str, ...]

    @property
    def remedy(self) -> str:
        """How to restore missing or damaged files, as the end of a sentence."""
        if self.path.is_relative_to(EMBEDDED):
            return "reinstall the package: pip install --force-reinstall --no-deps rldf-gym"
        return "save the model into that folder again"

    def check(self) -> None:
        """Check that files are there and weights not truncated.

        Raises:
            ModelError: names the file, what is wrong with it and how to restore it.
        """
        for name in self.required:
            if not (self.path / name).is_file():
                raise ModelError(f"model file {self.path / name} is missing; {self.remedy}")
        for weights in sorted(self.path.rglob("*.safetensors")):
            problem = weights_problem(weights)
            if problem is not None:
                raise ModelError(f"weights file {weights} is damaged ({problem}); {self.remedy}")

    def content_hash(self) -> str:
        """Return the identity of the model: sha256 hex over all files that decide its outputs.

        Computed once per process for unchanged files.

        Raises:
            ModelError: files are missing or damaged.
        """
        self.check()
        files = sorted(
            file.relative_to(self.path).as_posix()
            for file in self.path.rglob("*")
            if file.suffix in _DECIDING_SUFFIXES and file.is_file()
        )
        stamps = tuple(_stamp(self.path / name) for name in files)
        return _hash_files(self.path, tuple(files), stamps)


def weights_problem(path: Path) -> str | None:
    """Return what is wrong with a safetensors file, without reading its tensors.

    A truncated or foreign file is found; a flipped bit inside a tensor is not.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return None
    except (SafetensorError, OSError) as error:
        return str(error)


def validate_device_name(device: str | None) -> None:
    """Check a device's name without importing torch.

    Raises:
        ModelError: no machine has such a device; lists the known names.
    """
    if device is not None and _DEVICE_NAME.fullmatch(device) is None:
        raise ModelError(f"unknown device {device!r}; known: {KNOWN_DEVICES}, or None for the best")


def open_device(device: str | None) -> "torch.device":
    """Return the torch device of that name; None picks CUDA where there is one, else the CPU.

    Raises:
        ModelError: this machine lacks the device.
    """
    check_not_forked()
    import torch

    limit_torch_threads()
    validate_device_name(device)
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    opened = torch.device(device)
    cards = torch.cuda.device_count() if opened.type == "cuda" else 0
    missing = {
        "cpu": False,
        "cuda": (opened.index or 0) >= cards,
        "mps": not torch.backends.mps.is_available(),
    }[opened.type]
    if missing:
        seen = f" (torch sees {cards} CUDA devices)" if opened.type == "cuda" else ""
        raise ModelError(
            f"device {device!r} is not available on this machine{seen}; use device='cpu'"
        )
    return opened


def state_without(instance: object, *loaded: str) -> dict[str, Any]:
    """Return an object's state for pickling, without models that can be loaded again.

    Args:
        instance: keeps what it loads in `functools.cached_property` attributes.
        *loaded: names of these attributes.
    """
    return {name: value for name, value in vars(instance).items() if name not in loaded}


@contextlib.contextmanager
def suppress_logs(*libraries: str) -> Iterator[None]:
    """Suppress warnings, and these libraries' log records below ERROR.

    Other loggers are not affected: a server logs requests while it generates.

    Args:
        *libraries: names of their topmost loggers.
    """
    loggers = [logging.getLogger(name) for name in libraries]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def suppress_all_logs() -> Iterator[None]:
    """Suppress all warnings, and the log records below ERROR of all loggers and threads.

    For the short time in which a library is imported and configures its own loggers.
    """
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@functools.cache
def _hash_files(folder: Path, names: tuple[str, ...], stamps: tuple[tuple[int, int], ...]) -> str:
    # The stamps only key the cache: a file that changed on disk is hashed anew.
    digest = hashlib.sha256()
    for name, (size, _) in zip(names, stamps, strict=True):
        digest.update(f"{name}\0{size}\0".encode())
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
