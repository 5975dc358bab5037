"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it replaces ``path`` if the block succeeds.

    Other processes see the old file or the new one, also after a crash.

    Raises:
        OSError: the file cannot be written; names ``path``, not the file beside it.
    """
    # The suffix stays the last, because some writers add their own to names without it.
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(partial)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or replace it, in one step."""
    with replacing(path) as partial:
        partial.write_bytes(content)
