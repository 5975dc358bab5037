"""Exit statuses of ``rldf`` and the one line on stderr that comes with an error."""

from __future__ import annotations

import sys

FAULTY, BAD_INPUT, NOT_FOUND, INTERRUPTED = 1, 2, 3, 130


def fail(message: str, status: int) -> int:
    """Print an error as one line on stderr and return ``status``."""
    print(f"rldf: error: {one_line(message)}", file=sys.stderr)
    return status


def warn(message: str) -> None:
    """Print a warning as one line on stderr."""
    print(f"rldf: warning: {one_line(message)}", file=sys.stderr)


def one_line(text: str) -> str:
    """Return the text with all white space, line ends included, as single spaces."""
    return " ".join(text.split())
