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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.failed_images import FailedImage
from rldf_gym.store.database import CHOOSE_ANOTHER, Database, StoreError
from rldf_gym.store.eviction import evict, parse_size, touch
from rldf_gym.store.image_codec import decode, encode_all
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
            memory = None if self._memory is None else self._memory.contents()
        return {"path": self.path, "limit": self.limit, "memory": memory}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Open the same file, or fill a store in memory with the same rows."""
        Store.__init__(self, state["path"], state["limit"])
        if state["memory"] is not None:
            self._memory = self._memory or Database(None)
            self._memory.fill(state["memory"])

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
        if path is None or path == IN_MEMORY:
            return cls(None, limit)
        if not isinstance(path, str | Path):
            raise StoreError(f"a store is a file's path, 'default' or None, not {path!r}")
        file = default_path() if path == "default" else Path(path).expanduser()
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
        blob = self._content(PICTURES, key)
        if blob is None:
            return None
        try:
            return decode(blob)
        except OSError as error:
            raise self._damaged("a picture", error) from error

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
        rows = [
            (key, generator, prompt, seed, *usage(content))
            for key, (prompt, seed), content in zip(
                keys, images, encode_all(list(images.values())), strict=True
            )
        ]
        all_new = self._insert(PICTURES, rows)
        stored: dict[tuple[str, int], NDArray[np.uint8]] = {}
        for key, (name, picture) in zip(keys, images.items(), strict=True):
            earlier = None if all_new else self.picture(key)
            stored[name] = picture if earlier is None else earlier
        return stored

    def outputs(self, model: str, pictures: Iterable[str]) -> dict[str, dict[str, NDArray[Any]]]:
        """Return the stored outputs of a model (a fingerprint) by image (a key)."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        found = {key: self._content(OUTPUTS, output_key(key, model)) for key in pictures}
        try:
            return {key: load(blob) for key, blob in found.items() if blob is not None}
        except SafetensorError as error:
            raise self._damaged("a model's output", error) from error

    def add_outputs(
        self, model: str, outputs: Mapping[str, ModelOutput]
    ) -> dict[str, dict[str, NDArray[Any]]]:
        """Store outputs of a model by image key.

        Returns the outputs as they are kept: another process's where that came first.
        """
        from safetensors.numpy import save

        new = {
            key: {name: np.ascontiguousarray(array) for name, array in output.items()}
            for key, output in outputs.items()
        }
        rows = [
            (output_key(key, model), key, model, *usage(save(output)))
            for key, output in new.items()
        ]
        return new if self._insert(OUTPUTS, rows) else new | self.outputs(model, new)

    def texts(self, model: str, prompts: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """Return the stored embeddings ``float32 [d]`` of a model by prompt."""
        found = {prompt: self._content(TEXTS, text_key(model, prompt)) for prompt in prompts}
        return {p: np.frombuffer(b, np.float32) for p, b in found.items() if b is not None}

    def add_texts(
        self, model: str, embeddings: Mapping[str, NDArray[np.float32]]
    ) -> dict[str, NDArray[np.float32]]:
        """Store text embeddings ``float32 [d]`` by prompt.

        Returns the embeddings as they are kept: another process's where that came first.
        """
        new = {prompt: embedding.astype(np.float32) for prompt, embedding in embeddings.items()}
        rows = [
            (text_key(model, prompt), model, prompt, *usage(embedding.tobytes()))
            for prompt, embedding in new.items()
        ]
        return new if self._insert(TEXTS, rows) else new | self.texts(model, new)

    def failures(self, keys: Iterable[str]) -> dict[str, FailedImage]:
        """Return those of these images (keys) that their generator will never give."""
        from safetensors.numpy import load

        contents = {key: self._content(FAILURES, key) for key in keys}
        found = {key: load(content) for key, content in contents.items() if content is not None}
        return {
            key: FailedImage(kept["reason"].tobytes().decode(), tuple(kept["shape"].tolist()))
            for key, kept in found.items()
        }

    def add_failures(self, generator: str, failed: Mapping[str, FailedImage]) -> None:
        """Store which images (keys) a generator (a fingerprint) will never give, and why."""
        from safetensors.numpy import save

        contents = {
            key: save(
                {
                    "reason": np.frombuffer(image.reason.encode(), np.uint8),
                    "shape": np.array(image.shape, np.int64),
                }
            )
            for key, image in failed.items()
        }
        self._insert(FAILURES, [(key, generator, *usage(c)) for key, c in contents.items()])

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

    def _damaged(self, what: str, error: Exception) -> StoreError:
        return StoreError(
            f"{what} in the store {self.path} is damaged ({error}). Copy its sound rows with: rldf"
            f" store salvage {self.path} --out NEW; or {CHOOSE_ANOTHER}"
        )

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
