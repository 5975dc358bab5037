"""Generated images and models' outputs for them, computed once, ever.

An image is a pure function of (generator, prompt, seed), and a model's output is a pure function
of the image (paper, Discussion 2: fixed seeding). Outputs are independent of grammars: mapping them
to axes is cheap and done anew. Images are lossless WebP, outputs are safetensors.
"""

import contextlib
import os
import sqlite3
import threading
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rldf_gym.failed_images import FailedImage
from rldf_gym.store.codec import decode, encode_failure, encode_images, encode_output
from rldf_gym.store.database import CHOOSE_ANOTHER, Database, StoreError
from rldf_gym.store.eviction import evict, parse_size, touch
from rldf_gym.store.location import default_limit, default_path, make_cache_folder
from rldf_gym.store.schema import (
    FAILURES,
    OUTPUTS,
    PICTURES,
    TABLES,
    TEXTS,
    Row,
    image_key,
    insert,
    output_key,
    text_key,
    this_hour,
    usage,
)

ModelOutput = Mapping[str, NDArray[Any]]
Name = TypeVar("Name")
Value = TypeVar("Value")

IN_MEMORY = ":memory:"
"""A path that stands for a store in memory, as in SQLite."""

_TOUCHED_AT_ONCE = 256


class StoreWarning(UserWarning):
    """The store file cannot be used; new results are kept in memory for the rest of the run."""


