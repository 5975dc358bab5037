"""The pictures that a search is given, and the folders that its files go to."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rldf_agents.applications.history import HISTORY_FILE, LEARNER_FILE
from rldf_agents.applications.result import (
    GRAMMAR_FILE,
    RESULT_FILES,
    VARIATIONS_FILE,
    VARIATIONS_FOLDER,
)
from rldf_agents.errors import AgentError
from rldf_gym.goal import TargetError

INDEX_FILE = "index.html"
DEFAULT_OUT = "rldf-out"
_FILES = (
    *RESULT_FILES,
    *(GRAMMAR_FILE, VARIATIONS_FILE, LEARNER_FILE, HISTORY_FILE, INDEX_FILE),
)

_UNREADABLE_PHOTOS = {".heic", ".heif"}
"""Suffixes of photographs that Pillow may not read: an error says so, a folder does not hide it."""

_LEAST_FREE = 16 * 2**20
"""Bytes that must be free before a search begins: several times what one search writes."""


def find_pictures(names: Sequence[str | Path]) -> list[str]:
    """Return the picture files that the user names; a folder stands for the pictures in it.

    Args:
        names: files, and folders whose sub-folders are left out.

    Raises:
        TargetError: a folder without a picture.
    """
    found: list[str] = []
    for name in names:
        if not Path(name).is_dir():
            found.append(str(name))
            continue
        inside = sorted(path for path in Path(name).iterdir() if is_picture(path))
        if not inside:
            raise TargetError(f"the folder {name} holds no pictures")
        found += map(str, inside)
    return found


def is_picture(path: Path) -> bool:
    """Return whether a file's suffix is that of a picture and its name is not hidden."""
    from PIL import Image

    known = Image.registered_extensions().keys() | _UNREADABLE_PHOTOS
    return path.suffix.lower() in known and not path.name.startswith(".") and path.is_file()


def default_out(names: Sequence[str | Path]) -> Path:
    """Return a new folder in `DEFAULT_OUT`, named after the target or the number of targets."""
    name = Path(names[0]).stem if len(names) == 1 else f"{len(names)}-pictures"
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    folders = (Path(DEFAULT_OUT) / each for each in itertools.chain([name], numbered))
    return next(folder for folder in folders if not folder.exists())


def folders_for(pictures: Sequence[str], out: Path) -> list[Path]:
    """Return a folder for each picture: ``out`` itself for one, else one in it with its name."""
    if len(pictures) == 1:
        return [out]
    taken = {INDEX_FILE}
    folders = []
    for picture in pictures:
        stem, number = Path(picture).stem, 1
        name = stem
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        folders.append(out / name)
    return folders


def require_free(path: Path, overwrite: bool) -> None:
    """Raise an error for a path that exists, unless it may be overwritten.

    Raises:
        AgentError: naming the path and what to do.
    """
    if path.exists() and not overwrite:
        raise AgentError(f"{path} exists: add --overwrite, or choose another name")


def require_empty(out: Path) -> None:
    """Raise an error for a folder that holds anything.

    Raises:
        AgentError: naming the folder and what to do.
    """
    if out.is_dir() and any(out.iterdir()):
        raise AgentError(
            f"the output folder {out} exists and is not empty: choose another, or add"
            " --overwrite to replace it (a search continues with --resume)"
        )


def require_resumable(folders: Sequence[Path]) -> None:
    """Raise an error unless one of the folders holds a search that can be resumed.

    Raises:
        AgentError: naming the first folder and what to do.
    """
    files = [folder / name for folder in folders for name in (HISTORY_FILE, *RESULT_FILES)]
    if not any(map(Path.is_file, files)):
        raise AgentError(
            f"there is no search to resume in {folders[0]}: leave --resume out to start one"
        )


@contextmanager
def output_dirs(folders: Sequence[Path]) -> Iterator[None]:
    """Make the folders; on exit, remove those that were made and stayed empty.

    Raises:
        AgentError: a path is not a folder, or there is no disk space.
        OSError: a folder cannot be made.
    """
    made: list[Path] = []
    try:
        for folder in folders:
            _make(folder, made)
        free = shutil.disk_usage(folders[0]).free
        if free < _LEAST_FREE:
            raise AgentError(
                f"no disk space for {folders[0]}: {free / 2**20:.0f} MiB are free, at least"
                f" {_LEAST_FREE // 2**20} are needed; free some or choose another output folder"
            )
        yield
    finally:
        for folder in reversed(made):
            if not any(folder.iterdir()):
                folder.rmdir()


def clear(folder: Path) -> None:
    """Remove the files of an earlier search from a folder, and nothing else."""
    pictures = folder / VARIATIONS_FOLDER
    for path in (*(folder / name for name in _FILES), *pictures.glob("[0-9]*.png")):
        path.unlink(missing_ok=True)
    if pictures.is_dir() and not any(pictures.iterdir()):
        pictures.rmdir()


def kept_by_store(done: int, total: int) -> str:
    """Return what an interruption leaves where nothing but the store keeps finished pictures."""
    return (
        f"{done} of {total} pictures were finished; nothing was written, and the same command"
        " continues with what the store keeps"
    )


def _make(folder: Path, made: list[Path]) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        made.append(path)
    if not folder.is_dir():
        raise AgentError(f"the output folder {folder} is a file: choose another")
