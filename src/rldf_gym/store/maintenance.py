"""Inspect, verify, prune and export a store."""

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rldf_gym.atomic_file import write_atomically
from rldf_gym.store.codec import decode
from rldf_gym.store.database import CHOOSE_ANOTHER, Database, StoreError
from rldf_gym.store.eviction import SIZE_QUERY, evict
from rldf_gym.store.schema import (
    FAILURES,
    OUTPUTS,
    PICTURES,
    SCHEMA_VERSION,
    TABLES,
    TEXTS,
    image_key,
    output_key,
    text_key,
    this_hour,
)

METADATA_FILE = "metadata.jsonl"
_BY_GENERATOR = (PICTURES, FAILURES)
_KEYS: dict[str, Callable[..., str]] = {
    PICTURES: image_key,
    OUTPUTS: output_key,
    TEXTS: text_key,
}


@dataclass(frozen=True)
class ModelUsage:
    """The rows of one table that belong to one model.

    Attributes:
        table: "pictures", "outputs", "texts" or "failures".
        model: fingerprint of the generator or perception model.
        rows: their number.
        content_bytes: of the rows' contents, without keys and indices.
        used: hours since 1970 of the last use of any.
    """

    table: str
    model: str
    rows: int
    content_bytes: int
    used: int


@dataclass(frozen=True)
class StoreInfo:
    """The contents of a store file.

    Attributes:
        path: the file.
        version: of its schema.
        file_bytes: its size on disk, without the journal beside it.
        free_bytes: of these, what the next rows will fill.
        usage: one entry for every table and model.
    """

    path: Path
    version: int
    file_bytes: int
    free_bytes: int
    usage: tuple[ModelUsage, ...]


@dataclass(frozen=True)
class Fault:
    """A damaged row.

    Attributes:
        table: "pictures", "outputs", "texts", "failures", or "file" for the file's own structure.
        key: of the row; empty for the file.
        problem: what is wrong.
    """

    table: str
    key: str
    problem: str


def info(path: Path) -> StoreInfo:
    """Return the contents of a store file.

    Raises:
        StoreError: there is no such file, or it is no store.
    """
    with opened(path) as database:
        found: list[ModelUsage] = []
        for table in TABLES:
            model = "generator" if table in _BY_GENERATOR else "model"
            query = (
                f"SELECT {model}, count(*), sum(length(content)), max(used) FROM {table}"
                f" GROUP BY {model} ORDER BY count(*) DESC"
            )
            found += [ModelUsage(table, *row) for row in database.rows(query)]
        in_use, size = database.number(SIZE_QUERY), path.stat().st_size
    return StoreInfo(path, SCHEMA_VERSION, size, max(0, size - in_use), tuple(found))


def verify(path: Path, on_progress: Callable[[int, int], None] | None = None) -> list[Fault]:
    """Check the structure of a store, and every row's key, checksum and content.

    Args:
        path: of the store.
        on_progress: receives now and then the number of rows checked, and of all.

    Returns:
        The faults, in the order in which they were found.

    Raises:
        StoreError: there is no such file, or it is no store.
    """
    with opened(path) as database:
        faults = [
            Fault("file", "", row[0])
            for row in database.rows("PRAGMA integrity_check")
            if row[0] != "ok"
        ]
        if faults:
            # Reading the rows of such a file may fail at any of them.
            return faults
        total = sum(database.number(f"SELECT count(*) FROM {table}") for table in TABLES)
        done = 0
        for table in TABLES:
            for row in database.rows(f"SELECT * FROM {table}"):
                problem = row_problem(table, row)
                if problem is not None:
                    faults.append(Fault(table, row[0], problem))
                done += 1
                if on_progress is not None and (done % 64 == 0 or done == total):
                    on_progress(done, total)
    return faults


