"""Compare RLDF with other ways from a picture to a prompt, at equal cost (paper, Fig. 7)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rldf_agents.applications.report import render_comparison
from rldf_agents.applications.result import REPORT_FILE, as_json, png, versions
from rldf_agents.errors import AgentError
from rldf_agents.inversion import (
    Candidate,
    Method,
    MethodUnavailableError,
    Trial,
    run_method,
)
from rldf_gym.atlas import Atlas
from rldf_gym.atomic_file import write_atomically
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal
from rldf_gym.registry import make_named
from rldf_gym.rendering import trajectory_strip
from rldf_gym.store.store import IN_MEMORY

GRID_FILE, COMPARE_FILE, PICTURES_FOLDER = "grid.png", "compare.json", "pictures"
OPTIMUM = "exhaustive optimum"
DEFAULT_BUDGET = 30

Judge: TypeAlias = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
"""Similarity of images uint8 ``[n, H, W, 3]`` to a target uint8 ``[h, w, 3]``: float ``[n]``."""


@dataclass(frozen=True, eq=False)
class Entry:
    """What one method found, or why it was left out.

    Attributes:
        name: of its picture's file.
        title: for people.
        kind: "RLDF", "no search", "black-box search" or "exhaustive optimum".
        n_pictures: number of distinct pictures that it evaluated.
        found: its best picture; None where it was left out.
        judged: similarity to the target by the independent judge; None without one.
        left_out: why it did not run, empty where it did.
    """

    name: str
    title: str
    kind: str
    n_pictures: int = 0
    found: Candidate | None = None
    judged: float | None = None
    left_out: str = ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What several methods found for one target, at the same budget.

    Attributes:
        goal: what was read in the target.
        entries: of every method, those left out included.
        budget: the most distinct pictures for each method.
        reward: name of what the searches maximise.
        generator: name of the generator.
        generation_seed: of the pictures.
        seed: of the methods.
        judge: name of the independent judge, None without one.
    """

    goal: Goal
    entries: tuple[Entry, ...]
    budget: int
    reward: str
    generator: str
    generation_seed: int
    seed: int
    judge: str | None

    @property
    def ran(self) -> tuple[Entry, ...]:
        """The entries with a picture."""
        return tuple(entry for entry in self.entries if entry.found is not None)

    @property
    def matched(self) -> bool:
        """Whether the picture of any method reads as the target."""
        return any(entry.found.matches for entry in self.entries if entry.found is not None)

    def misread(self, found: Candidate) -> str:
        """Return what is read otherwise in a picture than in the target, empty if nothing is."""
        return ", ".join(
            f"{axis.name.replace('_', ' ')}: {_word(axis.values, label)}"
            for axis, label, wanted in zip(
                self.goal.grammar.axes, found.reading.values.tolist(), self.goal.state, strict=True
            )
            if label != wanted
        )

    def n_right(self, found: Candidate) -> int:
        """Return the number of axes on which a picture reads as the target."""
        return int((found.reading.values == self.goal.state).sum())

    def to_json(self) -> dict[str, Any]:
        """Return the content of compare.json."""
        return {
            "goal_prompt": self.goal.prompt,
            "goal_state": self.goal.state.tolist(),
            "axes": list(self.goal.grammar.axis_names),
            "budget": self.budget,
            "reward": self.reward,
            "judge": self.judge,
            "matched": self.matched,
            "methods": [self._row(entry) for entry in self.entries],
            "grammar": self.goal.grammar.name,
            "generator": self.generator,
            "generation_seed": self.generation_seed,
            "seed": self.seed,
            "versions": versions(),
        }

    def _row(self, entry: Entry) -> dict[str, Any]:
        row: dict[str, Any] = {"method": entry.name, "title": entry.title, "kind": entry.kind}
        found = entry.found
        if found is None:
            return {**row, "left_out": entry.left_out}
        return {
            **row,
            "prompt": found.prompt,
            "state": None if found.state is None else list(found.state),
            "generation_seed": found.seed,
            "pictures": entry.n_pictures,
            "read": found.reading.values.tolist(),
            "axes_right": self.n_right(found),
            "matches": found.matches,
            "reward": found.reward,
            "clip_similarity": found.similarity,
            "judge_similarity": entry.judged,
            "file": _file(entry),
        }

    def save(self, folder: Path, target: str, command: str) -> None:
        """Write compare.json, grid.png, pictures/ and report.html, each atomically.

        Args:
            folder: must exist.
            target: name of the picture, for the report.
            command: what the user can type to repeat the comparison, for the report.

        Raises:
            OSError: a file cannot be written.
        """
        summary = self.to_json()
        page = render_comparison(self, target, summary["versions"], command)
        (folder / PICTURES_FOLDER).mkdir(exist_ok=True)
        for entry in self.entries:
            if entry.found is None:
                (folder / _file(entry)).unlink(missing_ok=True)
            else:
                write_atomically(folder / _file(entry), png(entry.found.picture))
        for name, content in (
            (GRID_FILE, png(self.grid())),
            (REPORT_FILE, page.encode()),
            (COMPARE_FILE, as_json({"target": target, **summary})),
        ):
            write_atomically(folder / name, content)

    def grid(self) -> NDArray[np.uint8]:
        """Return every method's picture beside the target, uint8 ``[height, width, 3]``.

        Pictures that read as the target are outlined.
        """
        found = [(entry.title, entry.found) for entry in self.entries if entry.found is not None]
        strip = trajectory_strip(
            [each.picture for _, each in found],
            [f"{title}: {each.prompt}" for title, each in found],
            self.goal.picture,
            f"target, read as: {self.goal.prompt}",
            highlighted=[number for number, (_, each) in enumerate(found) if each.matches],
            columns=4,
        )
        return np.asarray(strip)


