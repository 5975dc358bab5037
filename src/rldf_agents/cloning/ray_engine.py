"""Shards in the actors of Ray Data; Ray schedules, and keeps nothing that matters."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Generator, Sequence
from dataclasses import asdict
from typing import Any

from rldf_agents.cloning.engines import WorkersDiedError
from rldf_agents.cloning.shards import Job, ShardStatistics, ShardWorker, use_one_thread
from rldf_agents.errors import AgentError
from rldf_gym.errors import RLDFError

_ATTEMPTS = 3
"""Ray gives up after half a minute, which is short on a busy machine."""


def run(job: Job, shards: Sequence[int], workers: int) -> Generator[ShardStatistics, None, None]:
    """Generate shards in a pool of actors, one for each processor or GPU.

    A cluster that RAY_ADDRESS names is used, otherwise one is started on this machine, and bound to
    it if Ray was not imported before.

    Raises:
        AgentError: Ray is not installed or cannot be started.
        WorkersDiedError: Ray gave up some shards.
        Exception: what a worker raised.
    """
    ray = _start_ray(workers)
    try:
        yield from _run(ray, job, shards, workers)
    finally:
        ray.shutdown()


def _start_ray(workers: int) -> Any:
    # Nothing is reported to anyone.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    cluster = os.environ.get("RAY_ADDRESS")
    if not cluster:
        # Without clusters, Ray's servers bind to this machine; it reads this when it is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise AgentError(
            f"--engine ray needs Ray Data ({error}): pip install 'rldf-gym[ray]'"
        ) from error
    environment = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
    common: dict[str, Any] = {
        "runtime_env": environment,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": False,
    }
    if not cluster:
        common["num_cpus"] = max(workers, os.cpu_count() or 1)
        common["include_dashboard"] = False
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(**common)
            break
        except Exception as error:  # Ray raises plain ones
            ray.shutdown()
            if attempt == _ATTEMPTS:
                reason = " ".join(str(error).split())
                raise AgentError(f"Ray cannot be started: {reason}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _run(
    ray: Any, job: Job, shards: Sequence[int], workers: int
) -> Generator[ShardStatistics, None, None]:
    n_gpus = int(ray.cluster_resources().get("GPU", 0))
    share = {"num_gpus": min(1.0, n_gpus / workers)} if n_gpus else {"num_cpus": 1}
    # A block for each shard: Ray hands them out one at a time, and what it repeats is one shard.
    items = [{"shard": index} for index in shards]
    rows = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        _RayWorker,
        fn_constructor_args=(job,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(shards))),
        **share,
    )
    try:
        for row in rows.iter_rows():
            if row["error"]:
                raise AgentError(row["error"])
            yield ShardStatistics.of(json.loads(row["statistics"]))
    except (ray.exceptions.RayError, ray.exceptions.RaySystemError) as error:
        raise WorkersDiedError from error


class _RayWorker:
    """An actor: a worker behind the interface of ``map_batches``."""

    def __init__(self, job: Job) -> None:
        use_one_thread()
        self._worker = ShardWorker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        outcomes = [self._finish(int(index)) for index in batch["shard"]]
        return {
            "statistics": [statistics for statistics, _ in outcomes],
            "error": [error for _, error in outcomes],
        }

    def _finish(self, index: int) -> tuple[str, str]:
        """Return the statistics of a shard as JSON and "", or "" and what went wrong."""
        try:
            return json.dumps(asdict(self._worker.finish(index))), ""
        except (AgentError, RLDFError, OSError) as error:
            return "", str(error)
        except Exception as error:  # Ray itself would try again for ever
            return "", f"{type(error).__name__} in shard {index}: {error}"
