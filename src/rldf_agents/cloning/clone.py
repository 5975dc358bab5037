"""Clone a data set: from class folders to a larger synthetic one."""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from rldf_agents.cloning.engines import WorkersDiedError, make_engine
from rldf_agents.cloning.formats import Row
from rldf_agents.cloning.identity import LOCK_FILE, CloneFile, load_clone_file, require_same
from rldf_agents.cloning.manifest import write_manifest, write_metadata
from rldf_agents.cloning.matching import ClassMatch, class_axes, match_class
from rldf_agents.cloning.plan import MOST_IN_SHARD, Plan, check_attempts
from rldf_agents.cloning.planning import (
    attribute_grammar,
    check_requests,
    check_variation,
    make_plan,
)
from rldf_agents.cloning.settings import CloneSettings
from rldf_agents.cloning.shards import (
    Job,
    ShardStatistics,
    encode_png,
    read_record,
    require_space,
)
from rldf_agents.cloning.source import SourceClass, read_source
from rldf_agents.errors import AgentError
from rldf_gym.atomic_file import remove_partial_files
from rldf_gym.batching import batch_size
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.failed_images import FailedImage
from rldf_gym.generation import generate

_SHARD_SECONDS = 300
_MOST_DEATHS = 3
"""How often workers may die in a row without a shard in between."""

_ENTRY_BYTES = 5_000
"""Of a picture's entries in record, manifest and metadata."""


class Clone:
    """A clone in its folder, with what is finished and what is missing; `open_clone` makes it.

    Attributes:
        out: its folder.
        settings: how to clone.
        sources: the classes of the source with their examples.
        matches: what was found for each class.
        plan: all pictures.
        job: what workers receive.
        finished: numbers of the finished shards.
        totals: their statistics together.
    """

    def __init__(
        self,
        out: Path,
        settings: CloneSettings,
        sources: Sequence[SourceClass],
        file: CloneFile,
        evaluator: StateEvaluator,
        plan: Plan,
    ) -> None:
        self.out = out
        self.settings = settings
        self.sources = sources
        self.matches = file.matches
        self.plan = plan.with_shard_size(file.shard_size)
        self._picture_bytes = file.picture_bytes
        self.job = Job(
            out=out,
            plan=self.plan,
            generator=evaluator.generator,
            perception=evaluator.perception,
            batch=file.batch,
            format_name=settings.format,
            keep_matching=settings.keep_matching,
            retries=settings.retry_rejected,
        )
        self.finished: set[int] = set()
        self.totals = ShardStatistics(0)
        self._find_finished(range(self.plan.layout.n_shards))

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are not finished: the plan without what is on disk."""
        return [n for n in range(self.plan.layout.n_shards) if n not in self.finished]

    @property
    def n_done(self) -> int:
        """Pictures of the finished shards, the dropped ones included."""
        layout = self.plan.layout
        return sum(layout.shard(number).count for number in self.finished)

    def run(self, on_shard: Callable[[ShardStatistics], None] = lambda statistics: None) -> None:
        """Generate what is missing.

        Args:
            on_shard: called with the statistics of every shard as soon as it is on disk.

        Raises:
            AgentError: too little disk space, or workers die again and again.
            RLDFError: a picture cannot be generated or read.
            KeyboardInterrupt: Ctrl-C; its text says what is kept.
        """
        engine = make_engine(self.settings.engine)
        deaths = 0
        while missing := self.missing:
            left = self.plan.layout.n_pictures - self.n_done
            require_space(self.out, left * (self._picture_bytes + _ENTRY_BYTES))
            before = len(self.finished)
            try:
                with closing(engine(self.job, missing, self.settings.n_workers())) as shards:
                    for statistics in shards:
                        self._add(statistics)
                        on_shard(statistics)
            except WorkersDiedError:
                # What they committed before is found on disk.
                self._find_finished([n for n in missing if n not in self.finished])
            except KeyboardInterrupt as interrupt:
                self._find_finished([n for n in missing if n not in self.finished])
                raise KeyboardInterrupt(self._kept()) from interrupt
            deaths = 0 if len(self.finished) > before else deaths + 1
            if deaths == _MOST_DEATHS:
                raise AgentError(
                    f"the workers of the engine {self.settings.engine!r} died {deaths} times in a"
                    " row: give fewer --workers, or a smaller --set batch_size;"
                    f" {self._kept()}"
                )

    def finish(self) -> None:
        """Write the manifest and, for image folders, metadata.jsonl."""
        remove_partial_files(self.out)  # of workers that died in this run
        write_manifest(self.out, self.rows())
        if self.settings.format == "imagefolder":
            write_metadata(self.out, self.rows())

    def rows(self) -> Iterator[list[Row]]:
        """Yield the rows of every finished shard, in order."""
        for shard in self.plan.layout.shards():
            record = read_record(self.job.record_path(shard))
            if record is None:
                raise AgentError(
                    f"the record of shard {shard.name} in {self.out} vanished: the same command"
                    " generates it again"
                )
            yield record["pictures"]

    def _find_finished(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            record = read_record(self.job.record_path(self.plan.layout.shard(number)))
            if record is None:
                continue
            files = {row["file"] for row in record["pictures"]} | record["files"].keys()
            if all((self.out / file).is_file() for file in files):
                self._add(record["statistics"])

    def _add(self, statistics: ShardStatistics) -> None:
        self.finished.add(statistics.number)
        self.totals.add(statistics)

    def _kept(self) -> str:
        return (
            f"{self.n_done} of {self.plan.layout.n_pictures} pictures are finished; the same"
            " command continues"
        )


@contextmanager
def open_clone(
    source: Path,
    out: Path,
    evaluator: StateEvaluator,
    settings: CloneSettings,
    on_source: Callable[[Sequence[SourceClass]], None] = lambda sources: None,
    on_match: Callable[[ClassMatch], None] = lambda match: None,
) -> Iterator[Clone]:
    """Begin a clone, or continue the one in a folder.

    A new one begins with the search for the state of each class.

    Args:
        source: class folders; see `read_source`.
        out: folder of the clone.
        evaluator: generates and reads while states are searched.
        settings: how to clone.
        on_source: called with the classes that were read.
        on_match: called with what was found for each class.

    Raises:
        AgentError: a source, folder or setting that cannot be used, another clone in the folder, or
            another process that is at work in it.
        RLDFError: a picture cannot be generated or read.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise AgentError("rldf clone needs pyarrow: pip install 'rldf-gym[clone]'")
    if out.resolve().is_relative_to(source.resolve()):
        raise AgentError(f"--out {out} is inside the source {source}: choose another folder")
    if out.exists() and not out.is_dir():
        raise AgentError(f"the output folder {out} is a file: choose another")
    out = out.absolute()
    file = load_clone_file(out)
    grammar = evaluator.grammar
    axes = class_axes(grammar, settings.class_axes)
    check_variation(grammar, settings, axes)
    sources = read_source(source, settings.examples)
    check_attempts(len(sources) * settings.per_class, settings.retry_rejected + 1)
    check_requests(evaluator.generator, settings, len(sources))
    identity = _identity(evaluator, settings, sources, axes)
    if file is not None:
        require_same(out, file.identity, identity)
    on_source(sources)
    with _only_writer(out):
        remove_partial_files(out)
        matches = [] if file is None else list(file.matches)
        if file is None:
            for each in sources:
                matches.append(match_class(evaluator, each, axes))
                on_match(matches[-1])
        plan = make_plan(evaluator, settings, axes, matches)
        if file is None:
            file = _measured(evaluator, settings, plan, identity, matches)
            n_bytes = plan.layout.n_pictures * (file.picture_bytes + _ENTRY_BYTES)
            require_space(out, n_bytes)
            file.save(out)
        yield Clone(out, settings, sources, file, evaluator, plan)


