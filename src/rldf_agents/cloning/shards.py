"""Generate one shard of a clone, and commit it: the work of a worker."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rldf_agents.cloning.formats import FinishedPicture, Row, make_format
from rldf_agents.cloning.plan import Plan, PlannedPicture, Shard
from rldf_agents.errors import AgentError
from rldf_gym.atomic_file import write_durably
from rldf_gym.failed_images import FailedImage
from rldf_gym.generation import Generator, generate
from rldf_gym.perception import LabelDecoder, Perception, Reading

RESERVE = 64 * 2**20
"""Bytes of the disk that a clone leaves free."""

_MOST_TEXTS = 100_000
_PNG_LEVEL = 6


@dataclass(frozen=True)
class Job:
    """All that a worker needs to generate any shard of a clone.

    Attributes:
        out: folder of the clone.
        plan: what to generate.
        generator: makes the images.
        perception: reads them.
        batch: how many pictures are generated at once, always the same ones together: the rounding
            of batched arithmetic is then the same every time.
        format_name: a name in `FORMATS`.
        keep_matching: keep only pictures that read as their class on every class axis.
        retries: how many further seeds a rejected picture gets.
    """

    out: Path
    plan: Plan
    generator: Generator
    perception: Perception
    batch: int
    format_name: str
    keep_matching: bool
    retries: int

    def record_path(self, shard: Shard) -> Path:
        """Return the file that says a shard is finished."""
        return make_format(self.format_name).record_path(self.out, shard)


@dataclass
class ShardStatistics:
    """What became of a shard.

    Attributes:
        number: of the shard in the clone.
        pictures: number of pictures written.
        generated: number of images generated, the rejected ones included.
        dropped: number of pictures without an image that could be kept.
        seconds: of generating, reading and writing.
        size: bytes of the PNG files.
        per_class: pictures written, by the number of the class.
        rejected_per_class: images rejected, by the number of the class.
    """

    number: int
    pictures: int = 0
    generated: int = 0
    dropped: int = 0
    seconds: float = 0.0
    size: int = 0
    per_class: dict[int, int] = field(default_factory=dict)
    rejected_per_class: dict[int, int] = field(default_factory=dict)

    def add(self, other: ShardStatistics) -> None:
        """Add those of another shard."""
        for name in ("pictures", "generated", "dropped", "seconds", "size"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("per_class", "rejected_per_class"):
            counts: dict[int, int] = getattr(self, name)
            for number, count in getattr(other, name).items():
                counts[number] = counts.get(number, 0) + count

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ShardStatistics:
        """Return the statistics in a shard's record; JSON has no numbers as names."""
        counts = {
            name: {int(key): count for key, count in document[name].items()}
            for name in ("per_class", "rejected_per_class")
        }
        values: dict[str, Any] = {**document, **counts}
        return cls(**values)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a shard, None where it is missing or damaged."""
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        record["statistics"] = ShardStatistics.of(record["statistics"])
        whole = isinstance(record["pictures"], list) and isinstance(record["files"], dict)
        return record if whole else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class ShardWorker:
    """Generates shards; loads the models once."""

    def __init__(self, job: Job) -> None:
        self._job = job
        perception = job.perception
        self._decoder = LabelDecoder(job.plan.grammar, perception.spec(self._embed))
        self._texts: dict[str, NDArray[np.float32]] = {}

    def finish(self, index: int) -> ShardStatistics:
        """Generate a shard by its number in the clone, and commit it.

        Its record comes last, and only after everything else has reached the disk.

        Raises:
            AgentError: too little disk space.
            RLDFError: a picture cannot be generated or read.
            OSError: a file cannot be written.
        """
        job = self._job
        shard = job.plan.layout.shard(index)
        started = time.monotonic()
        statistics = ShardStatistics(index)
        finished, dropped = self._generate(shard, statistics)
        statistics.size = sum(len(picture.content) for picture in finished)
        require_space(job.out, 2 * statistics.size)
        files = make_format(job.format_name).write(job.out, shard, finished)
        statistics.pictures = len(finished)
        statistics.dropped = len(dropped)
        statistics.per_class = dict(Counter(each.class_number for each in finished))
        statistics.seconds = time.monotonic() - started
        record = {
            "statistics": asdict(statistics),
            "dropped": dropped,
            "files": files,
            "pictures": [picture.row for picture in finished],
        }
        path = job.record_path(shard)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps(record).encode())
        return statistics

    def _generate(
        self, shard: Shard, statistics: ShardStatistics
    ) -> tuple[list[FinishedPicture], list[Row]]:
        """Return the pictures of a shard in the plan's order, and those that were dropped."""
        job = self._job
        found: dict[int, FinishedPicture] = {}
        pending = job.plan.pictures(shard)
        order = [picture.number for picture in pending]
        reasons: dict[int, str] = {}
        rejected: Counter[int] = Counter()
        for attempt in range(1, job.retries + 2):
            for picture, image, reading in self._images(pending):
                statistics.generated += 1
                reason = self._rejection(picture, image, reading)
                if reason:
                    reasons[picture.number] = reason
                    rejected[picture.class_number] += 1
                else:
                    assert not isinstance(image, FailedImage)
                    found[picture.number] = self._finished(shard, picture, image, reading)
            pending = [picture for picture in pending if picture.number not in found]
            if not pending or attempt > job.retries:
                break
            pending = [job.plan.retry(picture, attempt) for picture in pending]
        statistics.rejected_per_class = dict(rejected)
        dropped = [
            {
                "class": job.plan.classes[picture.class_number].name,
                "prompt": picture.prompt,
                "reason": reasons[picture.number],
            }
            for picture in pending
        ]
        return [found[number] for number in order if number in found], dropped

    def _images(
        self, planned: Sequence[PlannedPicture]
    ) -> Iterator[tuple[PlannedPicture, NDArray[np.uint8] | FailedImage, Reading | None]]:
        job = self._job
        for start in range(0, len(planned), job.batch):
            batch = planned[start : start + job.batch]
            images = generate(
                job.generator,
                [picture.prompt for picture in batch],
                [picture.seed for picture in batch],
            )
            there = [image for image in images if not isinstance(image, FailedImage)]
            readings = iter(self._read(there))
            for picture, image in zip(batch, images, strict=True):
                yield picture, image, None if isinstance(image, FailedImage) else next(readings)

    def _read(self, images: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        if not images:
            return []
        models = self._job.perception.models()
        outputs = {name: model(np.stack(images)) for name, model in models.items()}
        return [
            self._decoder.read(**{name: outputs[name][place] for name in models})
            for place in range(len(images))
        ]

    def _rejection(
        self,
        picture: PlannedPicture,
        image: NDArray[np.uint8] | FailedImage,
        reading: Reading | None,
    ) -> str:
        """Return why an image is not kept, "" where it is."""
        if isinstance(image, FailedImage) or reading is None:
            return getattr(image, "reason", "there is no image")
        plan = self._job.plan
        wrong = [
            plan.grammar.axis_names[axis]
            for axis in plan.class_axes
            if reading.values[axis] != picture.state[axis]
        ]
        return f"reads otherwise: {', '.join(wrong)}" if wrong and self._job.keep_matching else ""

    def _finished(
        self,
        shard: Shard,
        picture: PlannedPicture,
        image: NDArray[np.uint8],
        reading: Reading | None,
    ) -> FinishedPicture:
        plan, content = self._job.plan, encode_png(image)
        assert reading is not None
        kind = plan.classes[picture.class_number]
        row = {
            "id": picture.id,
            "class": kind.name,
            "split": shard.split,
            "prompt": picture.prompt,
            "state": list(picture.state),
            "seed": picture.seed,
            "file": make_format(self._job.format_name).file(shard, kind.folder, picture.id),
            "sha256": hashlib.sha256(content).hexdigest(),
            "fingerprint": plan.fingerprint,
            "read_state": reading.values.tolist(),
            "confidence": [round(float(value), 6) for value in reading.confidence],
        }
        return FinishedPicture(row, picture.class_number, content)

    def _embed(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return text embeddings; those of this worker's last prompts are kept."""
        if len(self._texts) > _MOST_TEXTS:
            self._texts.clear()
        if missing := [text for text in dict.fromkeys(prompts) if text not in self._texts]:
            embedded = self._job.perception.clip.embed_texts(missing)
            self._texts.update(zip(missing, embedded, strict=True))
        return np.stack([self._texts[prompt] for prompt in prompts])


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Return an image uint8 ``[H, W, 3]`` as PNG, the same bytes every time."""
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", compress_level=_PNG_LEVEL)
    return content.getvalue()


def require_space(folder: Path, needed: int) -> None:
    """Check that a folder's disk has so many bytes, and `RESERVE` beside them.

    Raises:
        AgentError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise AgentError(
            f"too little disk space in {folder}: {_size(free)} are free, {_size(needed)} and a"
            f" reserve of {_size(RESERVE)} are needed; free some, then the same command continues"
        )


def _size(n_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.4g} TiB"


def use_one_thread() -> None:
    """Let this process compute with one thread: a worker for each processor is faster."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
