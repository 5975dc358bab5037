"""One file for one learner: its large arrays as safetensors, everything else as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from gymnasium import spaces

from rldf_agents.errors import AgentError
from rldf_agents.learners.space_index import DiscreteSpace
from rldf_agents.schedules import SCHEDULES

_SUFFIX = ".safetensors"
_KEY = "rldf_agents"
_VERSION = 4
_JSON = "json"
"""Name of the tensor that holds the JSON, uint8 [n]: a header of safetensors is limited."""

_CLASSES: dict[str, Any] = {
    kind.__name__: kind for kind in (*SCHEDULES, spaces.Discrete, spaces.MultiDiscrete)
}


def write_learner(path: str | Path, learner: str, values: Mapping[str, Any]) -> Path:
    """Write the file and return its path, ``.safetensors`` added when missing.

    The bytes go to a temporary file beside it that then takes its name: after any failure there
    is either the old file or the new one.

    Args:
        path: of the file.
        learner: name of the learner.
        values: an array is a tensor of this name; of others, ``encode`` says what they may be.

    Raises:
        AgentError: if a value cannot be saved.
    """
    path = _with_suffix(path)
    tensors = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    others = {name: encode(value) for name, value in values.items() if name not in tensors}
    tensors[_JSON] = np.frombuffer(json.dumps(others).encode(), dtype=np.uint8)
    metadata = {_KEY: json.dumps({"version": _VERSION, "learner": learner})}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(safetensors.numpy.save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def read_learner(path: str | Path, learner: str) -> dict[str, Any]:
    """Return the values that ``write_learner`` wrote.

    Args:
        path: of the file, ``.safetensors`` added when missing.
        learner: name of the learner that it must hold.

    Raises:
        AgentError: if the file is missing, damaged, not a saved learner, or holds another learner.
    """
    path = _with_suffix(path)
    if not path.is_file():
        raise AgentError(f"there is no saved learner at {path}")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            tensors: dict[str, Any] = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise AgentError(f"{path} is damaged or is not a saved learner: {error}") from error
    if _KEY not in metadata:
        raise AgentError(f"{path} is not a saved learner: give a file that a learner's save wrote")
    header = json.loads(metadata[_KEY])
    if header["version"] != _VERSION:
        raise AgentError(f"{path} has format {header['version']}, this version reads {_VERSION}")
    if header["learner"] != learner:
        raise AgentError(f"{path} holds a {header['learner']} learner: load it as one")
    others = json.loads(tensors.pop(_JSON).tobytes())
    return {**tensors, **{name: decode(value) for name, value in others.items()}}


def encode(value: Any) -> Any:
    """Return a value as JSON that ``decode`` reads back, each kind but lists under a tag.

    Args:
        value: None, a bool, number or string, a space, a schedule of this package, an array, or a
            list, tuple or dict of these.

    Raises:
        AgentError: for anything else.
    """
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, SCHEDULES):
        fields = {name: encode(number) for name, number in asdict(value).items()}
        return {"object": type(value).__name__, **fields}
    if isinstance(value, DiscreteSpace):
        return _encoded_space(value)
    raise AgentError(
        f"{value!r} cannot be saved: use numbers, arrays, containers of them, and the schedules "
        "of rldf_agents.schedules"
    )


def decode(saved: Any) -> Any:
    """Return the value that ``encode`` wrote.

    Raises:
        AgentError: for a space or schedule that this version does not know.
    """
    if isinstance(saved, list):
        return [decode(item) for item in saved]
    if not isinstance(saved, dict):
        return saved
    (kind, content), *arguments = saved.items()
    if kind == "dict":
        return {decode(key): decode(item) for key, item in content}
    if kind == "array":
        return np.array(content, dtype=saved["dtype"])
    if kind == "object":
        if content not in _CLASSES:
            raise AgentError(f"{content} in a saved learner is unknown to this version")
        return _CLASSES[content](**dict(arguments))
    return tuple(decode(item) for item in content)


def _encoded_space(space: DiscreteSpace) -> dict[str, Any]:
    names = ("n", "start") if isinstance(space, spaces.Discrete) else ("nvec", "start")
    arguments = {name: np.asarray(getattr(space, name)).tolist() for name in names}
    # Only newer releases of Gymnasium take a dtype for Discrete; without one it is int64.
    dtype = {} if space.dtype == np.int64 else {"dtype": str(space.dtype)}
    return {"object": type(space).__name__, **arguments, **dtype}


def _with_suffix(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == _SUFFIX else path.with_name(path.name + _SUFFIX)
