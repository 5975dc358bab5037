"""Ctrl-C between steps instead of within one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class DeferredInterrupt:
    """Within this context the first Ctrl-C only sets ``requested``; a second one acts at once.

    A learner interrupted in the middle of an update would be neither before nor after it, and
    could not be resumed exactly. The loop inside ends when it sees ``requested``, and leaving the
    context then raises the KeyboardInterrupt that was asked for. Python delivers signals to the
    main thread only; in any other thread this context does nothing.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self._on_request = on_request
        self.requested = False
        self._active = False

    def __enter__(self) -> DeferredInterrupt:
        """Take over SIGINT, unless somebody else than Python itself already handles it."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._active = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give SIGINT back and raise the interrupt that was asked for."""
        if self._active:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.requested and error is None:
            raise KeyboardInterrupt

    def _note(self, signal_number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._on_request()
        signal.signal(signal.SIGINT, signal.default_int_handler)
