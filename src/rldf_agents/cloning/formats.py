"""How the pictures of a shard lie on disk: image folders, WebDataset archives, Parquet files."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rldf_agents.cloning.plan import RECORDS, Shard
from rldf_agents.errors import AgentError
from rldf_gym.atomic_file import replacing_durably, write_durably

Row = dict[str, Any]
"""A picture's entry: id, class, split, prompt, state, seed, file, sha256, ..."""


@dataclass(frozen=True)
class FinishedPicture:
    """A picture that is ready to be written.

    Attributes:
        row: its entry; ``file`` is relative to the folder of the clone.
        class_number: of its class in the plan.
        content: of its PNG file.
    """

    row: Row
    class_number: int
    content: bytes


class Format(Protocol):
    """A way to write shards."""

    pattern: str
    """Glob of the files with pictures within the folder of a split."""

    def record_path(self, out: Path, shard: Shard) -> Path:
        """Return the file that says a shard is finished, in the folder of a clone."""
        ...

    def n_files(self, n_shards: int, n_pictures: int) -> int:
        """Return how many files hold the pictures of a clone."""
        ...

    def file(self, shard: Shard, folder: str, picture: str) -> str:
        """Return the file that holds a picture, relative to the folder of the clone.

        Args:
            shard: of the picture.
            folder: of its class.
            picture: its id.
        """
        ...

    def write(self, out: Path, shard: Shard, pictures: Sequence[FinishedPicture]) -> dict[str, str]:
        """Write the pictures of a shard so that they survive a power failure.

        Returns:
            SHA-256 of each file that holds several of them.
        """
        ...

    def checksums(self, out: Path, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
        """Yield id and SHA-256 of the pictures of a shard that are on disk.

        Raises:
            OSError, ValueError: a file cannot be read.
        """
        ...


class ImageFolder:
    """``split/class/id.png``."""

    pattern = "**/*.png"

    def record_path(self, out: Path, shard: Shard) -> Path:
        """Return the record's file: apart, as class folders hold pictures only."""
        return out / RECORDS / f"{shard.name}.json"

    def n_files(self, n_shards: int, n_pictures: int) -> int:
        """Return the number of pictures."""
        return n_pictures

    def file(self, shard: Shard, folder: str, picture: str) -> str:
        """Return the picture's own file."""
        return f"{shard.split}/{folder}/{picture}.png"

    def write(self, out: Path, shard: Shard, pictures: Sequence[FinishedPicture]) -> dict[str, str]:
        """Write a file for each picture."""
        for picture in pictures:
            path = out / picture.row["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, picture.content)
        return {}

    def checksums(self, out: Path, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
        """Yield id and SHA-256 of every file that is there."""
        for row in rows:
            path = out / row["file"]
            if path.is_file():
                yield row["id"], hashlib.sha256(path.read_bytes()).hexdigest()


class WebDataset:
    """``split/00000.tar`` with ``id.png``, ``id.cls``, ``id.txt`` and ``id.json``."""

    pattern = "*.tar"

    def record_path(self, out: Path, shard: Shard) -> Path:
        """Return the record's file, beside the shard."""
        return out / f"{shard.name}.json"

    def n_files(self, n_shards: int, n_pictures: int) -> int:
        """Return the number of shards."""
        return n_shards

    def file(self, shard: Shard, folder: str, picture: str) -> str:
        """Return the shard's archive."""
        return f"{shard.name}.tar"

    def write(self, out: Path, shard: Shard, pictures: Sequence[FinishedPicture]) -> dict[str, str]:
        """Write the archive; its bytes depend on the pictures alone."""
        path = out / f"{shard.name}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing_durably(path) as partial,
            tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive,
        ):
            for picture in pictures:
                for suffix, content in (
                    ("png", picture.content),
                    ("cls", str(picture.class_number).encode()),
                    ("txt", picture.row["prompt"].encode()),
                    ("json", json.dumps(picture.row).encode()),
                ):
                    member = tarfile.TarInfo(f"{picture.row['id']}.{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return _digest(out, path)

    def checksums(self, out: Path, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
        """Yield id and SHA-256 of every picture in the archive."""
        for file in sorted({row["file"] for row in rows}):
            try:
                with tarfile.open(out / file) as archive:
                    for member in archive:
                        name, _, suffix = member.name.rpartition(".")
                        content = archive.extractfile(member)
                        if suffix == "png" and content is not None:
                            yield name, hashlib.sha256(content.read()).hexdigest()
            except tarfile.TarError as error:
                raise ValueError(f"{file}: {error}") from error


class Parquet:
    """``split/00000.parquet`` with a row for each picture; ``datasets`` shows its images."""

    pattern = "*.parquet"

    def record_path(self, out: Path, shard: Shard) -> Path:
        """Return the record's file, beside the shard."""
        return out / f"{shard.name}.json"

    def n_files(self, n_shards: int, n_pictures: int) -> int:
        """Return the number of shards."""
        return n_shards

    def file(self, shard: Shard, folder: str, picture: str) -> str:
        """Return the shard's table."""
        return f"{shard.name}.parquet"

    def write(self, out: Path, shard: Shard, pictures: Sequence[FinishedPicture]) -> dict[str, str]:
        """Write the table, pictures in the form that ``datasets.Image`` has."""
        import pyarrow
        from pyarrow import parquet

        path = out / f"{shard.name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        images = [
            {"bytes": picture.content, "path": f"{picture.row['id']}.png"} for picture in pictures
        ]
        columns = {name: [picture.row[name] for picture in pictures] for name in COLUMN_TYPES}
        table = pyarrow.table(
            {
                "image": pyarrow.array(
                    images,
                    pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}),
                ),
                **{
                    name: pyarrow.array(values, type_of(COLUMN_TYPES[name]))
                    for name, values in columns.items()
                },
            }
        )
        facts = json.dumps({"info": {"features": _features()}})
        with replacing_durably(path) as partial:
            parquet.write_table(table.replace_schema_metadata({"huggingface": facts}), partial)
        return _digest(out, path)

    def checksums(self, out: Path, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
        """Yield id and SHA-256 of every picture in the table."""
        import pyarrow
        from pyarrow import parquet

        for file in sorted({row["file"] for row in rows}):
            try:
                table = parquet.read_table(out / file, columns=["id", "image"])
            except pyarrow.ArrowException as error:
                raise ValueError(f"{file}: {error}") from error
            for name, image in zip(table["id"], table["image"], strict=True):
                content = image["bytes"].as_py()
                yield name.as_py(), hashlib.sha256(content).hexdigest()


MANIFEST_TYPES = {
    **dict.fromkeys(("id", "class", "split", "prompt"), "string"),
    **{"state": "list<int64>", "seed": "int64", "file": "string", "sha256": "string"},
}
"""Columns of the manifest."""

COLUMN_TYPES = {
    **MANIFEST_TYPES,
    **{"fingerprint": "string", "read_state": "list<int64>", "confidence": "list<float64>"},
}
"""All that is kept of a picture."""


def type_of(name: str) -> Any:
    """Return the Arrow type of that name."""
    import pyarrow

    types = {
        "string": pyarrow.string(),
        "int64": pyarrow.int64(),
        "list<int64>": pyarrow.list_(pyarrow.int64()),
        "list<float64>": pyarrow.list_(pyarrow.float64()),
    }
    return types[name]


def file_checksum(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _digest(out: Path, path: Path) -> dict[str, str]:
    return {path.relative_to(out).as_posix(): file_checksum(path)}


def _features() -> dict[str, Any]:
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    for name, kind in COLUMN_TYPES.items():
        inner = kind.removeprefix("list<").removesuffix(">")
        value = {"dtype": inner, "_type": "Value"}
        features[name] = value if inner == kind else {"feature": value, "_type": "Sequence"}
    return features


FORMATS: dict[str, Callable[[], Format]] = {
    "imagefolder": ImageFolder,
    "webdataset": WebDataset,
    "parquet": Parquet,
}
"""Formats by the names that ``--format`` accepts."""


def make_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        AgentError: an unknown name; lists the known ones.
    """
    if name not in FORMATS:
        raise AgentError(f"unknown format {name!r}; known: {', '.join(FORMATS)}")
    return FORMATS[name]()


def manifest_rows(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield what the manifest keeps of each row."""
    for row in rows:
        yield {name: row[name] for name in MANIFEST_TYPES}
