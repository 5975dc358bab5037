"""Where shards are generated: processes of this machine, or a Ray cluster.

An engine only schedules. What is finished is decided by the records on disk, so an engine, or any
of its workers, may die at any time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import connection
from typing import Any, Protocol

from rldf_agents.cloning.shards import Job, ShardStatistics, ShardWorker, use_one_thread
from rldf_gym.registry import resolve

_AHEAD = 2
"""Shards in the queue for each worker."""

_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd")
"""One of them exists where PyTorch finds GPUs: of CUDA, of ROCm."""


class WorkersDiedError(Exception):
    """Workers were killed or crashed; what they had not finished is to be done again."""


class Engine(Protocol):
    """Generates shards in several workers."""

    def __call__(
        self, job: Job, shards: Sequence[int], workers: int
    ) -> Generator[ShardStatistics, None, None]:
        """Yield the statistics of every shard as soon as it is committed.

        Args:
            job: what the workers do.
            shards: numbers of the shards.
            workers: at least 1.

        Raises:
            WorkersDiedError: some shards may be missing.
        """
        ...


def local_engine(
    job: Job, shards: Sequence[int], workers: int
) -> Generator[ShardStatistics, None, None]:
    """Generate in processes of this machine, with one thread each; GPUs are taken in turns."""
    context = multiprocessing.get_context("spawn")
    closing, stop = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(
        min(workers, len(shards)), context, _start_worker, (job, closing, count_gpus())
    )
    waiting, running = iter(shards), set[Future[ShardStatistics]]()
    try:
        while True:
            for index in islice(waiting, workers * _AHEAD - len(running)):
                running.add(pool.submit(_finish, index))
            if not running:
                pool.shutdown()
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise WorkersDiedError from error
    finally:
        stop.close()  # ends workers at once, whatever they do
        pool.shutdown(cancel_futures=True)
        closing.close()


def ray_engine(
    job: Job, shards: Sequence[int], workers: int
) -> Generator[ShardStatistics, None, None]:
    """Generate in actors of Ray Data, one for each processor or GPU."""
    from rldf_agents.cloning.ray_engine import run

    return run(job, shards, workers)


ENGINES: dict[str, Engine] = {"local": local_engine, "ray": ray_engine}
"""Engines by the names that ``--engine`` accepts, beside ``package.module:function``."""


def make_engine(name: str) -> Engine:
    """Return an engine by its name.

    Raises:
        RLDFError: an unknown name; lists the known ones.
    """
    engine: Engine = resolve("engine", name, ENGINES)
    return engine


def count_gpus() -> int:
    """Return how many GPUs PyTorch may use, without importing it where there are none."""
    if not any(map(os.path.exists, _GPU_FILES)):
        return 0
    import torch

    return torch.cuda.device_count()


_worker: ShardWorker


def _start_worker(job: Job, closing: Any, n_gpus: int) -> None:
    global _worker
    # Ctrl-C goes to the driver, which ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_the_driver(lambda: connection.wait([closing]))
    if n_gpus:
        offered = os.environ.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(n_gpus)))
        names = offered.split(",")
        number = int(multiprocessing.current_process().name.rpartition("-")[2])
        os.environ["CUDA_VISIBLE_DEVICES"] = names[number % len(names)]
    use_one_thread()
    _worker = ShardWorker(job)


def _end_with_the_driver(wait_for_its_end: Callable[[], object]) -> None:
    def watch() -> None:
        wait_for_its_end()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _finish(index: int) -> ShardStatistics:
    return _worker.finish(index)
