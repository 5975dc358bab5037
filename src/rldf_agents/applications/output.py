"""The files a search leaves, and the folder they go to: whole or not at all."""

from __future__ import annotations

import importlib.metadata
import io
import json
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from rldf_agents.applications.report import render_index, render_report
from rldf_agents.applications.search import HISTORY_FILE, LEARNER_FILE, SearchResult
from rldf_agents.applications.trajectory import trajectory_picture
from rldf_agents.errors import AgentError
from rldf_gym.atomic_file import write_atomically

RESULT_FILE, TRAJECTORY_FILE, REPORT_FILE = "result.json", "trajectory.png", "report.html"
INDEX_FILE = "index.html"
_FILES = (RESULT_FILE, TRAJECTORY_FILE, REPORT_FILE, LEARNER_FILE, HISTORY_FILE, INDEX_FILE)

_LEAST_FREE = 16 * 2**20
"""Bytes that must be free before a search begins: several times what one search writes."""

_PACKAGES = (
    *("rldf-gym", "gymnasium", "numpy", "torch", "diffusers", "transformers"),
    *("open_clip_torch", "ultralytics", "safetensors", "pillow"),
)


def folders_for(pictures: Sequence[Path], out: Path) -> list[Path]:
    """One folder for each picture: ``out`` itself for one, else named after it, each its own."""
    if len(pictures) == 1:
        return [out]
    taken = {INDEX_FILE}
    folders = []
    for picture in pictures:
        name, number = picture.stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{picture.stem}-{number}"
        taken.add(name.casefold())
        folders.append(out / name)
    return folders


def require_empty(out: Path) -> None:
    """Refuse a folder that holds anything.

    Raises:
        AgentError: naming the folder and the mend.
    """
    if out.is_dir() and any(out.iterdir()):
        raise AgentError(
            f"the output folder {out} exists and is not empty: choose another, add --resume to go"
            " on with the search in it, or --overwrite to replace it"
        )


def require_resumable(folders: Sequence[Path]) -> None:
    """Refuse folders in none of which a search can be resumed.

    Raises:
        AgentError: naming the folder and the mend.
    """
    if not any((folder / HISTORY_FILE).is_file() for folder in folders):
        raise AgentError(
            f"there is no search to resume in {folders[0]}: leave --resume out to start one"
        )


@contextmanager
def output_dirs(folders: Sequence[Path]) -> Iterator[None]:
    """Make the folders; on the way out, take away those that were made for nothing.

    Raises:
        AgentError: a path is taken by something else, or there is no disk space.
        OSError: a folder cannot be made.
    """
    made: list[Path] = []
    try:
        for folder in folders:
            _make(folder, made)
        free = shutil.disk_usage(folders[0]).free
        if free < _LEAST_FREE:
            raise AgentError(
                f"no disk space for {folders[0]}: {free / 2**20:.0f} MiB are free, at least"
                f" {_LEAST_FREE // 2**20} are needed; free some or choose another output folder"
            )
        yield
    finally:
        for folder in reversed(made):
            if not any(folder.iterdir()):
                folder.rmdir()


def clear(folder: Path) -> None:
    """Remove the files of an earlier search from a folder, and nothing else."""
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


def write_result(result: SearchResult, folder: Path, command: str) -> None:
    """Write result.json, trajectory.png and report.html, each in one stroke.

    Args:
        result: of the search.
        folder: exists.
        command: what the user can type to have it again.

    Raises:
        OSError: a file cannot be written.
    """
    strip = trajectory_picture(
        result.trajectory, result.goal.picture, f"target, read as: {result.goal.prompt}"
    )
    png = io.BytesIO()
    Image.fromarray(strip).save(png, "PNG", optimize=True)
    summary = result_json(result)
    report = render_report(result, summary["versions"], command)
    write_atomically(folder / TRAJECTORY_FILE, png.getvalue())
    write_atomically(folder / REPORT_FILE, report.encode())
    write_atomically(folder / RESULT_FILE, (json.dumps(summary, indent=2) + "\n").encode())


def write_index(results: Sequence[SearchResult], folders: Sequence[Path], out: Path) -> None:
    """Write index.html over the reports of several searches.

    Raises:
        OSError: the file cannot be written.
    """
    links = [f"{folder.name}/{REPORT_FILE}" for folder in folders]
    write_atomically(out / INDEX_FILE, render_index(results, links).encode())


def result_json(result: SearchResult) -> dict[str, Any]:
    """What result.json says."""
    best, goal, statistics = result.best[0], result.goal, result.statistics
    axes = zip(result.grammar.axis_names, goal.reading.confidence.tolist(), strict=True)
    return {
        "target": result.target,
        "goal_prompt": goal.prompt,
        "goal_state": goal.state.tolist(),
        "reached": result.reached,
        "steps": statistics.steps,
        "generations": result.steps[-1].generations,
        "generations_to_goal": statistics.generations_to_goal,
        "best_prompt": best.prompt,
        "best_state": list(best.visit.state),
        "clip_similarity": best.visit.similarity,
        "seed": result.settings.seed,
        "versions": versions(),
        "grammar": result.grammar.name,
        "generator": result.generator.name,
        "learner": result.settings.learner,
        "reward": result.settings.reward,
        "best_reward": best.visit.reward,
        "states_seen": result.steps[-1].states_seen,
        "states_seen_to_goal": statistics.states_to_goal,
        "goal_confidence": {name: round(confidence, 4) for name, confidence in axes},
        "guesses": list(goal.low_confidence_axes),
        "statistics": asdict(statistics),
        "wall_seconds": round(result.seconds, 3),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of every package that decides a result, without importing any."""
    names = {name: name.replace("-", "_") for name in _PACKAGES}
    found = {key: importlib.metadata.version(name) for name, key in names.items()}
    return {"python": platform.python_version(), **found}


def _make(folder: Path, made: list[Path]) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        made.append(path)
    if not folder.is_dir():
        raise AgentError(f"the output folder {folder} is a file: choose another")
