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

from rldf_agents.contracts import Environment
from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import Tensors
from rldf_agents.learners.labels import DiscreteSpace, space_from_json, space_to_json
from rldf_agents.sub_environments import single_spaces

_SUFFIX = ".safetensors"
_KEY = "rldf_agents"
_VERSION = 2


@dataclass(frozen=True)
class SavedLearner:
    """What one file holds."""

    learner: str
    observation_space: DiscreteSpace
    action_space: DiscreteSpace
    state: dict[str, Any]
    """What the learner itself wrote: settings, progress, random state."""
    tensors: Tensors


def write_learner(path: str | Path, saved: SavedLearner) -> Path:
    """Write the file in one stroke and return its path, ``.safetensors`` added when missing.

    The bytes go to a temporary file beside it that then takes its name: whatever happens, there
    is either the old file or the new one.
    """
    path = _with_suffix(path)
    header = {
        "version": _VERSION,
        "learner": saved.learner,
        "observation_space": space_to_json(saved.observation_space),
        "action_space": space_to_json(saved.action_space),
        "state": saved.state,
    }
    content = safetensors.numpy.save(
        saved.tensors, metadata={_KEY: json.dumps(header, default=_plain)}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
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
    saved = SavedLearner(
        learner,
        space_from_json(header["observation_space"]),
        space_from_json(header["action_space"]),
        header["state"],
        tensors,
    )
    if env is not None:
        _require_same_spaces(path, saved, env)
    return saved


def _plain(value: object) -> Any:
    """Return a number of NumPy's, of which seeds and settings may be, as one of Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be saved")


def _with_suffix(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == _SUFFIX else path.with_name(path.name + _SUFFIX)


def _require_same_spaces(path: Path, saved: SavedLearner, env: Environment) -> None:
    observation_space, action_space = single_spaces(env)
    pairs = (
        ("observation space", saved.observation_space, observation_space),
        ("action space", saved.action_space, action_space),
    )
    differences = [
        f"{name} {of_file} in the file, {of_env} in the environment"
        for name, of_file, of_env in pairs
        if of_file != of_env
    ]
    if differences:
        raise AgentError(f"{path} was made for other spaces: {'; '.join(differences)}")
