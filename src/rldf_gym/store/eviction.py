"""Size limits of a store, and eviction of the least recently used rows."""

import re
import sqlite3
from collections.abc import Iterable

from rldf_gym.store.database import StoreError
from rldf_gym.store.schema import TABLES, this_hour

SIZE_QUERY = (
    "SELECT (page_count - freelist_count) * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
"""Bytes in use by a database; free pages, which the next rows fill, are not counted."""

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SLACK = 0.1

# A row has some 300 bytes beside its content: keys, fingerprints, index.
_DELETE_OLDEST = """
    DELETE FROM {table} WHERE rowid IN (
        SELECT rowid FROM (
            SELECT rowid, length(content) + 300 AS bytes,
                sum(length(content) + 300) OVER (ORDER BY used, rowid) AS total
            FROM {table}
        ) WHERE total - bytes < ?
    )
"""


def parse_size(size: int | str) -> int:
    """Return the bytes of a number or a text such as ``"500 MB"``, ``"2GB"`` or ``"1.5 GiB"``.

    Raises:
        StoreError: it is no size, or none above zero.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(size).strip().lower())
    n_bytes = 0
    if found is not None:
        number, unit, binary = found.groups()
        units = _BINARY_UNITS if binary else _UNITS
        n_bytes = int(float(number) * units.get(unit, 0))
    if n_bytes < 1:
        raise StoreError(
            f"{size!r} is no size of a store; give bytes, or such as '500 MB' or '2GB'"
        )
    return n_bytes


def touch(connection: sqlite3.Connection, table: str, keys: Iterable[str]) -> None:
    """Record the use of these rows, inside the caller's transaction."""
    hour = this_hour()
    statement = f"UPDATE {table} SET used = ? WHERE key = ?"
    connection.executemany(statement, ((hour, key) for key in keys))


def evict(connection: sqlite3.Connection, limit: int, slack: float = _SLACK) -> None:
    """Delete the least recently used rows if a database is larger than ``limit`` bytes.

    Images are deleted first, all of them if necessary: they can be generated again, and rewards
    need the outputs only. Rows used in the same hour are deleted in the order of insertion.

    Args:
        connection: in the caller's transaction.
        limit: bytes.
        slack: share of the limit that is freed in addition, so that not every insertion evicts.
    """
    if _size_of(connection) <= limit:
        return
    target = int(limit * (1 - slack))
    for table in TABLES:
        while (excess := _size_of(connection) - target) > 0:
            if not connection.execute(_DELETE_OLDEST.format(table=table), (excess,)).rowcount:
                break


def _size_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute(SIZE_QUERY).fetchone()[0])
