"""What every model room needs before it loads anything: intact files, a device, silence.

Nothing here imports torch until a device is opened, so that fingerprints, and with them a world
whose pictures are all in the store, cost no heavy import.
"""

import contextlib
import functools
import hashlib
import json
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rldf_gym.errors import RLDFError
from rldf_gym.threads import limit_torch_threads

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
    def mend(self) -> str:
        """What brings lost or damaged files back, as the end of a sentence."""
        ...

    def check(self) -> None:
        """Refuse missing and damaged files."""
        ...

    def content_hash(self) -> str:
        """Identity of the model, as sha256 hex."""
        ...


@dataclass(frozen=True)
class ModelFolder:
    """A folder with one model's configuration and safetensors weights.

    Attributes:
        path: the folder.
        required: file names, relative to the folder, without which the model cannot be loaded.
        error: exception class that its room raises.
    """

    path: Path
    required: tuple[str, ...]
    error: type[RLDFError]

    @property
    def mend(self) -> str:
        """What brings lost or damaged files back, as the end of a sentence."""
        if self.path.is_relative_to(EMBEDDED):
            return "reinstall the package: pip install --force-reinstall --no-deps rldf-gym"
        return "save the model into that folder again"

    def check(self) -> None:
        """Refuse missing files and truncated weights.

        Raises:
            RLDFError: of class `error`, naming the file, what is wrong with it and the mend.
        """
        for name in self.required:
            if not (self.path / name).is_file():
                raise self.error(f"model file {self.path / name} is missing; {self.mend}")
        for weights in sorted(self.path.rglob("*.safetensors")):
            problem = weights_problem(weights)
            if problem is not None:
                raise self.error(f"weights file {weights} is damaged ({problem}); {self.mend}")

    def content_hash(self) -> str:
        """Identity of the model: sha256 hex over names and bytes of all files that decide it.

        Computed once per process for unchanged files.

        Raises:
            RLDFError: of class `error`, when files are missing or damaged.
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
    """Say what is wrong with a safetensors file, without reading its tensors.

    The header promises where every tensor ends, so a truncated or foreign file is found by
    comparing that promise with the size on disk; a flipped bit inside a tensor is not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(8), "little")
        if size < 8 or header_size > size - 8:
            return f"{size} bytes are too few for a safetensors header"
        try:
            header = json.loads(file.read(header_size))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key[0] != "_"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return "its header is not a safetensors header"
    expected = 8 + header_size + max(ends, default=0)
    return None if size == expected else f"{size} bytes where its header promises {expected}"


def check_device_name(device: str | None, error: type[RLDFError]) -> None:
    """Refuse, without importing torch, a device name that no machine has.

    Raises:
        RLDFError: of class `error`, listing the known names.
    """
    if device is not None and _DEVICE_NAME.fullmatch(device) is None:
        raise error(f"unknown device {device!r}; known: {KNOWN_DEVICES}, or None for the best")


def open_device(device: str | None, error: type[RLDFError]) -> "torch.device":
    """Torch device of that name; None picks CUDA where there is one, else the CPU.

    Raises:
        RLDFError: of class `error`, when this machine lacks the device.
    """
    import torch

    limit_torch_threads()
    check_device_name(device, error)
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
        raise error(f"device {device!r} is not available on this machine{seen}; use device='cpu'")
    return opened


def state_without(instance: object, *loaded: str) -> dict[str, Any]:
    """Return an object's state for pickling, without models that can be loaded again.

    Args:
        instance: keeps what it loads in `functools.cached_property` attributes.
        *loaded: names of these attributes.
    """
    return {name: value for name, value in vars(instance).items() if name not in loaded}


@contextlib.contextmanager
def silence_of(*libraries: str) -> Iterator[None]:
    """Keep these libraries' log lines below ERROR, and warnings, off the user's terminal.

    Everybody else goes on logging: a server does while it draws.

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
def silence() -> Iterator[None]:
    """Keep all warnings and log lines below ERROR off the user's terminal.

    Whoever logs them, in whichever thread: for the short time that a library is imported and
    loads, when it configures its loggers itself, or uses the root's.
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
