"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it replaces ``path`` if the block succeeds.

    Other processes see the old file or the new one, also after a crash.
    """
    # The suffix stays the last, because some writers add their own to names without it.
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or replace it, in one step."""
    with replacing(path) as partial:
        partial.write_bytes(content)
