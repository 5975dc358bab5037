"""What makes two clones the same clone, and the file that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rldf_agents.cloning.matching import ClassMatch
from rldf_agents.errors import AgentError
from rldf_gym.atomic_file import write_durably

CLONE_FILE = "clone.json"
LOCK_FILE = ".lock"
_VERSION = 1
_MOST_LISTED = 5


@dataclass(frozen=True)
class CloneFile:
    """The content of clone.json, written once, before the first shard.

    Attributes:
        identity: every input that decides a picture of the clone; JSON values.
        matches: what was found for each class.
        shard_size: pictures in a shard.
        batch: pictures generated at once.
        picture_bytes: mean size of a PNG file, measured on a few.
    """

    identity: Mapping[str, Any]
    matches: Sequence[ClassMatch]
    shard_size: int
    batch: int
    picture_bytes: int

    def save(self, out: Path) -> None:
        """Write the file."""
        document = {"version": _VERSION, **asdict(self)}
        write_durably(out / CLONE_FILE, (json.dumps(document, indent=1) + "\n").encode())


def load_clone_file(out: Path) -> CloneFile | None:
    """Return the clone in a folder, None for a folder that is empty or missing.

    Raises:
        AgentError: the folder holds something else, or the file is damaged.
    """
    path = out / CLONE_FILE
    if not path.exists():
        if out.is_dir() and any(each.name != LOCK_FILE for each in out.iterdir()):
            raise AgentError(
                f"the output folder {out} is not empty and holds no clone: choose another"
            )
        return None
    try:
        document = json.loads(path.read_bytes())
        if (version := document.pop("version")) != _VERSION:
            raise ValueError(f"its version is {version}, not {_VERSION}")
        matches = [
            ClassMatch(**{**each, "labels": tuple(each["labels"]), "words": tuple(each["words"])})
            for each in document.pop("matches")
        ]
        return CloneFile(matches=matches, **document)
    except (ValueError, KeyError, TypeError) as error:
        raise AgentError(
            f"{path} is damaged ({error}): restore it, or delete {out} and clone anew"
        ) from error


def require_same(out: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Check that a folder holds the clone of the same inputs.

    Raises:
        AgentError: naming what differs.
    """
    changed: list[str] = []
    for name in sorted({*there, *here} - {"source"}):
        old, new = there.get(name), json.loads(json.dumps(here.get(name)))
        if old != new:
            changed.append(f"{name.replace('_', ' ')} {_short(old)} there, {_short(new)} here")
    old_classes, new_classes = there.get("source", {}), here["source"]
    for title, names in (
        ("missing now: class", old_classes.keys() - new_classes.keys()),
        ("new: class", new_classes.keys() - old_classes.keys()),
        (
            "other pictures in class",
            {n for n in old_classes if n in new_classes and old_classes[n] != new_classes[n]},
        ),
    ):
        if names:
            listed = ", ".join(map(repr, sorted(names)[:_MOST_LISTED]))
            more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
            changed.append(f"{title} {listed}{more}")
    if changed:
        raise AgentError(
            f"{out} holds another clone: {'; '.join(changed)}; use the same inputs to continue it,"
            " or choose another folder"
        )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
