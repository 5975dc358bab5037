"""Folders of class folders: their classes, splits and readable pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rldf_agents.applications.output import is_picture
from rldf_agents.cloning.identity import CLONE_FILE, load_clone_file
from rldf_agents.cloning.names import folder_name
from rldf_agents.errors import AgentError
from rldf_gym.goal import TargetError, load_picture

TRAINING_SPLITS, TEST_SPLITS = ("train",), ("val", "validation", "test")
_SPLITS = {*TRAINING_SPLITS, *TEST_SPLITS}
_HELD_OUT_SHARE = 0.2

Progress = Callable[[str, int, int], None]
"""Receives what is being done, how many pictures are done, and of how many."""


@dataclass(frozen=True, eq=False)
class LabelledFolder:
    """The readable pictures of a data set.

    Attributes:
        folder: ``folder/CLASS/*`` or ``folder/SPLIT/CLASS/*``.
        classes: names of the class folders, sorted; for a clone, those of its source.
        files: of the pictures ``[n]``.
        labels: int64 ``[n]``, index into ``classes``.
        splits: of each picture ``[n]``; "" where the folder has no splits.
        hashes: sha256 hex of each file's content ``[n]``.
        unreadable: files that were skipped, with the reason.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[Path, ...]
    labels: npt.NDArray[np.int64]
    splits: tuple[str, ...]
    hashes: tuple[str, ...]
    unreadable: tuple[tuple[Path, str], ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    def load(self, row: int) -> npt.NDArray[np.uint8]:
        """Return a picture, uint8 ``[H, W, 3]``."""
        return load_picture(self.files[row])

    def name(self, row: int) -> str:
        """Return a picture's path within the folder."""
        return self.files[row].relative_to(self.folder).as_posix()

    def held_out(self, seed: int) -> npt.NDArray[np.bool_]:
        """Return which pictures are for tests, bool ``[n]``.

        These are the pictures of the splits val, validation and test. In a folder without them, a
        fifth of each class, chosen by the seed.
        """
        in_test = np.array([split in TEST_SPLITS for split in self.splits])
        if in_test.any():
            return in_test
        rng = np.random.default_rng([seed, len(self)])
        for label in range(len(self.classes)):
            rows = rng.permutation(np.flatnonzero(self.labels == label))
            in_test[rows[: round(_HELD_OUT_SHARE * len(rows))]] = True
        return in_test


def open_labelled_folder(
    folder: Path, progress: Progress = lambda what, done, total: None
) -> LabelledFolder:
    """Find, decode and hash all pictures of a folder of class folders.

    Args:
        folder: its folders are classes; or they are splits (train, val, validation, test), whose
            folders are classes; or it is a clone, whose file knows the classes' own names.
        progress: receives the number of finished pictures.

    Raises:
        AgentError: no folder, no class folders, a class without a readable picture, or a clone
            whose file is damaged.
    """
    found = _listed(folder)
    kept: list[tuple[Path, str, str, str]] = []
    unreadable = []
    for done, (path, split, name) in enumerate(found):
        progress(f"reading {folder}", done, len(found))
        try:
            load_picture(path)
        except TargetError as error:
            unreadable.append((path, str(error)))
        else:
            kept.append((path, split, name, hashlib.sha256(path.read_bytes()).hexdigest()))
    classes = tuple(sorted({name for _, _, name in found}))
    if empty := sorted(set(classes) - {name for _, _, name, _ in kept}):
        raise AgentError(
            f"{folder}: none of the pictures of the class {empty[0]} can be read: replace them"
        )
    return LabelledFolder(
        folder=folder,
        classes=classes,
        files=tuple(path for path, *_ in kept),
        labels=np.array([classes.index(name) for _, _, name, _ in kept], np.int64),
        splits=tuple(split for _, split, *_ in kept),
        hashes=tuple(digest for *_, digest in kept),
        unreadable=tuple(unreadable),
    )


def _listed(folder: Path) -> list[tuple[Path, str, str]]:
    """Return file, split and class of every picture, sorted."""
    if not folder.is_dir():
        raise AgentError(f"{folder} is not a folder: give a folder of class folders")
    tops = _folders(folder)
    # A class may be called "train", too: a split holds folders.
    splits = [top for top in tops if top.name in _SPLITS and _folders(top)]
    clone = load_clone_file(folder) if (folder / CLONE_FILE).is_file() else None
    names = {} if clone is None else {folder_name(each.name): each.name for each in clone.matches}
    if splits and len(splits) < len(tops) and clone is None:
        others = ", ".join(top.name for top in tops if top not in splits)
        raise AgentError(
            f"{folder} holds splits ({splits[0].name}) beside other folders ({others}): give a"
            " folder of class folders, or one of splits"
        )
    found = []
    for split in splits or [folder]:
        for class_folder in _folders(split):
            pictures = sorted(path for path in class_folder.iterdir() if is_picture(path))
            if not pictures:
                raise AgentError(f"the class folder {class_folder} holds no pictures: remove it")
            name = names.get(class_folder.name, class_folder.name)
            found += [(picture, split.name if splits else "", name) for picture in pictures]
    if not found:
        raise AgentError(f"{folder} has no class folders: give DIR/CLASS/* or DIR/SPLIT/CLASS/*")
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def require_same_classes(clone: LabelledFolder, real: LabelledFolder) -> None:
    """Raise an error unless both have the same classes.

    Raises:
        AgentError: naming the classes that one of them lacks.
    """
    for lacking, other in ((clone, real), (real, clone)):
        if missing := sorted(set(other.classes) - set(lacking.classes)):
            raise AgentError(
                f"{lacking.folder} lacks the classes {_few(missing)} of {other.folder}: give two"
                " folders with the same class folders"
            )


def _few(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"
