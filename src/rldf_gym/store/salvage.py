"""Copy what is sound in a damaged store into a new one."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rldf_gym.store.database import Database, StoreError
from rldf_gym.store.maintenance import opened, row_problem
from rldf_gym.store.schema import TABLES, Row, as_current_row, insert

_ROWS_AT_ONCE = 64
_LEAST_ROW_BYTES = 64
"""No row of a store takes less of its file."""


def salvage(
    damaged: Path, new: Path, on_progress: Callable[[int], None] | None = None
) -> dict[str, int]:
    """Copy every sound row of a store, of this version or the last, into a new store.

    A row is sound if the file still holds all of it, and its key, checksum and content fit
    together. The damaged file is only read.

    Args:
        damaged: the store.
        new: a file that does not exist yet.
        on_progress: receives now and then the number of rows copied.

    Returns:
        The number of rows copied, by table.

    Raises:
        StoreError: there is no such store, its first page is lost, or the new file exists.
    """
    if new.exists():
        raise StoreError(f"{new} exists already; name a new file to copy the sound rows to")
    if not new.absolute().parent.is_dir():
        raise StoreError(f"the folder {new.absolute().parent} does not exist; make it")
    copied = dict.fromkeys(TABLES, 0)
    with _whole(damaged) as file, opened(file, read_only=True) as source:
        tables = {row[0] for row in source.rows("SELECT name FROM main.sqlite_master")}
        target = Database(new)
        try:
            for table in filter(tables.__contains__, TABLES):
                for rows in _readable_blocks(source, table, damaged.stat().st_size):
                    sound = [
                        as_current_row(table, r) for r in rows if row_problem(table, r) is None
                    ]
                    with target.transaction() as connection:
                        for name in TABLES:
                            new_rows = [row for of, row in sound if of == name]
                            copied[name] += insert(connection, name, new_rows)
                    if on_progress is not None:
                        on_progress(sum(copied.values()))
        finally:
            target.close()
    return copied


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield the file, or a copy filled up with zeros if it was cut off: SQLite rejects those."""
    if not path.exists():
        yield path
        return
    with path.open("rb") as file:
        header = file.read(100)
    page_bytes = int.from_bytes(header[16:18], "big")
    promised = page_bytes * int.from_bytes(header[28:32], "big")
    if path.stat().st_size >= promised or not header.startswith(b"SQLite format 3"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, folder))
        os.truncate(copy, promised)
        yield copy


def _readable_blocks(source: Database, table: str, file_bytes: int) -> Iterator[list[Row]]:
    """Yield the rows of a table that can be read, a few at a time."""
    try:
        last = source.number(f"SELECT max(rowid) FROM {table}")
    except StoreError:
        last = file_bytes // _LEAST_ROW_BYTES
    for first in range(1, last + 1, _ROWS_AT_ONCE):
        yield from _readable(source, table, first, min(first + _ROWS_AT_ONCE - 1, last))


def _readable(source: Database, table: str, first: int, last: int) -> Iterator[list[Row]]:
    """Yield the readable rows of a range of numbers, halving it around those that are not."""
    query = f"SELECT * FROM {table} WHERE rowid BETWEEN ? AND ?"
    try:
        rows = list(source.rows(query, (first, last)))
    except (StoreError, sqlite3.OperationalError):
        if first < last:
            middle = (first + last) // 2
            yield from _readable(source, table, first, middle)
            yield from _readable(source, table, middle + 1, last)
    else:
        yield rows
