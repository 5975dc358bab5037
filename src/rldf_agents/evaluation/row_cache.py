"""What models say about pictures, kept on disk: interrupted work continues where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rldf_agents.evaluation.pictures import LabelledFolder, Progress
from rldf_gym.atomic_file import replacing

Array = npt.NDArray[Any]
CHUNK = 256
"""Pictures in one file of the cache."""


class RowReader(Protocol):
    """Turns pictures into rows of numbers."""

    @property
    def name(self) -> str:
        """Name for people."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that decides the rows."""
        ...

    def __call__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Array:
        """Return a row for each of the pictures, uint8 ``[H, W, 3]`` of any sizes."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in chunks that stay on disk until they are needed."""

    chunks: tuple[Array, ...]

    def __len__(self) -> int:
        return sum(map(len, self.chunks))

    def take(self, rows: npt.NDArray[np.int64]) -> Array:
        """Return some rows, ``[len(rows), ...]``."""
        return np.stack([self.chunks[row // CHUNK][row % CHUNK] for row in rows.tolist()])

    def all(self) -> Array:
        """Return all rows in memory."""
        return np.concatenate(self.chunks)


@dataclass(frozen=True)
class RowCache:
    """A folder of arrays, each under the hash of all that decides it."""

    folder: Path

    def rows(self, pictures: LabelledFolder, reader: RowReader, progress: Progress) -> Rows:
        """Return what a reader says about all pictures of a folder, a row each.

        Args:
            pictures: to read.
            reader: called with up to `CHUNK` pictures at a time, for those not in the cache.
            progress: receives the number of finished pictures.
        """
        chunks = []
        for start in range(0, len(pictures), CHUNK):
            progress(f"{reader.name}: {pictures.folder}", start, len(pictures))
            some = range(start, min(start + CHUNK, len(pictures)))
            key = [reader.fingerprint, *(pictures.hashes[row] for row in some)]

            def read(some: range = some) -> Array:
                return reader([pictures.load(row) for row in some])

            chunks.append(self.array(key, read))
        return Rows(tuple(chunks))

    def array(self, key: Sequence[str], make: Callable[[], Array]) -> Array:
        """Return the array of a key, made and stored if it is not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{hashlib.sha256(chr(10).join(key).encode()).hexdigest()}.npy"
        try:
            return _opened(path)
        except (FileNotFoundError, ValueError, EOFError):
            made = make()
        with replacing(path) as partial:
            np.save(partial, made, allow_pickle=False)
        return _opened(path)


def _opened(path: Path) -> Array:
    opened: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return opened
