"""The data set that is cloned: class folders, or one picture for each class."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rldf_agents.applications.output import is_picture
from rldf_agents.cloning.names import same_name
from rldf_agents.errors import AgentError
from rldf_gym.goal import TargetError, load_picture


@dataclass(frozen=True, eq=False)
class SourceClass:
    """A class of the source with a few example pictures.

    Attributes:
        name: of its folder, or of its picture without the suffix.
        examples: pictures uint8 ``[H, W, 3]``.
        digest: hash of the examples' names and bytes.
        unreadable: for each file that was skipped, why.
    """

    name: str
    examples: tuple[NDArray[np.uint8], ...]
    digest: str
    unreadable: tuple[str, ...]


def read_source(source: Path, n_examples: int) -> list[SourceClass]:
    """Return the classes of a folder in the order of their names, with examples.

    Args:
        source: a folder of class folders, whose pictures may lie deeper; a picture beside them is
            a class of its own.
        n_examples: the most examples of a class, spread over its pictures.

    Raises:
        AgentError: no folder, no class, two classes with one name, or classes without a readable
            picture.
    """
    if not source.is_dir():
        raise AgentError(f"the source {source} is not a folder: give a folder of class folders")
    found: dict[str, tuple[Path, list[Path]]] = {}
    for path in sorted(source.iterdir()):
        if not (path.is_dir() or is_picture(path)):
            continue
        inside = sorted(filter(is_picture, path.rglob("*"))) if path.is_dir() else [path]
        if path.name.startswith(".") and not inside:  # such as .git
            continue
        key = same_name(path.name if path.is_dir() else path.stem)
        if key in found:
            raise AgentError(
                f"two classes have one name: {found[key][0]} and {path}; rename or merge them"
            )
        found[key] = (path, inside)
    if not found:
        raise AgentError(f"the source {source} holds no class: give a folder of class folders")
    classes = [
        _read_class(_readable(path.name if path.is_dir() else path.stem), path, files, n_examples)
        for path, files in found.values()
    ]
    if empty := [each for each in classes if not each.examples]:
        why = f" ({empty[0].unreadable[0]})" if empty[0].unreadable else ""
        names = ", ".join(repr(each.name) for each in empty)
        raise AgentError(f"no readable picture in class {names}{why}: add one or remove the class")
    return sorted(classes, key=lambda each: each.name)


def _readable(name: str) -> str:
    """Return a file's name as text, also where its bytes are no text."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _read_class(name: str, path: Path, files: Sequence[Path], n_examples: int) -> SourceClass:
    examples: list[NDArray[np.uint8]] = []
    unreadable: list[str] = []
    digest = hashlib.sha256()
    for file in _spread(files, n_examples):
        if len(examples) == n_examples:
            break
        try:
            examples.append(load_picture(file))
        except (TargetError, OSError) as error:
            unreadable.append(str(error))
            continue
        digest.update(os.fsencode(file.relative_to(path.parent).as_posix()) + b"\0")
        digest.update(file.read_bytes())
    return SourceClass(name, tuple(examples), digest.hexdigest(), tuple(unreadable))


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    """Return all files, those first that are spread evenly over them."""
    chosen = [files[place * len(files) // count] for place in range(min(count, len(files)))]
    if len(files) <= count:
        return list(files)
    first = set(chosen)
    return [*chosen, *(file for file in files if file not in first)]
