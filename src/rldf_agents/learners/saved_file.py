"""One file for one learner: arrays as safetensors, everything else as JSON in its header."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from rldf_agents.autoreset_adapter import single_spaces
from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import Tensors
from rldf_agents.learners.space_index import DiscreteSpace, space_from_json, space_to_json
from rldf_agents.protocols import Environment
from rldf_agents.schedules import schedule_from_json, schedule_to_json

_SUFFIX = ".safetensors"
_KEY = "rldf_agents"
_VERSION = 3


@dataclass(frozen=True)
class SavedLearner:
    """The content of one file."""

    learner: str
    """Its name."""
    spaces: tuple[DiscreteSpace, DiscreteSpace]
    """Of observations and actions; with ``settings``, the arguments of the constructor."""
    settings: dict[str, Any]
    state: dict[str, Any]
    """Everything else: progress, random state, plans."""
    tensors: Tensors


def write_learner(path: str | Path, saved: SavedLearner) -> Path:
    """Write the file and return its path, ``.safetensors`` added when missing.

    The bytes go to a temporary file beside it that then takes its name: after any failure there
    is either the old file or the new one.

    Raises:
        AgentError: if a schedule among the settings is not of this package.
    """
    path = _with_suffix(path)
    settings = {
        name: schedule_to_json(value) if callable(value) else value
        for name, value in saved.settings.items()
    }
    header = {
        "version": _VERSION,
        "learner": saved.learner,
        "observation_space": space_to_json(saved.spaces[0]),
        "action_space": space_to_json(saved.spaces[1]),
        "state": {"settings": settings, **saved.state},
    }
    metadata = {_KEY: json.dumps(header, default=_plain_number)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(safetensors.numpy.save(saved.tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def read_learner(path: str | Path, learner: str, env: Environment | None) -> SavedLearner:
    """Read a file that ``write_learner`` wrote.

    Args:
        path: of the file, ``.safetensors`` added when missing.
        learner: name of the learner that it must hold.
        env: if given, its spaces must be those of the saved learner.

    Raises:
        AgentError: if the file is missing, damaged, not a saved learner, holds another learner or
            one for other spaces (the message says which differ).
    """
    path = _with_suffix(path)
    if not path.is_file():
        raise AgentError(f"there is no saved learner at {path}")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            tensors: Tensors = {name: file.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise AgentError(f"{path} is damaged or is not a saved learner: {error}") from error
    if _KEY not in metadata:
        raise AgentError(f"{path} is not a saved learner: give a file that a learner's save wrote")
    header = json.loads(metadata[_KEY])
    if header["version"] != _VERSION:
        raise AgentError(f"{path} has format {header['version']}, this version reads {_VERSION}")
    if header["learner"] != learner:
        raise AgentError(f"{path} holds a {header['learner']} learner: load it as one")
    spaces = space_from_json(header["observation_space"]), space_from_json(header["action_space"])
    if env is not None:
        _require_same_spaces(path, spaces, env)
    state = header["state"]
    settings = {
        name: schedule_from_json(value) if isinstance(value, dict) else value
        for name, value in state.pop("settings").items()
    }
    return SavedLearner(learner, spaces, settings, state, tensors)


def _plain_number(value: object) -> Any:
    """Return a number of NumPy, as seeds and settings may be, as one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be saved")


def _with_suffix(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == _SUFFIX else path.with_name(path.name + _SUFFIX)


def _require_same_spaces(
    path: Path, spaces: tuple[DiscreteSpace, DiscreteSpace], env: Environment
) -> None:
    names = ("observation space", "action space")
    differences = [
        f"{name} {of_file} in the file, {of_env} in the environment"
        for name, of_file, of_env in zip(names, spaces, single_spaces(env), strict=True)
        if of_file != of_env
    ]
    if differences:
        raise AgentError(f"{path} was made for other spaces: {'; '.join(differences)}")
