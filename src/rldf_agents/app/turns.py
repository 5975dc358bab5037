"""Share the models among threads: one at a time, first come first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A fair lock: every thread that waits gets its turn before another has two."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn and keep it within this context."""
        self._begin()
        try:
            yield
        finally:
            self._end()

    def pass_on(self) -> None:
        """Give the turn to the threads that wait now, and wait for the next one."""
        if len(self._waiting) > 1:
            self._end()
            self._begin()

    def _begin(self) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket)

    def _end(self) -> None:
        with self._changed:
            self._waiting.popleft()
            self._changed.notify_all()
