"""Whether every picture of a clone is there, once, with its checksum."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rldf_agents.cloning.formats import Format, Row, file_checksum, make_format, manifest_rows
from rldf_agents.cloning.identity import CLONE_FILE, load_clone_file
from rldf_agents.cloning.manifest import MANIFEST_FILE, read_manifest
from rldf_agents.cloning.plan import Layout, Shard
from rldf_agents.cloning.shards import read_record
from rldf_agents.errors import AgentError


@dataclass
class Verification:
    """What was found in a clone.

    Attributes:
        pictures: number of pictures whose checksum is right.
        faults: what is wrong, one line each.
        damaged: names of the shards that have to be generated again.
    """

    pictures: int = 0
    faults: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(
    out: Path, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Verification:
    """Compare the manifest, the shards' records and the pictures of a clone.

    The record of a damaged shard is removed, so that the command that made the clone generates the
    shard again.

    Args:
        out: folder of the clone.
        on_progress: receives the number of shards verified, and of all.

    Raises:
        AgentError: the folder holds no clone.
    """
    clone = load_clone_file(out)
    if clone is None:
        raise AgentError(f"{out} holds no clone: there is no {CLONE_FILE}")
    format_ = make_format(clone.identity["format"])
    layout = Layout(len(clone.matches), clone.identity["splits"], clone.shard_size)
    found = Verification()
    for number, shard in enumerate(layout.shards(), 1):
        path = format_.record_path(out, shard)
        record = read_record(path)
        if record is None:
            found.faults.append(f"shard {shard.name} is not finished")
            found.damaged.append(shard.name)
        elif faults := _faults(out, format_, shard, record, found):
            found.faults += faults
            found.damaged.append(shard.name)
            path.unlink(missing_ok=True)
        on_progress(number, layout.n_shards)
    if not found.damaged:
        found.faults += _manifest_faults(out, format_, layout)
        found.faults += _strays(out, format_, layout, found.pictures)
    return found


def recorded_rows(out: Path, format_: Format, layout: Layout) -> Iterator[list[Row]]:
    """Yield the rows of every finished shard, in order."""
    for shard in layout.shards():
        if (record := read_record(format_.record_path(out, shard))) is not None:
            yield record["pictures"]


def _manifest_faults(out: Path, format_: Format, layout: Layout) -> list[str]:
    rows = itertools.chain.from_iterable(recorded_rows(out, format_, layout))
    try:
        for row, entry in itertools.zip_longest(manifest_rows(rows), read_manifest(out)):
            if row != entry:
                name = (row or entry)["id"]
                return [f"{MANIFEST_FILE} and the shards differ in picture {name}"]
    except (OSError, ValueError) as error:
        return [f"the manifest cannot be read: {error}"]
    return []


def _faults(
    out: Path, format_: Format, shard: Shard, record: Mapping[str, Any], found: Verification
) -> list[str]:
    rows: list[Row] = record["pictures"]
    expected = {row["id"]: row["sha256"] for row in rows}
    try:
        for file, checksum in record["files"].items():
            if file_checksum(out / file) != checksum:
                return [f"{file} is damaged"]
        there = list(format_.checksums(out, rows))
    except (OSError, ValueError) as error:
        return [f"shard {shard.name} cannot be read: {error}"]
    counts = Counter(name for name, _ in there)
    right = {name for name, checksum in there if expected.get(name) == checksum}
    found.pictures += len(right)
    faults = [
        f"picture {row['id']} in {row['file']} is {'damaged' if row['id'] in counts else 'missing'}"
        for row in rows
        if row["id"] not in right
    ]
    faults += [
        f"picture {name} is in {shard.name} {n} times" for name, n in counts.items() if n > 1
    ]
    faults += [f"picture {name} in {shard.name} is not listed" for name in counts.keys() - expected]
    return faults


def _strays(out: Path, format_: Format, layout: Layout, n_pictures: int) -> list[str]:
    """Return the files of pictures that belong to no shard."""
    files = (path for split in layout.splits for path in (out / split).glob(format_.pattern))
    if sum(1 for _ in files) <= format_.n_files(layout.n_shards, n_pictures):
        return []
    rows = itertools.chain.from_iterable(recorded_rows(out, format_, layout))
    listed = {out / row["file"] for row in rows}
    return [
        f"{path} belongs to no shard: delete it"
        for split in layout.splits
        for path in sorted((out / split).glob(format_.pattern))
        if path not in listed
    ]
