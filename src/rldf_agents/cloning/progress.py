"""Clone and verify with progress on a console: the work of ``rldf clone``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rldf_agents.cloning.clone import Clone, open_clone
from rldf_agents.cloning.matching import ClassMatch
from rldf_agents.cloning.settings import CloneSettings
from rldf_agents.cloning.shards import ShardStatistics
from rldf_agents.cloning.source import SourceClass
from rldf_agents.cloning.summary import SUMMARY_FILE, summarize
from rldf_agents.cloning.verification import Verification, verify
from rldf_gym.evaluator import StateEvaluator

_LOG_SECONDS = 10.0
_MOST_FAULTS = 20


def clone_with_progress(
    source: Path,
    out: Path,
    evaluator: StateEvaluator,
    settings: CloneSettings,
    console: Console,
    preview: bool = False,
) -> dict[str, Any]:
    """Clone a data set, or preview the clone, and return its summary.

    Args:
        source: class folders.
        out: folder of the clone.
        evaluator: of grammar, generator and perception.
        settings: how to clone.
        console: where to report.
        preview: whether to make only the contact sheets.

    Raises:
        AgentError, RLDFError: see `open_clone` and `Clone.run`.
        KeyboardInterrupt: Ctrl-C; its text says what is kept.
    """

    def on_source(sources: Sequence[SourceClass]) -> None:
        skipped = [why for each in sources for why in each.unreadable]
        for why in skipped:
            console.print(f"[yellow]skipped[/]: {escape(why)}")
        console.print(
            f"{len(sources)} classes, {sum(len(each.examples) for each in sources)} examples read"
            + (f", {len(skipped)} pictures skipped" if skipped else "")
        )

    def on_match(match: ClassMatch) -> None:
        colour = "green" if match.verified >= 0.5 else "yellow"
        console.print(
            f"  {escape(match.name)}: [bold]{escape(', '.join(match.words))}[/], read in"
            f" {match.agreement:.0%} of {match.n_examples} examples, [{colour}]verified in"
            f" {match.verified:.0%}[/] of the generated pictures"
        )

    with open_clone(source, out, evaluator, settings, on_source, on_match) as clone:
        layout = clone.plan.layout
        for words, names in _alike(clone.matches):
            console.print(
                f"[yellow]doubtful[/]: {escape(words)} stands for several classes:"
                f" {escape(', '.join(names))}; their pictures show the same"
            )
        if preview:
            from rldf_agents.cloning.preview import make_preview

            with _bar(console, "classes", layout.n_classes, 0) as progress:
                sheets = make_preview(clone, partial(_move, progress))
            console.print(f"wrote {len(sheets)} contact sheets: [bold]{escape(str(sheets[0]))}[/]")
            return {"folder": str(out), "preview": [str(sheet) for sheet in sheets]}
        if clone.finished:
            console.print(f"continuing: {clone.n_done} of {layout.n_pictures} pictures are there")
        started = time.monotonic()
        with _bar(console, "generating", layout.n_pictures, clone.n_done) as progress:
            reporter = _Reporter(clone, progress)
            clone.run(reporter.on_shard)
        seconds = time.monotonic() - started
        clone.finish()
        summary = summarize(clone)
    rate = reporter.n_new / seconds
    rejected = summary["rejected"]
    console.print(
        f"[green]{summary['pictures']} pictures[/] of {layout.n_classes} classes in"
        f" [bold]{escape(str(out))}[/]; {reporter.n_new} generated now, {rate:.3g} per second"
    )
    if rejected or summary["dropped"]:
        console.print(
            f"{rejected} of {summary['generated']} images rejected; {summary['dropped']} pictures"
            " left out"
        )
    console.print(f"wrote manifest.parquet, README.md and {SUMMARY_FILE}")
    return {"folder": str(out), **summary}


def verify_with_progress(out: Path, console: Console) -> Verification:
    """Verify a clone and print what is wrong.

    Raises:
        AgentError: the folder holds no clone.
    """
    with _bar(console, "verifying shards", None, 0) as progress:
        found = verify(out, partial(_move, progress))
    for fault in found.faults[:_MOST_FAULTS]:
        console.print(f"[red]fault[/]: {escape(fault)}")
    if len(found.faults) > _MOST_FAULTS:
        console.print(f"and {len(found.faults) - _MOST_FAULTS} more")
    if found.is_sound:
        console.print(f"[green]sound[/]: {found.pictures} pictures, each once, with its checksum")
    elif found.damaged:
        console.print(f"{len(found.damaged)} shards to do: the command that made the clone does")
    return found


def _alike(matches: Sequence[ClassMatch]) -> list[tuple[str, list[str]]]:
    """Return the words that were found for several classes, with the names of these."""
    names: dict[str, list[str]] = {}
    for match in matches:
        names.setdefault(", ".join(match.words), []).append(match.name)
    return [(words, alike) for words, alike in names.items() if len(alike) > 1]


class _Reporter:
    """Moves the bar with every shard, and says how far the classes are."""

    def __init__(self, clone: Clone, progress: Progress) -> None:
        self._clone = clone
        self._progress = progress
        self.n_new = 0
        self._started = self._printed = time.monotonic()

    def on_shard(self, statistics: ShardStatistics) -> None:
        """Report a shard that is on disk."""
        self.n_new += statistics.pictures
        n_pictures = self._clone.plan.layout.n_pictures
        done = self._clone.n_done
        now = time.monotonic()
        rate = self.n_new / max(now - self._started, 1e-9)
        per_class = self._clone.totals.per_class
        counts = [per_class.get(number, 0) for number in range(len(self._clone.plan.classes))]
        each = f"{min(counts)} to {max(counts)} of {self._clone.plan.layout.per_class} per class"
        task = self._progress.task_ids[0]
        self._progress.update(task, completed=done, extra=f"{rate:.3g} per second, {each}")
        if not self._progress.console.is_terminal and now - self._printed >= _LOG_SECONDS:
            self._printed = now
            left = (n_pictures - done) / max(rate, 1e-9)
            self._progress.console.print(
                f"  {done} of {n_pictures} pictures, {rate:.3g} per second, {left:.0f} s left,"
                f" {each}"
            )


def _move(progress: Progress, done: int, total: int) -> None:
    progress.update(progress.task_ids[0], completed=done, total=total)


@contextmanager
def _bar(console: Console, text: str, total: int | None, done: int) -> Iterator[Progress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[extra]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Without a terminal, lines of text say how far it is.
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        progress.add_task(text, total=total, completed=done, extra="")
        yield progress
