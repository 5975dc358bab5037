"""Handle Ctrl-C between steps instead of within one."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)


@contextmanager
def deferred_interrupt(on_request: Callable[[], None]) -> Iterator[None]:
    """Defer the first Ctrl-C to the end of this context; a second one interrupts at once.

    A learner interrupted within an update could not be resumed exactly. So the first signal calls
    ``on_request``, which ends the loop inside; leaving the context then raises KeyboardInterrupt.
    The same holds for SIGTERM where it raises KeyboardInterrupt, as in ``rldf``. Python delivers
    signals to the main thread only: in other threads this does nothing.
    """
    handled: list[int] = []
    requested = False

    def restore() -> None:
        for number in handled:
            signal.signal(number, signal.default_int_handler)

    def request(signal_number: int, frame: FrameType | None) -> None:
        nonlocal requested
        requested = True
        on_request()
        restore()
        logger.warning("interrupted: finishing this step; Ctrl-C again stops at once")

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.default_int_handler:
                signal.signal(number, request)
                handled.append(number)
    try:
        yield
    finally:
        restore()
    if requested:
        raise KeyboardInterrupt
