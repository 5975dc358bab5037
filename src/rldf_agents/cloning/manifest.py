"""The files over all shards: manifest.parquet, and metadata.jsonl of image folders."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from rldf_agents.cloning.formats import MANIFEST_TYPES, Row, manifest_rows, type_of
from rldf_gym.atomic_file import replacing_durably

MANIFEST_FILE, METADATA_FILE = "manifest.parquet", "metadata.jsonl"


def write_manifest(out: Path, shards: Iterable[list[Row]]) -> None:
    """Write manifest.parquet, one shard in memory at a time.

    Args:
        out: folder of the clone.
        shards: the rows of each shard, in order.
    """
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, type_of(kind)) for name, kind in MANIFEST_TYPES.items()])
    with (
        replacing_durably(out / MANIFEST_FILE) as partial,
        parquet.ParquetWriter(partial, schema) as writer,
    ):
        for rows in shards:
            if rows:
                writer.write_table(pyarrow.Table.from_pylist(list(manifest_rows(rows)), schema))


def write_metadata(out: Path, shards: Iterable[list[Row]]) -> None:
    """Write metadata.jsonl for the whole clone, and one in each split's folder.

    ``datasets.load_dataset("imagefolder")`` reads those of the splits.
    """
    with ExitStack() as stack:
        files: dict[str, IO[str]] = {}

        def write(folder: str, row: Row) -> None:
            if folder not in files:
                partial = stack.enter_context(replacing_durably(out / folder / METADATA_FILE))
                files[folder] = stack.enter_context(partial.open("w", encoding="utf-8"))
            entry = {"file_name": row["file"].removeprefix(f"{folder}/"), **row}
            del entry["file"]
            files[folder].write(json.dumps(entry, ensure_ascii=False) + "\n")

        for rows in shards:
            for row in rows:
                write("", row)
                write(row["split"], row)


def read_manifest(out: Path) -> Iterator[Row]:
    """Yield the rows of manifest.parquet.

    Raises:
        OSError: there is none.
        ValueError: it is damaged.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(out / MANIFEST_FILE) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise ValueError(f"{MANIFEST_FILE} is damaged: {error}") from error
