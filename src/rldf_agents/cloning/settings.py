"""Everything that a user can choose about a clone, checked in one place."""

from __future__ import annotations

from dataclasses import dataclass

from rldf_agents.cloning.engines import ENGINES, count_gpus
from rldf_agents.cloning.formats import make_format
from rldf_agents.cloning.plan import MOST_IN_SHARD, read_splits
from rldf_agents.errors import AgentError, require
from rldf_gym.registry import resolve
from rldf_gym.threads import available_processors

_LEAST = {"per_class": 1, "workers": 1, "examples": 1, "retry_rejected": 0, "shard_size": 1}


@dataclass(frozen=True)
class CloneSettings:
    """How to clone.

    Attributes:
        per_class: pictures of each class, at least 1.
        splits: see `read_splits`.
        class_axes: names of the axes that make a class; none for the object axes, "all" for all.
        marginals: see `read_marginals`.
        attributes: a grammar whose axes vary, with one noun in place of the class: a shipped one's
            name, or a ``.lark`` file; None for the axes of the grammar that is searched.
        seed: of the clone.
        format: a name in `FORMATS`.
        engine: a name in `ENGINES`, or ``package.module:function``.
        workers: processes or actors; None for one for each GPU, or else each processor.
        examples: the most example pictures of a class to read, at least 1.
        keep_matching: keep only pictures that read as their class.
        retry_rejected: further seeds for a picture that is rejected or cannot be generated.
        shard_size: the most pictures in a shard, 1 to `MOST_IN_SHARD`; None for as many as five
            minutes allow.

    Raises:
        AgentError: a value out of range, or an unknown name.
    """

    per_class: int
    splits: str | None = None
    class_axes: tuple[str, ...] = ()
    marginals: tuple[str, ...] = ()
    attributes: str | None = None
    seed: int = 0
    format: str = "imagefolder"
    engine: str = "local"
    workers: int | None = None
    examples: int = 16
    keep_matching: bool = False
    retry_rejected: int = 3
    shard_size: int | None = None

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            option = f"--{name.replace('_', '-')}"
            require(value is None or value >= least, option, value, f"at least {least}")
        if self.shard_size is not None and self.shard_size > MOST_IN_SHARD:
            raise AgentError(f"--shard-size is {self.shard_size}: give at most {MOST_IN_SHARD}")
        make_format(self.format)
        resolve("engine", self.engine, ENGINES)
        read_splits(self.splits, self.per_class)

    @property
    def split_counts(self) -> dict[str, int]:
        """Pictures of each class, by the name of the split."""
        return read_splits(self.splits, self.per_class)

    def n_workers(self) -> int:
        """Return the number of workers."""
        if self.workers is not None:
            return self.workers
        return count_gpus() or available_processors()