def prune(
    path: Path,
    *,
    size: int | None = None,
    unused_hours: int | None = None,
    generator: str | None = None,
) -> int:
    """Delete rows, and return their space to the disk.

    Args:
        path: of the store.
        size: bytes that may stay; beyond, the least recently used rows are deleted, images first.
        unused_hours: rows that were not used for so many whole hours of the clock are deleted.
        generator: fingerprint of a generator, or its beginning: its images and their outputs are
            deleted (but for outputs of images that were evicted before).

    Returns:
        The number of deleted rows.

    Raises:
        StoreError: there is no such file, it is no store or read-only, the beginning fits several
            generators or none, or the disk has no space to copy what stays.
    """
    with opened(path) as database:
        with database.transaction() as connection:
            before = connection.total_changes
            if generator is not None:
                _delete_generated_by(connection, generator)
            if unused_hours is not None:
                oldest = this_hour() - unused_hours
                for table in TABLES:
                    connection.execute(f"DELETE FROM {table} WHERE used < ?", (oldest,))
            if size is not None:
                evict(connection, size, slack=0.0)
            deleted = connection.total_changes - before
        try:
            database.vacuum()
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{deleted} rows are deleted from the store {path}, but their space, which new rows"
                f" will fill, cannot be returned to the disk: {error}"
            ) from error
    return deleted


def export(
    path: Path,
    folder: Path,
    generator: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write images and ``metadata.jsonl``, a folder that Hugging Face's imagefolder loads.

    The metadata has a line for every image: its file name, its prompt as ``text``, its seed and
    its generator's fingerprint. The images are the store's own lossless WebP.

    Args:
        path: of the store.
        folder: is made; must be empty if it exists.
        generator: fingerprint of the generator whose images to write, or its beginning.
        on_progress: receives the number of images written, and of all.

    Returns:
        The number of images written.

    Raises:
        StoreError: there is no such file, it is no store, it has no images of that generator,
            or the folder is not empty.
        OSError: a file cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"the folder {folder} is not empty; choose another")
    chosen = f"{PICTURES} WHERE substr(generator, 1, ?) = ?"
    parameters = (len(generator), generator)
    with opened(path) as database:
        total = database.number(f"SELECT count(*) FROM {chosen}", parameters)
        if generator and not total:
            raise StoreError(
                f"the store {path} has no images of a generator whose fingerprint begins with"
                f" {generator!r}; 'rldf store info' lists the generators"
            )
        folder.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        query = f"SELECT key, generator, prompt, seed, content FROM {chosen} ORDER BY rowid"
        for key, fingerprint, prompt, seed, content in database.rows(query, parameters):
            name = f"{key}.webp"
            (folder / name).write_bytes(content)
            facts = {"file_name": name, "text": prompt, "seed": seed, "generator": fingerprint}
            lines.append(json.dumps(facts) + "\n")
            if on_progress is not None:
                on_progress(len(lines), total)
    # Last, so that a folder with metadata is complete.
    write_atomically(folder / METADATA_FILE, "".join(lines).encode())
    return len(lines)


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[Database]:
    """Open a store file while the context lasts.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    if not path.exists():
        raise StoreError(f"there is no store {path}; {CHOOSE_ANOTHER}")
    database = Database(path, read_only=read_only)
    try:
        yield database
    except sqlite3.OperationalError as error:
        raise StoreError(f"the store {path} cannot be used: {error}") from error
    finally:
        database.close()


def row_problem(table: str, row: tuple[Any, ...]) -> str | None:
    """Return what is wrong with a whole row of a table, None if it is sound."""
    key, *names, _, checksum, content = row
    try:
        if table in _KEYS and key != _KEYS[table](*names):
            return "its key does not match its other columns"
        if zlib.crc32(content) != checksum:
            return "its content has changed since it was written"
    except (AttributeError, TypeError) as error:
        return f"its columns are not of their types: {error}"
    try:
        decode(table, content)
    except ValueError as error:
        return f"its content cannot be read: {error}"
    return None


def _delete_generated_by(connection: sqlite3.Connection, beginning: str) -> None:
    # A generator that failed at every prompt has no images.
    query = f"SELECT generator FROM {PICTURES} UNION SELECT generator FROM {FAILURES} ORDER BY 1"
    known: list[str] = [row[0] for row in connection.execute(query)]
    found = [generator for generator in known if generator.startswith(beginning)]
    if len(found) != 1:
        raise StoreError(
            f"{len(found)} generators have a fingerprint that begins with {beginning!r}; in this"
            f" store are {', '.join(generator[:16] for generator in known) or 'none'}"
        )
    images = f"SELECT key FROM {PICTURES} WHERE generator = ?"
    connection.execute(f"DELETE FROM {OUTPUTS} WHERE picture IN ({images})", found)
    for table in _BY_GENERATOR:
        connection.execute(f"DELETE FROM {table} WHERE generator = ?", found)
