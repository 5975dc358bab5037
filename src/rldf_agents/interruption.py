"""Handle Ctrl-C between steps instead of within one."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

logger = logging.getLogger(__name__)


class DeferredInterrupt:
    """Defer the first Ctrl-C to the end of this context; a second one interrupts at once.

    A learner interrupted within an update could not be resumed exactly. So the first signal sets
    ``requested`` and calls ``on_request``, which ends the loop inside; leaving the context then
    raises KeyboardInterrupt. The same holds for SIGTERM where it raises KeyboardInterrupt, as in
    ``rldf``. Python delivers signals to the main thread only: in other threads this does nothing.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self._on_request = on_request
        self.requested = False
        self._signals: list[int] = []

    def __enter__(self) -> DeferredInterrupt:
        """Handle the signals that raise KeyboardInterrupt, and no others."""
        if threading.current_thread() is threading.main_thread():
            self._signals = [
                number
                for number in (signal.SIGINT, signal.SIGTERM)
                if signal.getsignal(number) is signal.default_int_handler
            ]
            for number in self._signals:
                signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Restore the signals and raise KeyboardInterrupt if it was requested."""
        self._restore()
        if self.requested and error is None:
            raise KeyboardInterrupt

    def _request(self, signal_number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._on_request()
        self._restore()
        logger.warning("interrupted: finishing this step; Ctrl-C again stops at once")

    def _restore(self) -> None:
        for number in self._signals:
            signal.signal(number, signal.default_int_handler)
