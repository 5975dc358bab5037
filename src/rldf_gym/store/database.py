"""One SQLite file with the store's tables, opened at first use; foreign files stay unchanged."""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rldf_gym.errors import RLDFError
from rldf_gym.store.schema import (
    APPLICATION_ID,
    OLDEST_VERSION,
    SCHEMA_VERSION,
    TABLES,
    create,
    migrate,
    view_as_current,
)

BUSY_SECONDS = 30.0
MAPPED_BYTES = 2**31
"""Of a file, read through memory: in a store of a million rows, half the cost of its size."""

CHOOSE_ANOTHER = "choose another file (--store, store=... or the variable RLDF_STORE)"

# SQLite forbids carrying a connection across a fork, even to close it: a child keeps it untouched.
_INHERITED: list[sqlite3.Connection] = []


class StoreError(RLDFError):
    """A store that cannot be used: a file not ours, damaged, or of another version; a bad limit."""


class Database:
    """One SQLite database with the store's tables, in a file or (path None) in memory.

    A file of an earlier version is brought up to date when it is opened, in one transaction. Every
    method raises `StoreError` for a file that is not ours, damaged, or of a later version, and
    ``sqlite3.OperationalError`` for one that cannot be used now: read-only, locked, disk full.
    """

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._connection: sqlite3.Connection | None = None
        self._closing: weakref.finalize[..., Database] | None = None

    def first(self, statement: str, parameters: Sequence[object] = ()) -> tuple[Any, ...] | None:
        """Return the first row that a query finds, or None."""
        with self._damage_reported():
            row: tuple[Any, ...] | None = self._open().execute(statement, parameters).fetchone()
        return row

    def number(self, query: str, parameters: Sequence[object] = ()) -> int:
        """Return the number that a query computes; 0 for none."""
        row = self.first(query, parameters)
        return int(row[0] or 0) if row else 0

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield every row that a query finds."""
        with self._damage_reported():
            yield from self._open().execute(statement, parameters)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Apply everything done to the connection in the ``with`` block, or nothing."""
        with self._damage_reported(), _transaction(self._open()) as connection:
            yield connection

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table, oldest first."""
        return {table: list(self.rows(f"SELECT * FROM {table} ORDER BY rowid")) for table in TABLES}

    def vacuum(self) -> None:
        """Give free pages back to the disk; needs as much free space as the file is large."""
        with self._damage_reported():
            self._open().execute("VACUUM")

    def close(self) -> None:
        """Close the connection; the next use opens another (an empty one, if in memory)."""
        if self._closing is not None:
            self._closing()
            self._connection = self._closing = None

    def leave_to_parent(self) -> None:
        """Forget the connection without closing it, in a forked child."""
        if self._connection is not None and self._closing is not None:
            self._closing.detach()
            _INHERITED.append(self._connection)
            self._connection = self._closing = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
            # From 3.13 on, Python complains of a connection that nobody closed.
            self._closing = weakref.finalize(self, self._connection.close)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._path is None:
            return _connected(":memory:", self._prepare)
        if self._path.is_dir():
            raise self._error("it is a folder")
        is_writable = all(os.access(path, os.W_OK) for path in (self._path, self._path.parent))
        if not self._read_only and (is_writable or not self._path.exists()):
            return _connected(str(self._path), self._prepare)
        address = f"file:{quote(str(self._path.absolute()))}?mode=ro"
        try:
            return _connected(address, self._prepare_read_only)
        except sqlite3.OperationalError:
            # Readers of a file in WAL mode share an index beside it, which they cannot make in a
            # read-only folder. Without a journal to read there, the file is all there is.
            journal = self._path.with_name(f"{self._path.name}-wal")
            if journal.exists() and journal.stat().st_size:
                raise
            return _connected(f"{address}&immutable=1", self._prepare_read_only)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create the schema in a new file, or make sure that the file is ours, before any write."""
        if _pragma(connection, "page_count") == 0:
            # The schema goes in before WAL is turned on: so the file itself, not its journal,
            # says whose it is from the first moment on. Another process may be doing the same.
            with _transaction(connection):
                if _pragma(connection, "application_id") != APPLICATION_ID:
                    create(connection)
        if self._version(connection) < SCHEMA_VERSION:
            with _transaction(connection):
                # Another process may have been first.
                if self._version(connection) < SCHEMA_VERSION:
                    migrate(connection)
        _turn_on_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")

    def _prepare_read_only(self, connection: sqlite3.Connection) -> None:
        """Make sure that a file is ours."""
        if self._version(connection) < SCHEMA_VERSION:
            view_as_current(connection)

    def _version(self, connection: sqlite3.Connection) -> int:
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise self._error("it is a database of another program")
        version = _pragma(connection, "user_version")
        if not OLDEST_VERSION <= version <= SCHEMA_VERSION:
            raise self._error(
                f"its version is {version}, and this release reads {OLDEST_VERSION} to"
                f" {SCHEMA_VERSION}"
            )
        return version

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise self._error(str(error)) from error

    def _error(self, reason: str) -> StoreError:
        return StoreError(
            f"{self._path} cannot be used as a store of RLDF Gym: {reason}. It was left as it is;"
            f" {CHOOSE_ANOTHER}"
        )


def _connected(address: str, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        uri=address.startswith("file:"),
    )
    try:
        connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _turn_on_wal(connection: sqlite3.Connection) -> None:
    """Let readers read while one writes; for this switch alone SQLite does not wait by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
