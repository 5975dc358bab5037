"""Keep PyTorch's OpenMP threads from slowing down a busy machine.

At the end of every parallel loop, the threads of libgomp, PyTorch's OpenMP library on Linux, wait
for each other in a busy loop of several milliseconds. Two processes on the same cores then mostly
wait: each runs some twenty times slower than alone. A short busy loop avoids that. libgomp reads
its length when PyTorch is imported, so ``import rldf_gym`` sets it.

A sleeping thread has to be woken, which can take longer than a layer of a small model. So `compute`
shares out a batch of such a model among threads that each go through all layers alone
(benchmarks/busy_machine.py).
"""

import contextlib
import functools
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rldf_gym.errors import RLDFError

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")

SPIN_COUNT = 1000
"""Iterations that a thread waits in a busy loop before it sleeps."""

_SMALL_NETWORK = 20_000_000
"""Parameters up to which a layer takes about as long as waking a thread."""

_USER_SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS")
_USER_CHOSE_THREADS = "OMP_NUM_THREADS" in os.environ
"""Taken at import: ultralytics sets the variable later."""


def bound_spinning() -> None:
    """Set GOMP_SPINCOUNT for this process and its children, unless the user chose a setting.

    It has no effect on a PyTorch that is imported already, nor where PyTorch uses another library
    than libgomp (macOS).
    """
    if not any(name in os.environ for name in _USER_SETTINGS):
        os.environ["GOMP_SPINCOUNT"] = str(SPIN_COUNT)


@functools.cache
def limit_torch_threads() -> None:
    """Give PyTorch at most as many threads as this process has processors, once per process.

    PyTorch counts the processors of the machine and does not know the quota of a container. More
    threads than processors wait for each other, however they wait. A user's OMP_NUM_THREADS, or a
    smaller number set with `torch.set_num_threads`, stays.
    """
    import torch

    if not _USER_CHOSE_THREADS:
        torch.set_num_threads(min(torch.get_num_threads(), available_processors()))


def compute(
    network: "torch.nn.Module | None",
    size: int,
    work: Callable[[slice], Result],
    share: int,
    at_most: int = sys.maxsize,
) -> list[Result]:
    """Let a network work through items without gradients.

    On a CPU, a small network computes shares of the items in several threads, at least two shares.
    Another, and any where the user set OMP_NUM_THREADS, computes a whole batch as PyTorch does.

    Args:
        network: what computes; None where that is not known.
        size: number of items.
        work: does a part of them, in this or another thread.
        share: most items that a thread takes at once. Shares do not depend on the number of
            processors: rounding may depend on the number of items that are computed at once.
        at_most: items in a whole batch.

    Returns:
        What `work` returned for each part, in order.
    """
    import torch

    if _USER_CHOSE_THREADS or not is_small(network):
        with torch.inference_mode():
            return [work(slice(i, min(i + at_most, size))) for i in range(0, size, at_most)]

    def alone(start: int) -> Result:
        with _one_thread(), torch.inference_mode():
            return work(slice(start, min(start + n_each, size)))

    n_each = max(1, min(share, math.ceil(size / 2)))
    starts = range(0, size, n_each)
    n_threads = min(len(starts), _number_of_threads())
    if n_threads <= 1:
        return [alone(start) for start in starts]
    with ThreadPoolExecutor(n_threads) as threads:
        return list(threads.map(alone, starts))


_lock = threading.Lock()
_n_alone, _threads_before = 0, 1


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread in this thread.

    PyTorch's number is of the thread that sets it and of all that start later. So the number to
    return to is the one from before any thread was in here.
    """
    global _n_alone, _threads_before
    import torch

    with _lock:
        # A thread's first question sets its number to that of the process: ask in any case.
        current = torch.get_num_threads()
        if _n_alone == 0:
            _threads_before = current
        _n_alone += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _n_alone -= 1
            torch.set_num_threads(_threads_before)


def _number_of_threads() -> int:
    import torch

    with _lock:
        return _threads_before if _n_alone else torch.get_num_threads()


def is_small(network: "torch.nn.Module | None") -> bool:
    """Return whether a network is on a CPU, and so small that threads do not help in a layer."""
    if network is None:
        return False
    weights = list(network.parameters())
    on_cpu = all(weight.device.type == "cpu" for weight in weights)
    return on_cpu and sum(weight.numel() for weight in weights) <= _SMALL_NETWORK


class ForkedTorchError(RLDFError):
    """PyTorch is needed in a process that was forked from one that had imported it."""


_forked_with_torch = False


def check_not_forked() -> None:
    """Check that PyTorch works in this process; its threads do not survive a fork.

    Raises:
        ForkedTorchError: this process was forked from one that had imported PyTorch. Without this
            check, it would wait forever.
    """
    if _forked_with_torch:
        raise ForkedTorchError(
            "PyTorch does not work in a process that was forked from one that uses it; start"
            " processes with 'spawn': gym.make_vec(..., vectorization_mode='async',"
            " vector_kwargs={'context': 'spawn'}), or use the default vectorization"
        )


def _note_fork() -> None:
    global _forked_with_torch
    _forked_with_torch = "torch" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def available_processors(
    cgroup_file: Path = Path("/proc/self/cgroup"), cgroups: Path = Path("/sys/fs/cgroup")
) -> int:
    """Return how many processors this process may use, by its affinity and its cgroups' quotas.

    Args:
        cgroup_file: lists the cgroups of this process.
        cgroups: where the cgroup file systems are mounted.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    lines = cgroup_file.read_text().splitlines() if cgroup_file.is_file() else []
    groups = [line.split(":", 2) for line in lines]
    quotas = [_quota(controllers, group, cgroups) for _, controllers, group in groups]
    return max(1, math.floor(min([allowed, *quotas])))


def _quota(controllers: str, group: str, cgroups: Path) -> float:
    """Return the least quota, in processors, of a cgroup and the groups around it."""
    if controllers == "":  # cgroup v2
        root, names = cgroups, ["cpu.max"]
    elif "cpu" in controllers.split(","):
        root, names = cgroups / controllers, ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
    else:
        return math.inf
    # Inside a container, the path may be the host's; the root is then the container's own group.
    folder = root / group.lstrip("/")
    folders = [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]
    return min(_folder_quota([each / name for name in names]) for each in folders)


def _folder_quota(files: list[Path]) -> float:
    if not all(file.is_file() for file in files):
        return math.inf
    quota, period = " ".join(file.read_text() for file in files).split()
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
