"""What was drawn and read, kept so that it is made once, ever.

A picture is a pure function of (generator, prompt, seed), and what a model sees in it is a pure
function of the picture (paper, Discussion 2: fixed seeding). Both are therefore worth keeping on
disk: one SQLite file, shared by every run and every process of a user.

Three tables: ``pictures`` by (generator fingerprint, prompt, seed), ``outputs`` of picture models
by (picture key, model fingerprint), ``texts`` embedded by (model fingerprint, prompt). Outputs know
nothing of grammars; mapping them to axes is cheap and done anew.

Pictures are lossless WebP at its fastest setting: on 128x128 pictures 14 % smaller than PNG, five
times faster to write and a fifth faster to read. Model outputs are safetensors; nothing is pickled.
"""

import hashlib
import io
import os
import sqlite3
import threading
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.database import Database, StoreError

ModelOutput = Mapping[str, NDArray[Any]]


class StoreWarning(UserWarning):
    """The store file cannot be used; new results are kept in memory for the rest of the run."""


def default_path() -> Path:
    """Where the store lies unless told otherwise: ``$RLDF_STORE``, else the user's cache folder."""
    if chosen := os.environ.get("RLDF_STORE"):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("rldf-gym") / "store.sqlite"


def drawn_key(generator: str, prompt: str, seed: int) -> str:
    """Key of the picture that a generator (by its fingerprint) draws for a prompt and a seed."""
    return _digest(b"drawn", generator.encode(), prompt.encode(), str(seed).encode())


def pixels_key(picture: NDArray[np.uint8]) -> str:
    """Key of a picture ``[H, W, 3]`` that came from outside, such as a target: its content."""
    return _digest(b"pixels", str(picture.shape).encode(), picture.tobytes())


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


