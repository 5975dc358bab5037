"""One SQLite file with the store's tables: opened at first use, never overwritten if not ours."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rldf_gym.errors import RLDFError

APPLICATION_ID = int.from_bytes(b"RLDF", "big")
SCHEMA_VERSION = 1
BUSY_SECONDS = 30.0

_SCHEMA = (
    "CREATE TABLE pictures (key TEXT PRIMARY KEY, generator TEXT NOT NULL, prompt TEXT NOT NULL,"
    " seed INTEGER NOT NULL, picture BLOB NOT NULL)",
    "CREATE TABLE outputs (picture TEXT NOT NULL, model TEXT NOT NULL, output BLOB NOT NULL,"
    " PRIMARY KEY (picture, model))",
    "CREATE TABLE texts (model TEXT NOT NULL, prompt TEXT NOT NULL, embedding BLOB NOT NULL,"
    " PRIMARY KEY (model, prompt))",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


# SQLite forbids carrying a connection across a fork, even to close it: a child keeps it untouched.
_INHERITED: list[sqlite3.Connection] = []


class StoreError(RLDFError):
    """A store file that cannot be used: not ours, damaged, or of another version."""


class Database:
    """One SQLite database with the store's tables, in a file or (path None) in memory.

    Every method raises `StoreError` for a file that is not ours or damaged, and
    ``sqlite3.OperationalError`` for one that cannot be used now: read-only, locked, disk full.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def first(self, statement: str, key: tuple[str, ...]) -> bytes | None:
        """First column of the first row that a query finds, or None."""
        with self._damage_refused():
            row = self._open().execute(statement, key).fetchone()
        return None if row is None else row[0]

    def insert(self, statement: str, rows: Sequence[tuple[object, ...]]) -> bool:
        """Insert rows in one transaction; True if none of them was ignored."""
        with self._damage_refused():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                inserted = connection.executemany(statement, rows).rowcount
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        return inserted == len(rows)

    def close(self) -> None:
        """Close the connection; the next use opens another (an empty one, if in memory)."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def leave_to_parent(self) -> None:
        """Forget the connection without closing it, in a forked child."""
        if self._connection is not None:
            _INHERITED.append(self._connection)
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self._path is not None:
            if self._path.is_dir():
                raise self._refusal("it is a folder")
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise sqlite3.OperationalError(str(error)) from error
        connection = sqlite3.connect(
            ":memory:" if self._path is None else self._path,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create the schema in a new file, or make sure that the file is ours, before any write."""
        if _pragma(connection, "page_count") == 0:
            # The schema goes in before WAL is turned on: so the file itself, not its journal,
            # says whose it is from the first moment on. Another process may be doing the same.
            connection.execute("BEGIN IMMEDIATE")
            if _pragma(connection, "application_id") != APPLICATION_ID:
                for statement in _SCHEMA:
                    connection.execute(statement)
            connection.execute("COMMIT")
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise self._refusal("it is a database of another program")
        version = _pragma(connection, "user_version")
        if version != SCHEMA_VERSION:
            raise self._refusal(
                f"its version is {version}, and this release reads {SCHEMA_VERSION}"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def _damage_refused(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            raise self._refusal(str(error)) from error

    def _refusal(self, reason: str) -> StoreError:
        return StoreError(
            f"{self._path} cannot serve as a store of RLDF Gym: {reason}. It was left as it is;"
            " move it away, or choose another with store=... or the variable RLDF_STORE."
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
