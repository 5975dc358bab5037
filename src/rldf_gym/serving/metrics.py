"""Counters and timers of a server, in Prometheus' text format."""

import contextlib
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counters of one server; this process's memory and processor time are among them (Linux)."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "rldf_requests", "Requests answered.", ["path", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "rldf_request_seconds",
            "From a request's head to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._images = Counter("rldf_pictures", "Images generated.", registry=registry)
        self._batch_size = Histogram(
            "rldf_batch_size", "Images in a batch.", buckets=_BATCH_SIZES, registry=registry
        )
        self._full_batches = Counter(
            "rldf_full_batches", "Batches of the largest size.", registry=registry
        )
        self._batch_seconds = Histogram(
            "rldf_batch_seconds", "Generating one batch.", buckets=_SECONDS, registry=registry
        )
        self._queued = Gauge(
            "rldf_queued_pictures", "Images that wait to be generated.", registry=registry
        )
        self._generating = Gauge(
            "rldf_drawing_pictures", "Images in the batch being generated.", registry=registry
        )

    def watch_queue(self, length: Callable[[], int]) -> None:
        """Set the function that returns the number of waiting images."""
        self._queued.set_function(length)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._request_seconds.labels(path).observe(seconds)

    @contextlib.contextmanager
    def generating(self, n_images: int, *, is_full: bool) -> Iterator[None]:
        """Count and time a batch, which is generated while the context lasts."""
        self._generating.set(n_images)
        with self._batch_seconds.time():
            yield
        self._generating.set(0)
        self._images.inc(n_images)
        self._batch_size.observe(n_images)
        self._full_batches.inc(is_full)

    def text(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self._registry)