def compare(
    evaluator: StateEvaluator,
    goal: Goal,
    methods: Sequence[Method],
    budget: int = DEFAULT_BUDGET,
    seed: int = 0,
    reward: str = "multi_semantic",
    atlas: Atlas | str = "",
    judge: str | None = None,
    on_progress: Callable[[str, int, int], None] = lambda title, done, total: None,
) -> Comparison:
    """Run methods on the same target, store and generator, each with the same budget.

    Args:
        evaluator: generates and reads.
        goal: of the evaluator's grammar.
        methods: see `rldf_agents.inversion`.
        budget: the most distinct pictures for each method, at least 1.
        seed: of every method, at least 0.
        reward: what the searches maximise: a name in `REWARDS`, or ``package.module:function``.
        atlas: of the evaluator, for the exhaustive optimum; or why there is none.
        judge: ``package.module:object`` of an independent judge, see `Judge`; None for none.
        on_progress: receives the next method's title, its number, and that of all.

    Raises:
        AgentError: a budget or seed out of range, or a judge that fails or returns no scores.
        RLDFError: an unknown reward or judge.
        KeyboardInterrupt: Ctrl-C; its text says what was kept.
    """
    for name, value, least in (("budget", budget, 1), ("seed", seed, 0)):
        if value < least:
            raise AgentError(f"{name} is {value}: give a whole number of at least {least}")
    judging = None if judge is None else _make_judge(judge)
    if judging is not None:  # one that fails is found before anything is generated
        _similarity(judging, str(judge), goal.picture, goal.picture)
    entries: list[Entry] = []
    try:
        for method in methods:
            on_progress(method.title, len(entries) + 1, len(methods))
            entries.append(_run(method, Trial(evaluator, goal, budget, reward), seed))
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"{len(entries)} of {len(methods)} methods were finished; nothing was written, and the"
            " same command continues with what the store keeps"
        ) from interrupt
    entries.append(_optimum(atlas, Trial(evaluator, goal, budget, reward)))
    return Comparison(
        goal=goal,
        entries=_judged(entries, goal, judging, str(judge)),
        budget=budget,
        reward=reward,
        generator=evaluator.generator.name,
        generation_seed=evaluator.generation_seed,
        seed=seed,
        judge=judge,
    )


@contextmanager
def shared_store(store: str) -> Iterator[str]:
    """Yield a store that several searches can open: a temporary file for one in memory."""
    if store != IN_MEMORY:
        yield store
        return
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / "store.sqlite")


def _run(method: Method, trial: Trial, seed: int) -> Entry:
    names = method.name, method.title, method.kind
    try:
        run_method(method, trial, seed)
    except MethodUnavailableError as error:
        return Entry(*names, left_out=str(error))
    found = trial.answer(trial.budget)
    if found is None:
        return Entry(*names, left_out="it evaluated no picture")
    return Entry(*names, len(trial.candidates), found)


def _optimum(atlas: Atlas | str, trial: Trial) -> Entry:
    names = "optimum", OPTIMUM, OPTIMUM
    if isinstance(atlas, str):
        return Entry(*names, left_out=atlas)
    [best] = atlas.search(trial.goal, trial.reward, k=1)
    trial.evaluate(best.state)
    return Entry(*names, len(atlas), trial.answer(1))


def _judged(
    entries: Sequence[Entry], goal: Goal, judge: Judge | None, name: str
) -> tuple[Entry, ...]:
    """Return the entries with the judge's similarities."""
    if judge is None:
        return tuple(entries)
    return tuple(
        entry
        if entry.found is None
        else replace(entry, judged=_similarity(judge, name, entry.found.picture, goal.picture))
        for entry in entries
    )


def _similarity(
    judge: Judge, name: str, picture: NDArray[np.uint8], target: NDArray[np.uint8]
) -> float:
    try:
        scores = np.asarray(judge(picture[np.newaxis], target))
    except Exception as error:  # the code of a user may raise anything
        reason = " ".join(str(error).split())
        raise AgentError(f"the judge {name!r} failed: {type(error).__name__}: {reason}") from error
    if scores.shape != (1,) or not np.isfinite(scores).all():
        raise AgentError(
            f"the judge {name!r} returned {scores.dtype} {list(scores.shape)} for one picture; it"
            " must return one finite number for each"
        )
    return float(scores[0])


def _make_judge(name: str) -> Judge:
    made: Judge = make_named("judge", name, callable)
    return made


def _file(entry: Entry) -> str:
    return f"{PICTURES_FOLDER}/{entry.name}.png"


def _word(values: Sequence[str], label: int) -> str:
    return (values[label] or "(nothing)") if label >= 0 else "not recognised"
