"""The tables of a store: what a row is kept under, and how earlier releases' files become ours.

Every row has a ``key``, the content hash of what decides it; ``used``, the hour of its last use;
``checksum``, the CRC-32 of its content; and its ``content``. The small columns come first, so that
looking through them does not read the pictures.
"""

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

APPLICATION_ID = int.from_bytes(b"RLDF", "big")
SCHEMA_VERSION = 2

PICTURES, OUTPUTS, TEXTS = "pictures", "outputs", "texts"
TABLES = (PICTURES, OUTPUTS, TEXTS)
"""Pictures drawn, what models saw in pictures, and embedded prompts: the order of eviction."""

_COLUMNS = {
    PICTURES: "generator TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL",
    OUTPUTS: "picture TEXT NOT NULL, model TEXT NOT NULL",
    TEXTS: "model TEXT NOT NULL, prompt TEXT NOT NULL",
}
_KEPT = "used INTEGER NOT NULL, checksum INTEGER NOT NULL, content BLOB NOT NULL"
_MOVED_AT_ONCE = 32

Row = tuple[object, ...]


def drawn_key(generator: str, prompt: str, seed: int) -> str:
    """Key of the picture that a generator (by its fingerprint) draws for a prompt and a seed."""
    return _digest(b"drawn", generator.encode(), prompt.encode(), str(seed).encode())


def pixels_key(picture: NDArray[np.uint8]) -> str:
    """Key of a picture ``[H, W, 3]`` that came from outside, such as a target: its content."""
    return _digest(b"pixels", str(picture.shape).encode(), picture.tobytes())


def output_key(picture: str, model: str) -> str:
    """Key of what a model (by its fingerprint) saw in a picture (by its key)."""
    return _digest(b"output", picture.encode(), model.encode())


def text_key(model: str, prompt: str) -> str:
    """Key of a prompt embedded by a model (by its fingerprint)."""
    return _digest(b"text", model.encode(), prompt.encode())


def unavailable_by(generator: str) -> str:
    """Under whose name outputs tell that a generator (by its fingerprint) gives no picture."""
    return f"unavailable:{generator}"


def this_hour() -> int:
    """Whole hours since 1970: as fine as last uses are told apart."""
    return int(time.time() // 3600)


def kept(content: bytes) -> tuple[int, int, bytes]:
    """The last columns of a new row, the same in every table: used, checksum, content."""
    return this_hour(), zlib.crc32(content), content


def create(connection: sqlite3.Connection) -> None:
    """Make an empty database a store, inside the caller's transaction."""
    for table in TABLES:
        connection.execute(
            f"CREATE TABLE {table} (key TEXT PRIMARY KEY, {_COLUMNS[table]}, {_KEPT})"
        )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[Row]) -> int:
    """Insert rows whose keys are new, inside the caller's transaction; return their number."""
    if not rows:
        return 0
    places = ", ".join("?" * len(rows[0]))
    statement = f"INSERT OR IGNORE INTO {table} VALUES ({places})"
    return connection.executemany(statement, rows).rowcount


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store of an earlier version up to date, inside the caller's transaction.

    Nothing that was kept is lost, and nothing is drawn or read anew. Rows move over in small
    lots, so that the room of those that have moved serves those that follow.

    Raises:
        sqlite3.DatabaseError: its rows are not those of that version.
    """
    try:
        for step in _STEPS[version - 1 :]:
            step(connection)
    except (TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(f"it cannot be brought up to date ({error})") from error
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _from_1_to_2(connection: sqlite3.Connection) -> None:
    for table in TABLES:
        connection.execute(f"ALTER TABLE {table} RENAME TO earlier_{table}")
    create(connection)
    # Version 1: key, generator, prompt, seed, picture | picture, model, output | model, prompt, ...
    _move(connection, PICTURES, lambda *row: (*row[:-1], *kept(row[-1])))
    _move(connection, OUTPUTS, lambda *row: (output_key(*row[:2]), *row[:2], *kept(row[-1])))
    _move(connection, TEXTS, lambda *row: (text_key(*row[:2]), *row[:2], *kept(row[-1])))


_STEPS = (_from_1_to_2,)
"""What leads from version 1 to 2, from 2 to 3, and so on."""


def _move(connection: sqlite3.Connection, table: str, changed: Callable[..., Row]) -> None:
    """Move rows from ``earlier_TABLE`` into ``TABLE``, changed, and drop the emptied table."""
    some = f"SELECT rowid, * FROM earlier_{table} ORDER BY rowid LIMIT {_MOVED_AT_ONCE}"
    while rows := connection.execute(some).fetchall():
        new = [changed(*row[1:]) for row in rows]
        places = ", ".join("?" * len(new[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({places})", new)
        connection.execute(f"DELETE FROM earlier_{table} WHERE rowid <= ?", (rows[-1][0],))
    connection.execute(f"DROP TABLE earlier_{table}")


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
