"""The ``rldf`` command.

Every module here that has a function of its own name adds it as a subcommand; one that has a
Typer ``app`` adds a group of subcommands named after the module. Nothing else has to be changed.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence

_OBJECTS_BETWEEN_COLLECTIONS = (50_000, 20, 20)
"""With Python's own (700, 10, 10), importing PyTorch and what is over it takes a tenth longer."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 bad input (one line on stderr), 130 Ctrl-C.

    `rldf search` also exits with 3 if nothing was found. SIGTERM acts like Ctrl-C.

    Args:
        arguments: what follows ``rldf``; None takes those of this process.
    """
    gc.set_threshold(*_OBJECTS_BETWEEN_COLLECTIONS)
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # Imported here so that Ctrl-C while the libraries load is no traceback either.
        from rldf_agents.cli.program import run

        status = run(arguments)
    except KeyboardInterrupt:
        print("rldf: error: interrupted: nothing was written", file=sys.stderr)
        status = 130
    sys.exit(status)


__all__ = ["main"]