class Store:
    """Images, model outputs and text embeddings, each kept under what decides it.

    Several processes may share one file: the first result written for a key wins, and everyone
    reads that one. If the file cannot be used (read-only, disk full), one `StoreWarning` says so
    and what is new is kept in memory; what the file already holds is still read where possible.

    With a limit, the least recently used rows are deleted, images before model outputs: an evicted
    image is generated again when it is needed, the same up to rounding. Last uses are kept by the
    hour and written with the next new rows, or at closing: reading costs no write.
    """

    def __init__(self, path: Path | None = None, limit: int | None = None) -> None:
        self.path = path
        self.limit = limit
        self._lock = threading.RLock()
        self._file = None if path is None else Database(path)
        self._memory = Database(None) if path is None else None
        self._touched: dict[str, set[str]] = {table: set() for table in TABLES}
        _OPEN_STORES.add(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return path and limit, and what is kept in memory: a copy opens the file itself."""
        with self._lock:
            self._note_uses()
            kept = {} if self._memory is None else self._memory.contents()
        return {"path": self.path, "limit": self.limit, "kept": kept}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Open the same file, or fill a store in memory with the same rows."""
        Store.__init__(self, state["path"], state["limit"])
        if state["kept"]:
            self._memory = self._memory or Database(None)
            with self._memory.transaction() as connection:
                for table, rows in state["kept"].items():
                    insert(connection, table, rows)

    @classmethod
    def open(
        cls, path: str | Path | None = "default", limit: int | str | None = "default"
    ) -> "Store":
        """Open a store, or create it; one of an earlier version is brought up to date.

        Args:
            path: a file, ``"default"`` for `default_path`, or None for a store in memory only; so
                does `IN_MEMORY`, for command lines.
            limit: bytes that this store may hold, or a text such as ``"2GB"``; ``"default"`` for
                `default_limit`, None for no limit.

        Raises:
            StoreError: the path is none, the limit is no size, or the file exists and is no store
                of ours, is damaged, or has a later version. It is left as it was.
        """
        if limit is not None:
            limit = default_limit() if limit == "default" else parse_size(limit)
        if path == "default":
            path = default_path()
        if path is None or str(path) == IN_MEMORY:
            return cls(None, limit)
        if not isinstance(path, str | Path):
            raise StoreError(f"a store is a file's path, 'default' or None, not {path!r}")
        file = Path(path).expanduser()
        if not file.parent.is_dir():
            make_cache_folder(file)
        # It may be opened again from another folder: after closing, or in a forked child.
        store = cls(file.absolute(), limit)
        store.picture("")
        return store

    def close(self) -> None:
        """Close the file; a later use opens it again. What is kept in memory stays."""
        with self._lock:
            self._note_uses()
            if self._file is not None:
                self._file.close()

    def picture(self, key: str) -> NDArray[np.uint8] | None:
        """Return the image ``uint8 [H, W, 3]`` of a key, or None."""
        return self._load(PICTURES, {key: key}).get(key)

    def has_picture(self, key: str) -> bool:
        """Return whether `picture` would find one."""
        return self._first(f"SELECT 1 FROM {PICTURES} WHERE key = ?", key) is not None

    def add_pictures(
        self,
        generator: str,
        images: Mapping[tuple[str, int], NDArray[np.uint8]],
        keys: Sequence[str] | None = None,
    ) -> dict[tuple[str, int], NDArray[np.uint8]]:
        """Store what ``generator`` (a fingerprint) made, ``uint8 [H, W, 3]`` by (prompt, seed).

        Args:
            generator: the fingerprint.
            images: by prompt and seed.
            keys: the `image_key` of each, where the caller has computed them.

        Returns:
            The images as they are stored: another process's where that came first.
        """
        if keys is None:
            keys = [image_key(generator, prompt, seed) for prompt, seed in images]
        contents = encode_images(list(images.values()))
        rows = [
            (key, generator, prompt, seed, *usage(content))
            for key, (prompt, seed), content in zip(keys, images, contents, strict=True)
        ]
        return self._add(PICTURES, rows, images, dict(zip(images, keys, strict=True)))

    def outputs(self, model: str, pictures: Iterable[str]) -> dict[str, ModelOutput]:
        """Return the stored outputs of a model (a fingerprint) by image (a key)."""
        return self._load(OUTPUTS, {key: output_key(key, model) for key in pictures})

    def add_outputs(self, model: str, outputs: Mapping[str, ModelOutput]) -> dict[str, ModelOutput]:
        """Store outputs of a model by image key; return them as `add_pictures` does."""
        keys = {picture: output_key(picture, model) for picture in outputs}
        rows = [
            (keys[picture], picture, model, *usage(encode_output(output)))
            for picture, output in outputs.items()
        ]
        return self._add(OUTPUTS, rows, outputs, keys)

    def texts(self, model: str, prompts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Return the stored embeddings ``float32 [d]`` of a model by prompt."""
        return self._load(TEXTS, {prompt: text_key(model, prompt) for prompt in prompts})

    def add_texts(
        self, model: str, embeddings: Mapping[str, NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        """Store text embeddings ``float32 [d]`` by prompt; return them as `add_pictures` does."""
        new = {prompt: embedding.astype(np.float32) for prompt, embedding in embeddings.items()}
        keys = {prompt: text_key(model, prompt) for prompt in new}
        rows = [
            (keys[prompt], model, prompt, *usage(embedding.tobytes()))
            for prompt, embedding in new.items()
        ]
        return self._add(TEXTS, rows, new, keys)

    def failures(self, keys: Iterable[str]) -> dict[str, FailedImage]:
        """Return those of these images (keys) that their generator will never give."""
        return self._load(FAILURES, {key: key for key in keys})

    def add_failures(self, generator: str, failed: Mapping[str, FailedImage]) -> None:
        """Store which images (keys) a generator (a fingerprint) will never give, and why."""
        rows = [(key, generator, *usage(encode_failure(each))) for key, each in failed.items()]
        self._insert(FAILURES, rows)

    def _load(self, table: str, keys: Mapping[Name, str]) -> dict[Name, Any]:
        """Return by name what is stored under the name's key."""
        found = {name: self._content(table, key) for name, key in keys.items()}
        try:
            return {name: decode(table, blob) for name, blob in found.items() if blob is not None}
        except ValueError as error:
            raise StoreError(
                f"a row of {table!r} in the store {self.path} is damaged ({error}). Copy the sound"
                f" rows with: rldf store salvage {self.path} --out NEW; or {CHOOSE_ANOTHER}"
            ) from error

    def _add(
        self, table: str, rows: Sequence[Row], new: Mapping[Name, Value], keys: Mapping[Name, str]
    ) -> dict[Name, Value]:
        """Insert rows; return by name what is stored: another process's where that came first."""
        return dict(new) if self._insert(table, rows) else {**new, **self._load(table, keys)}

    def _content(self, table: str, key: str) -> bytes | None:
        """What a row holds, in the file or else in memory; notes that it is in use."""
        row = self._first(f"SELECT used, content FROM {table} WHERE key = ?", key)
        if row is None:
            return None
        used, content = row
        if used != this_hour():
            with self._lock:
                self._touched[table].add(key)
                if len(self._touched[table]) >= _TOUCHED_AT_ONCE:
                    self._note_uses()
        return bytes(content)

    def _first(self, statement: str, key: str) -> tuple[Any, ...] | None:
        with self._lock:
            if self._file is not None:
                try:
                    found = self._file.first(statement, (key,))
                except sqlite3.OperationalError as error:
                    self._keep_in_memory(error)
                    self._file = None
                else:
                    if found is not None:
                        return found
            return None if self._memory is None else self._memory.first(statement, (key,))

    def _insert(self, table: str, rows: Sequence[Row]) -> bool:
        """Insert rows, all or none; True if it is sure that no key among them was taken."""
        with self._lock:
            if self._file is not None and self._memory is None:
                try:
                    return self._insert_into(self._file, table, rows)
                except sqlite3.OperationalError as error:
                    self._keep_in_memory(error)
            if self._memory is None:
                self._memory = Database(None)
            all_new = self._insert_into(self._memory, table, rows)
            # A file that cannot be written may have them from another process.
            return all_new and self._file is None

    def _insert_into(self, database: Database, table: str, rows: Sequence[Row]) -> bool:
        if not rows:
            return True
        with database.transaction() as connection:
            inserted = insert(connection, table, rows)
            self._write_uses(connection)
            if self.limit is not None:
                evict(connection, self.limit)
        return inserted == len(rows)

    def _note_uses(self) -> None:
        """Write what was used since the last time, or forget it where nothing can be written."""
        database = self._file if self._memory is None else self._memory
        if database is None or not any(self._touched.values()):
            return
        with contextlib.suppress(sqlite3.OperationalError), database.transaction() as connection:
            self._write_uses(connection)
        for keys in self._touched.values():
            keys.clear()

    def _write_uses(self, connection: sqlite3.Connection) -> None:
        for table, keys in self._touched.items():
            touch(connection, table, keys)
            keys.clear()

    def _keep_in_memory(self, error: sqlite3.OperationalError) -> None:
        if self._memory is None:
            self._memory = Database(None)
            warnings.warn(
                f"the store {self.path} cannot be used ({error}); new results are kept in memory"
                " and lost at the end of this run. Free some space or make the file writable, or"
                f" {CHOOSE_ANOTHER}.",
                StoreWarning,
                stacklevel=4,
            )

    def _leave_to_parent(self) -> None:
        """In a forked child: never touch the parent's connection, nor wait for its threads."""
        self._lock = threading.RLock()
        if self._file is not None:
            self._file.leave_to_parent()


_OPEN_STORES: "weakref.WeakSet[Store]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for store in list(_OPEN_STORES):
        store._leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
