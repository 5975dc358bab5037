"""The tables of a store and the keys of their rows.

Every row has a ``key``, the content hash of what decides it; ``used``, the hour of its last use;
``checksum``, the CRC-32 of its content; and its ``content``. The small columns come first, so that
searching them does not read the images.
"""

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

APPLICATION_ID = int.from_bytes(b"RLDF", "big")
SCHEMA_VERSION = 3
OLDEST_VERSION = 2

PICTURES, OUTPUTS, TEXTS, FAILURES = "pictures", "outputs", "texts", "failures"
TABLES = (PICTURES, OUTPUTS, TEXTS, FAILURES)
"""Generated images, models' outputs for images, embedded prompts, and images that a generator will
never give: the order of eviction."""

_COLUMNS = {
    PICTURES: "generator TEXT NOT NULL, prompt TEXT NOT NULL, seed INTEGER NOT NULL",
    OUTPUTS: "picture TEXT NOT NULL, model TEXT NOT NULL",
    TEXTS: "model TEXT NOT NULL, prompt TEXT NOT NULL",
    FAILURES: "generator TEXT NOT NULL",
}
_USAGE = "used INTEGER NOT NULL, checksum INTEGER NOT NULL, content BLOB NOT NULL"

_FAILED = "unavailable:"
"""Version 2 had failures among the outputs, of a model of this name and the generator."""

_FAILURES_OF_VERSION_2 = (
    f"SELECT picture AS key, substr(model, {len(_FAILED) + 1}) AS generator, used, checksum,"
    f" content FROM main.{OUTPUTS} WHERE model GLOB '{_FAILED}*'"
)

Row = tuple[object, ...]


def image_key(generator: str, prompt: str, seed: int) -> str:
    """Return the key of the image that a generator (a fingerprint) gives for prompt and seed."""
    return _digest(b"drawn", generator.encode(), prompt.encode(), str(seed).encode())


def pixels_key(picture: NDArray[np.uint8]) -> str:
    """Return the key of an image ``[H, W, 3]`` from outside, such as a target: its content."""
    return _digest(b"pixels", str(picture.shape).encode(), picture.tobytes())


def output_key(picture: str, model: str) -> str:
    """Return the key of a model's (a fingerprint's) output for an image (a key)."""
    return _digest(b"output", picture.encode(), model.encode())


def text_key(model: str, prompt: str) -> str:
    """Return the key of a prompt embedded by a model (a fingerprint)."""
    return _digest(b"text", model.encode(), prompt.encode())


def this_hour() -> int:
    """Return the whole hours since 1970, the resolution of last uses."""
    return int(time.time() // 3600)


def usage(content: bytes) -> tuple[int, int, bytes]:
    """Return the last columns of a new row of any table: used, checksum, content."""
    return this_hour(), zlib.crc32(content), content


def create(connection: sqlite3.Connection) -> None:
    """Create all tables in an empty database, inside the caller's transaction."""
    for table in TABLES:
        _create_table(connection, table)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def insert(connection: sqlite3.Connection, table: str, rows: Sequence[Row]) -> int:
    """Insert rows whose keys are new, inside the caller's transaction; return their number."""
    if not rows:
        return 0
    places = ", ".join("?" * len(rows[0]))
    statement = f"INSERT OR IGNORE INTO {table} VALUES ({places})"
    return connection.executemany(statement, rows).rowcount


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a store of version 2 up to date, inside the caller's transaction."""
    _create_table(connection, FAILURES)
    connection.execute(f"INSERT INTO {FAILURES} {_FAILURES_OF_VERSION_2}")
    connection.execute(f"DELETE FROM {OUTPUTS} WHERE model GLOB '{_FAILED}*'")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def view_as_current(connection: sqlite3.Connection) -> None:
    """Let a read-only store of version 2 be queried like one of this version."""
    connection.execute(f"CREATE TEMP VIEW {FAILURES} AS {_FAILURES_OF_VERSION_2}")


def as_current_row(table: str, row: tuple[Any, ...]) -> tuple[str, Row]:
    """Return a row of this version or the last as this version has it, and its table."""
    if table == OUTPUTS and row[2].startswith(_FAILED):
        return FAILURES, (row[1], row[2].removeprefix(_FAILED), *row[3:])
    return table, row


def _create_table(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(f"CREATE TABLE {table} (key TEXT PRIMARY KEY, {_COLUMNS[table]}, {_USAGE})")


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
