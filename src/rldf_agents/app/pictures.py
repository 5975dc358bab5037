"""Read the pictures that visitors give, and write those that their browsers load."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rldf_agents.app import view
from rldf_agents.app.visitors import Visitor
from rldf_agents.errors import AgentError
from rldf_gym.goal import load_picture

_LARGEST = 2048
"""Larger targets are scaled down to this many pixels across: models see a few hundred."""


def uploaded_path(payload: Any) -> str | None:
    """Return where Gradio put an uploaded file, unopened."""
    return None if payload is None else payload.path


def read_upload(path: str | None) -> NDArray[np.uint8]:
    """Return an uploaded picture and delete its file.

    Raises:
        TargetError: it is no picture.
    """
    if path is None:
        raise AgentError("no picture was uploaded: drop one, or choose a file")
    try:
        picture = load_picture(Path(path))
    finally:
        Path(path).unlink(missing_ok=True)
    image = Image.fromarray(picture)
    image.thumbnail((_LARGEST, _LARGEST))
    return np.array(image)


def saved(visitor: Visitor, picture: NDArray[np.uint8], shape: Any = None) -> str:
    """Return the path of a file of a picture that the visitor's browser can load."""
    size = tuple((picture.shape if shape is None else shape)[:2])
    content = hashlib.sha256(repr((picture.shape, size)).encode())
    content.update(picture.tobytes())
    path = visitor.folder / f"{content.hexdigest()[:32]}.webp"
    if not path.exists():
        view.compared(picture, shape).save(path, "WEBP", quality=90, method=0)
    return str(path)
