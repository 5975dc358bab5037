"""Batch sizes: what a generator prefers, and what fits into memory."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Result = TypeVar("Result")

BATCH_SIZE = 16
"""Images per batch of a generator that states no preference; an interruption loses at most one."""

_OUT_OF_MEMORY = ("DefaultCPUAllocator: ", "MPS backend out of memory")
"""Substrings of torch's CPU and MPS out-of-memory errors, which are plain `RuntimeError`s."""


def batch_size(generator: object) -> int:
    """Return how many images a generator prefers to generate at once: its ``batch_size``."""
    return int(getattr(generator, "batch_size", BATCH_SIZE))


class BatchLimit:
    """The largest batch that fits into memory, found by halving the one that did not."""

    def __init__(self) -> None:
        self._most = sys.maxsize

    def apply(self, preferred: int) -> int:
        """Return the preferred size, or the limit if that is smaller."""
        return min(preferred, self._most)

    def lower(self, failed: int, error: Exception) -> bool:
        """Halve the limit, after an error in a batch of ``failed`` items.

        Returns:
            Whether that can help: False for a batch of one, or an error that is not about memory.
        """
        if failed == 1 or not is_out_of_memory(error):
            return False
        self._most = failed // 2
        return True

    def in_batches(
        self,
        items: Sequence[int],
        preferred: Callable[[], int],
        work: Callable[[Sequence[int]], Result],
    ) -> Iterator[Result]:
        """Work through items in batches, halving the batch when memory runs out.

        Args:
            items: what is to be done.
            preferred: the batch size without a limit; it may change between batches.
            work: does a batch.

        Yields:
            The result of each batch.

        Raises:
            MemoryError: memory does not suffice for a single item; or torch's own error.
        """
        done = 0
        while done < len(items):
            batch = items[done : done + self.apply(preferred())]
            try:
                result = work(batch)
            except (MemoryError, RuntimeError) as error:
                if not self.lower(len(batch), error):
                    raise
            else:  # here, the memory of a failure is free
                done += len(batch)
                yield result


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error says that memory ran out: Python's, or torch's on any device."""
    torch = sys.modules.get("torch")
    return (
        isinstance(error, MemoryError)
        or (torch is not None and isinstance(error, torch.OutOfMemoryError))
        or any(text in str(error) for text in _OUT_OF_MEMORY)
    )
