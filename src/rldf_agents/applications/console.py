"""What a search reports to its user while it runs, on a terminal or in a log file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rldf_agents.applications.report import axis_readings
from rldf_agents.applications.result import RESULT_FILES, SearchResult
from rldf_agents.applications.search import Search
from rldf_agents.applications.trajectory import StateVisit
from rldf_agents.callbacks import BaseCallback
from rldf_agents.protocols import Environment, Learner, Step
from rldf_gym.goal import Goal

_BAR_WIDTH = 20
_LOG_SECONDS = 10.0
"""Where there is no terminal, seconds between two lines of progress."""


def make_console(quiet: bool = False, stderr: bool = False) -> Console:
    """Return a console whose lines end where their text does, on any width."""
    return Console(quiet=quiet, stderr=stderr, soft_wrap=True, highlight=False)


_PHASES = {
    "start": "the start is verified",
    "further": "the goal state's picture does not match",
}


class ConsoleReporter:
    """Prints the course of searches on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def reading(self, picture: str) -> Iterator[None]:
        """Show that a target is being read."""
        with self._console.status(f"reading {escape(picture)} ..."):
            yield

    def goal(self, search: Search, number: int, n_pictures: int) -> None:
        """Print what was read in the target, with probabilities, and its number of how many."""
        goal = search.goal
        place = f"{number} of {n_pictures}: " if n_pictures > 1 else ""
        self._console.print(
            f"{place}[bold]{escape(search.target)}[/] was read as"
            f" [bold]{escape(repr(goal.prompt))}[/]"
        )
        self._console.print(_goal_table(goal))
        if search.steps:
            self._console.print(f"continuing after step {len(search.steps)}")

    def beside(self, search: Search, most_images: int) -> None:
        """Print that another learner searches for the same target."""
        self._console.print(
            f"beside it, [bold]{escape(search.settings.learner_name)}[/] searches for the same"
            f" target, with at most {most_images} new pictures"
        )

    def outcome(self, result: SearchResult) -> None:
        """Print how the search ended."""
        for line in _outcome(result):
            self._console.print(line)

    def result(self, result: SearchResult, folder: Path) -> None:
        """Print how the search ended and where its files are."""
        self.outcome(result)
        for doubt in result.doubts:
            self._console.print(f"[yellow]doubtful[/]: {escape(doubt)}")
        if result.variations or result.rejected:
            self._console.print(
                f"{len(result.variations)} variations, each verified; {result.rejected} rejected"
            )
        best = result.best[0]
        reward = "" if best.visit.reward is None else f"reward {best.visit.reward:.3g}, "
        self._console.print(
            f"best picture: [bold]{escape(repr(best.prompt))}[/], {reward}"
            f"CLIP similarity to the target {best.visit.similarity:.3f}"
        )
        self._console.print(f"{result.generations} pictures generated now")
        self._console.print(f"wrote {', '.join(RESULT_FILES)} in [bold]{escape(str(folder))}[/]\n")

    def index(self, path: Path) -> None:
        """Print where the page over several searches is."""
        self._console.print(f"wrote [bold]{escape(str(path))}[/]")

    @contextmanager
    def progress(self, search: Search) -> Iterator[ProgressLine]:
        """Show a progress bar for the steps of a search."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            MofNCompleteColumn(),
            TextColumn("steps, [bold]{task.fields[states]}[/] pictures"),
            TextColumn("({task.fields[generated]} generated), distance {task.fields[distance]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield ProgressLine(progress, search)


class ProgressLine(BaseCallback):
    """A callback that moves a progress bar and prints every approach to the goal."""

    def __init__(self, progress: Progress, search: Search) -> None:
        self._progress = progress
        self._search = search
        self._task = progress.add_task(
            "", total=search.settings.steps, generated=0, states=0, distance="?"
        )
        self._n_variations = self._n_rejected = 0
        self._closest: int | None = None
        self._printed_at = time.monotonic()

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Start the bar at the steps done before a resume."""
        self._progress.update(self._task, completed=len(self._search.steps))

    def on_step(self, step: Step) -> None:
        """Move the bar; print the step when the agent has never been closer."""
        log = self._search.steps[-1]
        self._progress.update(
            self._task,
            advance=1,
            generated=log.generations,
            states=log.states_seen,
            distance=log.distance,
        )
        if self._closest is None or log.distance < self._closest or log.matches:
            self._closest = min(log.distance, self._closest or log.distance)
            self._say(
                f"step {step.timestep:>5}  distance {log.distance:>2}  reward {log.reward:>5.2f}  "
                f"{escape(step.info['prompt'])}{'  [green]matches[/]' if log.matches else ''}"
            )
        elif not self._is_live and time.monotonic() - self._printed_at >= _LOG_SECONDS:
            self._say(
                f"step {step.timestep:>5}  distance {log.distance:>2}  {log.states_seen} pictures"
                f" ({log.generations} generated)"
            )

    def on_image(self, phase: str, visit: StateVisit) -> None:
        """Print what became of an image beside the walk."""
        if phase == "variation":
            self._n_variations += bool(visit.matches)
            self._n_rejected += not visit.matches
            self._progress.update(
                self._task,
                description=f"{self._n_variations} variations, {self._n_rejected} rejected",
            )
            return
        where = f"seed {visit.seed}" if visit.distance == 0 else "a state beside it"
        if visit.distance and phase == "start":
            where = f"{visit.distance} away from what was read"
        outcome = "[green]matches[/]" if visit.matches else "does not match"
        self._say(f"{_PHASES[phase]}; {where}: {outcome}")

    @property
    def _is_live(self) -> bool:
        return self._progress.console.is_terminal

    def _say(self, text: str) -> None:
        self._printed_at = time.monotonic()
        self._progress.console.print(f"  {text}")


def _outcome(result: SearchResult) -> Iterator[str]:
    statistics, n_trials = result.statistics, len(result.checks) + len(result.trials)
    cost = f"{result.states_seen} different pictures"
    if result.matched:
        by = f"{n_trials} further pictures" if n_trials else f"{statistics.steps} steps"
        yield (
            f"[green]found a picture that matches[/] the target on every axis, after {by};"
            f" it took {cost}"
        )
    elif result.settings.wants_match:
        yield f"[yellow]no picture matches[/] the target on every axis, of {cost}"
    if result.reached:
        colour = "green" if result.found else "yellow"
        step = statistics.steps_to_goal
        when = "at the start" if step is None else f"at step {step}"
        shows = "" if result.matched else ", but its picture does not read as the target"
        yield f"[{colour}]goal state reached[/] {when}{shows}"
    elif not result.matched:
        yield (
            f"[yellow]goal state not reached[/] in {statistics.steps} steps; closest:"
            f" {statistics.min_distance:.0f} away"
        )


def _goal_table(goal: Goal) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for axis in axis_readings(goal):
        filled = round(axis.probability * _BAR_WIDTH)
        colour = "yellow" if axis.is_guess else "green"
        table.add_row(
            axis.name,
            f"[bold]{escape(axis.word)}[/]",
            f"[{colour}]{'━' * filled}[/][dim]{'━' * (_BAR_WIDTH - filled)}[/]",
            f"{axis.probability:.2f}",
            "[yellow]a guess[/]" if axis.is_guess else "",
        )
    return table