def _identity(
    evaluator: StateEvaluator,
    settings: CloneSettings,
    sources: Sequence[SourceClass],
    axes: Sequence[int],
) -> dict[str, Any]:
    models = evaluator.perception.models()
    attributes = attribute_grammar(settings)
    return {
        "source": {each.name: each.digest for each in sources},
        "grammar": evaluator.grammar.fingerprint,
        "attributes": None if attributes is None else attributes.fingerprint,
        "generator": evaluator.generator.fingerprint,
        "perception": {name: model.fingerprint for name, model in sorted(models.items())},
        "generation_seed": evaluator.generation_seed,
        "class_axes": [evaluator.grammar.axis_names[axis] for axis in axes],
        "shard_size": settings.shard_size,
        "splits": settings.split_counts,
        "marginals": sorted(settings.marginals),
        **{
            name: getattr(settings, name)
            for name in ("per_class", "seed", "format", "examples", "keep_matching")
        },
        "retry_rejected": settings.retry_rejected,
    }


def _measured(
    evaluator: StateEvaluator,
    settings: CloneSettings,
    plan: Plan,
    identity: dict[str, Any],
    matches: Sequence[ClassMatch],
) -> CloneFile:
    """Return a new clone's file, with the time and size of a batch of its pictures."""
    batch = batch_size(evaluator.generator)
    some = plan.numbered(range(min(batch, plan.layout.n_pictures)))
    prompts, seeds = [each.prompt for each in some], [each.seed for each in some]
    generate(evaluator.generator, prompts[:1], seeds[:1])  # loads the model
    started = time.monotonic()
    images = generate(evaluator.generator, prompts, seeds)
    sizes = [len(encode_png(image)) for image in images if not isinstance(image, FailedImage)]
    per_picture = max((time.monotonic() - started) / len(some), 1e-6)
    batches = math.floor(_SHARD_SECONDS / per_picture / batch)
    return CloneFile(
        identity=identity,
        matches=list(matches),
        shard_size=settings.shard_size or min(MOST_IN_SHARD, max(batches, 1) * batch),
        batch=batch,
        picture_bytes=math.ceil(np.mean(sizes)) if sizes else 0,
    )


@contextmanager
def _only_writer(out: Path) -> Iterator[None]:
    made = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / LOCK_FILE)
    try:
        with lock.acquire(timeout=0):
            yield
    except filelock.Timeout as error:
        raise AgentError(f"another rldf clone writes into {out}: wait until it ends") from error
    finally:
        if made and all(path.name == LOCK_FILE for path in out.iterdir()):
            (out / LOCK_FILE).unlink(missing_ok=True)
            out.rmdir()
