"""A queue of requested images, generated in batches by one thread."""

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rldf_gym.batching import batch_size
from rldf_gym.failed_images import FailedImage, Image
from rldf_gym.generation import Generator, generate
from rldf_gym.serving.errors import RequestError, ServingError
from rldf_gym.serving.metrics import Metrics

_REMEMBERED = 8
"""Recent batches by which the number of clients and the speed are judged."""

_LONGEST_RETRY = 60
"""Seconds; longer ones the openai client ignores."""

logger = logging.getLogger("uvicorn.error")


Outcome = Image | FailedImage


@dataclass(frozen=True)
class QueueSettings:
    """How requests are gathered into batches.

    Attributes:
        max_batch: images per batch; None for the generator's preferred number.
        max_wait: maximum seconds to wait for a batch to fill.
        max_queue: images that may wait; further requests are rejected.

    Raises:
        ServingError: a number out of range.
    """

    max_batch: int | None = None
    max_wait: float = 0.05
    max_queue: int = 256

    def __post_init__(self) -> None:
        if self.max_batch is not None and self.max_batch < 1:
            raise ServingError(f"max_batch is {self.max_batch}; give at least 1")
        if not 0 <= self.max_wait <= 10:
            raise ServingError(f"max_wait is {self.max_wait}; give 0 to 10 seconds")
        if self.max_queue < 1:
            raise ServingError(f"max_queue is {self.max_queue}; give at least 1")


@dataclass(frozen=True, eq=False)
class _Job:
    prompt: str
    seed: int
    outcome: "asyncio.Future[Outcome]"


class ImageQueue:
    """Generates requested images in batches, in the order of their arrival.

    A batch starts when it is full, when as many images wait as in recent batches, or after
    `max_wait`. So a lone client never waits, and clients that request one image after the other
    come to share batches.
    """

    def __init__(
        self,
        generator: Generator,
        thread: ThreadPoolExecutor,
        settings: QueueSettings,
        metrics: Metrics,
    ) -> None:
        """Generate in this thread, which ends with `running`."""
        self._generator = generator
        self._thread = thread
        self._settings = settings
        self._metrics = metrics
        self._waiting: deque[_Job] = deque()
        self._recent: deque[int] = deque(maxlen=_REMEMBERED)
        self._seconds_each: deque[float] = deque(maxlen=_REMEMBERED)
        self._arrival = asyncio.Event()
        metrics.watch_queue(self.__len__)

    def __len__(self) -> int:
        """Return the number of images that wait."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Generate while the context lasts; leave it when all requests are answered."""
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker
            self._thread.shutdown(cancel_futures=True)

    async def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[Outcome]:
        """Queue images and wait for them; a cancelled call removes what still waits.

        Raises:
            RequestError: too many are waiting; none of these was queued.
            Exception: what the generator raised for one of these.
        """
        self._check_space(len(prompts))
        loop = asyncio.get_running_loop()
        jobs = [_Job(p, s, loop.create_future()) for p, s in zip(prompts, seeds, strict=True)]
        self._waiting.extend(jobs)
        self._arrival.set()
        try:
            await asyncio.gather(*(job.outcome for job in jobs), return_exceptions=True)
        except asyncio.CancelledError:
            self._waiting = deque(job for job in self._waiting if job not in jobs)
            raise
        return [job.outcome.result() for job in jobs]

    def _check_space(self, n_images: int) -> None:
        capacity = self._settings.max_queue
        if n_images > capacity:
            message = f"n is {n_images}, but no more than {capacity} images may wait here"
            raise RequestError(400, message, "invalid_value", "n")
        if len(self) + n_images > capacity:
            each = sum(self._seconds_each) / max(len(self._seconds_each), 1)
            # By then, today's queue is empty.
            seconds = min(max(1, math.ceil(each * len(self))), _LONGEST_RETRY)
            message = f"{len(self)} images are waiting already; try again in {seconds} seconds"
            raise RequestError(503, message, "queue_full", headers={"Retry-After": str(seconds)})

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            size = self._settings.max_batch or batch_size(self._generator)
            batch = await self._gather(size)
            start = time.perf_counter()
            with self._metrics.generating(len(batch), is_full=len(batch) >= size):
                outcomes = await loop.run_in_executor(self._thread, self._outcomes, batch)
            self._seconds_each.append((time.perf_counter() - start) / len(batch))
            self._recent.append(len(batch) + len(self._waiting))
            for job, outcome in zip(batch, outcomes, strict=True):
                _settle(job.outcome, outcome)

    async def _gather(self, size: int) -> list[_Job]:
        """Return the next batch, of 1 to ``size`` images."""
        await self._until(1, None)
        await self._until(min(size, max(self._recent, default=1)), self._settings.max_wait)
        return [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]

    async def _until(self, n_waiting: int, seconds: float | None) -> None:
        """Wait until so many images are queued, for so long at most."""

        async def arrivals() -> None:
            while len(self._waiting) < n_waiting:
                self._arrival.clear()
                await self._arrival.wait()

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(arrivals(), seconds)

    def _outcomes(self, jobs: Sequence[_Job]) -> list[Outcome | Exception]:
        """Return the outcome of each; if a batch fails, generate each image alone."""
        try:
            prompts, seeds = [job.prompt for job in jobs], [job.seed for job in jobs]
            return [*generate(self._generator, prompts, seeds)]
        except Exception as error:  # generators run libraries that raise their own kinds
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self._outcomes([job])]
            logger.exception("an image could not be generated")
            return [error]


def _settle(future: "asyncio.Future[Outcome]", outcome: Outcome | Exception) -> None:
    if future.done():  # the client is gone
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
