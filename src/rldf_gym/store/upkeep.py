"""Looking after a store file: what is in it, whether it is sound, less of it, copies of it."""

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rldf_gym.store.database import Database, StoreError
from rldf_gym.store.lossless import decode
from rldf_gym.store.retention import SIZE_QUERY, evict
from rldf_gym.store.schema import (
    OUTPUTS,
    PICTURES,
    SCHEMA_VERSION,
    TABLES,
    TEXTS,
    drawn_key,
    output_key,
    text_key,
    this_hour,
    unavailable_by,
)

METADATA_FILE = "metadata.jsonl"


@dataclass(frozen=True)
class Kept:
    """What a store keeps of one kind from one model.

    Attributes:
        table: "pictures", "outputs" or "texts".
        model: fingerprint of the generator that drew them, or the model whose outputs they are.
        rows: how many.
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
    """What is in a store file.

    Attributes:
        path: the file.
        version: of its schema.
        file_bytes: its size on disk, without the journal beside it.
        free_bytes: of these, what the next rows will fill.
        kept: one entry for every table and model.
    """

    path: Path
    version: int
    file_bytes: int
    free_bytes: int
    kept: tuple[Kept, ...]


@dataclass(frozen=True)
class Fault:
    """A row that is not what it should be.

    Attributes:
        table: "pictures", "outputs" or "texts"; "file" for the file's own structure.
        key: of the row; empty for the file.
        problem: what is wrong.
    """

    table: str
    key: str
    problem: str


def info(path: Path) -> StoreInfo:
    """What is in a store file.

    Raises:
        StoreError: there is no such file, or it is no store.
    """
    with _opened(path) as database:
        kept: list[Kept] = []
        for table in TABLES:
            model = "generator" if table == PICTURES else "model"
            query = (
                f"SELECT {model}, count(*), sum(length(content)), max(used) FROM {table}"
                f" GROUP BY {model} ORDER BY count(*) DESC"
            )
            kept += [Kept(table, *row) for row in database.rows(query)]
        in_use, size = _number(database, SIZE_QUERY), path.stat().st_size
    return StoreInfo(path, SCHEMA_VERSION, size, max(0, size - in_use), tuple(kept))


def verify(path: Path, checked: Callable[[int, int], None] | None = None) -> list[Fault]:
    """Check the whole file: its structure, and every row's key, checksum and content.

    Args:
        path: of the store.
        checked: told now and then how many rows are checked, and of how many.

    Returns:
        What is wrong, in the order in which it was found.

    Raises:
        StoreError: there is no such file, or it is no store.
    """
    with _opened(path) as database:
        faults = [
            Fault("file", "", row[0])
            for row in database.rows("PRAGMA integrity_check")
            if row[0] != "ok"
        ]
        if faults:
            # What such a file says of its rows means nothing, and may end the reading of them.
            return faults
        total, done = sum(_count(database, table) for table in TABLES), 0
        for table in TABLES:
            for row in database.rows(f"SELECT * FROM {table}"):
                problem = _problem(table, row)
                if problem is not None:
                    faults.append(Fault(table, row[0], problem))
                done += 1
                if checked is not None and (done % 64 == 0 or done == total):
                    checked(done, total)
    return faults


def prune(
    path: Path,
    *,
    size: int | None = None,
    unused_hours: int | None = None,
    generator: str | None = None,
) -> int:
    """Delete rows, and give their room back to the disk.

    Args:
        path: of the store.
        size: bytes that may stay; beyond, the least recently used go, pictures first.
        unused_hours: what was not used for so many whole hours of the clock goes.
        generator: fingerprint of a generator, or its beginning: its pictures go, and what models
            saw in them (but for pictures that had made room before).

    Returns:
        How many rows were deleted.

    Raises:
        StoreError: there is no such file, it is no store or cannot be written to, the beginning
            fits several generators or none, or the disk has no room to copy what stays.
    """
    with _opened(path) as database:
        try:
            with database.transaction() as connection:
                before = connection.total_changes
                if generator is not None:
                    _delete_drawn_by(connection, generator)
                if unused_hours is not None:
                    for table in TABLES:
                        connection.execute(
                            f"DELETE FROM {table} WHERE used < ?", (this_hour() - unused_hours,)
                        )
                if size is not None:
                    evict(connection, size, slack=0.0)
                deleted = connection.total_changes - before
        except sqlite3.OperationalError as error:
            raise StoreError(f"the store {path} cannot be pruned: {error}") from error
        try:
            database.vacuum()
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{deleted} rows are deleted from the store {path}, but their room, which new rows"
                f" will fill, cannot be given back to the disk: {error}"
            ) from error
    return deleted


def export(
    path: Path,
    folder: Path,
    generator: str = "",
    written: Callable[[int, int], None] | None = None,
) -> int:
    """Write pictures and ``metadata.jsonl``, a folder that Hugging Face's imagefolder loads.

    The metadata has a line for every picture: its file name, its prompt as ``text``, its seed and
    its generator's fingerprint. The pictures are the store's own lossless WebP.

    Args:
        path: of the store.
        folder: is made; must be empty if it exists.
        generator: fingerprint of the generator whose pictures to write, or its beginning.
        written: told how many pictures are written, and of how many.

    Returns:
        How many pictures were written.

    Raises:
        StoreError: there is no such file, it is no store, it has no pictures of that generator,
            or the folder is not empty.
        OSError: a file cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StoreError(f"the folder {folder} is not empty; choose another")
    chosen = f"{PICTURES} WHERE substr(generator, 1, ?) = ?", (len(generator), generator)
    with _opened(path) as database:
        total = _count(database, *chosen)
        if generator and not total:
            raise StoreError(
                f"the store {path} has no pictures of a generator whose fingerprint begins with"
                f" {generator!r}; 'rldf store info' tells whose it has"
            )
        folder.mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        query = f"SELECT key, generator, prompt, seed, content FROM {chosen[0]} ORDER BY rowid"
        for key, drawn_by, prompt, seed, content in database.rows(query, chosen[1]):
            name = f"{key}.webp"
            (folder / name).write_bytes(content)
            facts = {"file_name": name, "text": prompt, "seed": seed, "generator": drawn_by}
            lines.append(json.dumps(facts) + "\n")
            if written is not None:
                written(len(lines), total)
    # Last, so that a folder with metadata is a whole one.
    partial = folder / f"{METADATA_FILE}.partial"
    partial.write_text("".join(lines), encoding="utf-8")
    partial.replace(folder / METADATA_FILE)
    return len(lines)


