"""How much is drawn and looked at together: as much as memory allows."""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar, runtime_checkable

Result = TypeVar("Result")

BATCH_SIZE = 16
"""States computed between two writes to the store, the most that an interruption can lose.

Of generators that do not say themselves how many pictures they draw best at once.
"""

_OUT_OF_MEMORY = ("DefaultCPUAllocator: ", "MPS backend out of memory")
"""Substrings of torch's CPU and MPS out-of-memory errors, which are plain `RuntimeError`s."""

# By fingerprint: what one world found out about a generator and this machine serves the others.
_SIZES_THAT_FIT: dict[str, int] = {}


class Fingerprinted(Protocol):
    """All that is asked of a generator here; `rldf_gym.generation.Generator` is one."""

    @property
    def fingerprint(self) -> str:
        """Tells generators apart."""
        ...


@runtime_checkable
class BatchedGenerator(Protocol):
    """A generator that says how many pictures it draws best at once."""

    @property
    def batch_size(self) -> int:
        """At least 1."""
        ...


def batch_size(generator: Fingerprinted) -> int:
    """How many pictures to draw at once: what the generator says, or what fits if that did not."""
    chosen = generator.batch_size if isinstance(generator, BatchedGenerator) else BATCH_SIZE
    return min(chosen, _SIZES_THAT_FIT.get(generator.fingerprint, chosen))


def shrink_batches(generator: Fingerprinted, size: int, error: Exception) -> bool:
    """Halve a generator's batches, after an error in a batch of that size.

    The new size is remembered until the process ends.

    Returns:
        Whether that can help: False for a batch of one, or an error that is not about memory.
    """
    if size == 1 or not is_out_of_memory(error):
        return False
    _SIZES_THAT_FIT[generator.fingerprint] = size // 2
    return True


def in_batches(
    items: Sequence[int], generator: Fingerprinted, work: Callable[[Sequence[int]], Result]
) -> Iterator[Result]:
    """Work through items in batches, halving the batch when memory runs out.

    Args:
        items: what is to be done.
        generator: what it is done with.
        work: does a batch.

    Yields:
        The result of each batch.

    Raises:
        MemoryError: memory does not suffice for a single one; or torch's own error.
    """
    done = 0
    while done < len(items):
        batch = items[done : done + batch_size(generator)]
        try:
            result = work(batch)
        except (MemoryError, RuntimeError) as error:
            if not shrink_batches(generator, len(batch), error):
                raise
        else:  # here, what a failure held in memory is free
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
