"""Open a device, suppress logs, and pickle without loaded models; only a device imports torch."""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rldf_gym.errors import ModelError
from rldf_gym.threads import check_not_forked, limit_torch_threads

if TYPE_CHECKING:
    import torch

_DEVICE_NAME = re.compile(r"cpu|mps|cuda(:\d+)?")
KNOWN_DEVICES = "cpu, cuda, cuda:N, mps"


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
