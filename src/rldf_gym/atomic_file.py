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


@contextmanager
def replacing_durably(path: Path) -> Iterator[Path]:
    """Like `replacing`, and the new file survives a power failure once the block has ended.

    The content reaches the disk before the name does, so the file is never found half-written.
    """
    with replacing(path) as partial:
        yield partial
        _flush(partial)
    _flush(path.parent)


def remove_partial_files(folder: Path) -> None:
    """Remove what killed processes left beside their files, in a folder and all below it."""
    for path in folder.rglob(".*.*"):
        if path.name.split(".")[1].isdecimal() and path.is_file():
            path.unlink(missing_ok=True)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file, or replace it, in one step that survives a power failure."""
    with replacing_durably(path) as partial:
        partial.write_bytes(content)


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file, or replace it, in one step."""
    with replacing(path) as partial:
        partial.write_bytes(content)