class Store:
    """Pictures, model outputs and text embeddings, each kept under what decides it.

    Several processes may share one file: the first result written for a key wins, and everyone
    reads that one. If the file cannot be used (read-only, disk full), one `StoreWarning` says so
    and what is new is kept in memory; what the file already holds is still read where possible.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._file = None if path is None else Database(path)
        self._memory = Database(None) if path is None else None
        _OPEN_STORES.add(self)

    @classmethod
    def open(cls, path: str | Path | None = "default") -> "Store":
        """Open a store, or create it.

        Args:
            path: a file, ``"default"`` for `default_path`, or None for a store in memory only.

        Raises:
            StoreError: the file exists and is no store of ours, is damaged, or has another
                version. It is left as it was.
        """
        if path is None:
            return cls()
        store = cls(default_path() if path == "default" else Path(path).expanduser())
        store._first("SELECT picture FROM pictures WHERE key = ?", "")
        return store

    def close(self) -> None:
        """Close the file; a later use opens it again. What is kept in memory stays."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def picture(self, key: str) -> NDArray[np.uint8] | None:
        """The picture ``uint8 [H, W, 3]`` kept under ``key``, or None."""
        blob = self._first("SELECT picture FROM pictures WHERE key = ?", key)
        if blob is None:
            return None
        try:
            return _decode(blob)
        except (OSError, SyntaxError) as error:
            raise self._damaged("a picture", error) from error

    def add_pictures(
        self, generator: str, drawn: Mapping[tuple[str, int], NDArray[np.uint8]]
    ) -> dict[tuple[str, int], NDArray[np.uint8]]:
        """Keep what ``generator`` (a fingerprint) drew, ``uint8 [H, W, 3]`` by (prompt, seed).

        Returns the pictures as they are kept: another process's where that came first.
        """
        kept: dict[tuple[str, int], NDArray[np.uint8]] = {}
        rows = [
            (drawn_key(generator, prompt, seed), generator, prompt, seed, _encode(picture))
            for (prompt, seed), picture in drawn.items()
        ]
        all_new = self._insert("INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?)", rows)
        for row, (name, picture) in zip(rows, drawn.items(), strict=True):
            earlier = None if all_new else self.picture(row[0])
            kept[name] = picture if earlier is None else earlier
        return kept

    def outputs(self, model: str, pictures: Iterable[str]) -> dict[str, dict[str, NDArray[Any]]]:
        """What ``model`` (a fingerprint) saw in each picture (a key), where that is known."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        statement = "SELECT output FROM outputs WHERE picture = ? AND model = ?"
        found = {key: self._first(statement, key, model) for key in pictures}
        try:
            return {key: load(blob) for key, blob in found.items() if blob is not None}
        except SafetensorError as error:
            raise self._damaged("a model's output", error) from error

    def add_outputs(
        self, model: str, outputs: Mapping[str, ModelOutput]
    ) -> dict[str, dict[str, NDArray[Any]]]:
        """Keep what ``model`` saw, by picture key; returns what is now kept for these pictures."""
        from safetensors.numpy import save

        rows = [
            (key, model, save({name: np.ascontiguousarray(a) for name, a in output.items()}))
            for key, output in outputs.items()
        ]
        self._insert("INSERT OR IGNORE INTO outputs VALUES (?, ?, ?)", rows)
        return self.outputs(model, outputs)

    def texts(self, model: str, prompts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The embedding ``float32 [d]`` of each prompt, where ``model`` has embedded it."""
        statement = "SELECT embedding FROM texts WHERE model = ? AND prompt = ?"
        found = {prompt: self._first(statement, model, prompt) for prompt in prompts}
        return {p: np.frombuffer(b, np.float32) for p, b in found.items() if b is not None}

    def add_texts(self, model: str, embeddings: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep text embeddings ``float32 [d]`` by prompt."""
        rows = [(model, p, e.astype(np.float32).tobytes()) for p, e in embeddings.items()]
        self._insert("INSERT OR IGNORE INTO texts VALUES (?, ?, ?)", rows)

    def _first(self, statement: str, *key: str) -> bytes | None:
        """First column of the first row found, in the file or else in memory."""
        with self._lock:
            if self._file is not None:
                try:
                    found = self._file.first(statement, key)
                except sqlite3.OperationalError as error:
                    self._keep_in_memory(error)
                    self._file = None
                else:
                    if found is not None:
                        return found
            return None if self._memory is None else self._memory.first(statement, key)

    def _insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> bool:
        """Insert rows, all or none; True if no key among them was taken."""
        with self._lock:
            if self._file is not None and self._memory is None:
                try:
                    return self._file.insert(statement, rows)
                except sqlite3.OperationalError as error:
                    self._keep_in_memory(error)
            if self._memory is None:
                self._memory = Database(None)
            return self._memory.insert(statement, rows)

    def _damaged(self, what: str, error: Exception) -> StoreError:
        return StoreError(
            f"{what} in the store {self.path} is damaged ({error}); delete the file, or choose"
            " another with store=... or the environment variable RLDF_STORE"
        )

    def _keep_in_memory(self, error: sqlite3.OperationalError) -> None:
        if self._memory is None:
            self._memory = Database(None)
            warnings.warn(
                f"the store {self.path} cannot be used ({error}); what is new is kept in memory and"
                " lost at the end of this run. Free some space or make the file writable, or choose"
                " another with store=... or the environment variable RLDF_STORE.",
                StoreWarning,
                stacklevel=4,
            )

    def _leave_to_parent(self) -> None:
        """In a forked child: never touch the parent's connection, nor wait for its threads."""
        self._lock = threading.RLock()
        if self._file is not None:
            self._file.leave_to_parent()


def _encode(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    blob = io.BytesIO()
    Image.fromarray(picture).save(blob, "WEBP", lossless=True, method=0, quality=0)
    return blob.getvalue()


def _decode(blob: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    return np.array(Image.open(io.BytesIO(blob)).convert("RGB"))


_OPEN_STORES: "weakref.WeakSet[Store]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_OPEN_STORES):
        store._leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