@contextmanager
def _opened(path: Path) -> Iterator[Database]:
    if not path.exists():
        raise StoreError(f"there is no store {path}; name another with --store or RLDF_STORE")
    database = Database(path)
    try:
        yield database
    except sqlite3.OperationalError as error:
        raise StoreError(f"the store {path} cannot be read: {error}") from error
    finally:
        database.close()


def _count(database: Database, table: str, parameters: tuple[object, ...] = ()) -> int:
    return _number(database, f"SELECT count(*) FROM {table}", parameters)


def _number(database: Database, query: str, parameters: tuple[object, ...] = ()) -> int:
    row = database.first(query, parameters)
    return 0 if row is None else int(row[0])


def _problem(table: str, row: tuple[Any, ...]) -> str | None:
    key, *names, _, checksum, content = row
    keys: dict[str, Callable[..., str]] = {
        PICTURES: drawn_key,
        OUTPUTS: output_key,
        TEXTS: text_key,
    }
    if key != keys[table](*names):
        return "its key is not that of what it says it is"
    if zlib.crc32(content) != checksum:
        return "its content has changed since it was written"
    return _unreadable(table, content)


def _unreadable(table: str, content: bytes) -> str | None:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        if table == PICTURES:
            decode(content)
        elif table == OUTPUTS:
            load(content)
        else:
            np.frombuffer(content, np.float32)
    except (OSError, SafetensorError, ValueError) as error:
        return f"its content cannot be read: {error}"
    return None


def _delete_drawn_by(connection: sqlite3.Connection, beginning: str) -> None:
    # Of a generator that refused every prompt there are no pictures.
    query = (
        f"SELECT generator FROM {PICTURES} UNION"
        f" SELECT substr(model, {len(unavailable_by('')) + 1}) FROM {OUTPUTS}"
        f" WHERE model GLOB '{unavailable_by('*')}' ORDER BY 1"
    )
    known: list[str] = [row[0] for row in connection.execute(query)]
    found = [generator for generator in known if generator.startswith(beginning)]
    if len(found) != 1:
        raise StoreError(
            f"{len(found)} generators have a fingerprint that begins with {beginning!r}; in this"
            f" store are {', '.join(generator[:16] for generator in known) or 'none'}"
        )
    drawn = f"SELECT key FROM {PICTURES} WHERE generator = ?"
    connection.execute(f"DELETE FROM {OUTPUTS} WHERE picture IN ({drawn})", found)
    connection.execute(f"DELETE FROM {PICTURES} WHERE generator = ?", found)
    connection.execute(f"DELETE FROM {OUTPUTS} WHERE model = ?", (unavailable_by(*found),))
