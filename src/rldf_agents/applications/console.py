"""What a search tells its user as it goes, on a terminal or in a log file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rldf_agents.applications.output import REPORT_FILE, RESULT_FILE, TRAJECTORY_FILE
from rldf_agents.applications.search import Search, SearchResult
from rldf_agents.protocols import Environment, Episode, Learner, Step, progress_of
from rldf_gym.goal import Goal
from rldf_gym.grammar import Grammar

_BAR_WIDTH = 20


class ConsoleReporter:
    """Prints on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def reading(self, picture: Path) -> Iterator[None]:
        """Say that a target is being read, while it is."""
        with self._console.status(f"reading {escape(str(picture))} ..."):
            yield

    def goal(self, search: Search) -> None:
        """Tell what was read in the target, and how surely."""
        goal = search.goal
        self._say(
            f"[bold]{escape(search.target)}[/] was read as [bold]{escape(repr(goal.prompt))}[/]"
        )
        self._console.print(_goal_table(goal, search.grammar))
        if search.steps:
            self._say(f"going on after step {len(search.steps)}")

    def result(self, result: SearchResult, folder: Path) -> None:
        """Tell how the search ended and where its files are."""
        statistics, best, last = result.statistics, result.best[0], result.steps[-1]
        if result.reached:
            self._say(
                f"[green]goal reached[/] at step {statistics.steps_to_goal}, after"
                f" {statistics.states_to_goal} different pictures"
                f" ({statistics.generations_to_goal} of them drawn now)"
            )
        else:
            self._say(
                f"[yellow]goal not reached[/] in {statistics.steps} steps and {last.states_seen}"
                f" different pictures; closest: {statistics.min_distance:.0f} away"
            )
        self._say(
            f"best picture: [bold]{escape(repr(best.prompt))}[/], reward {best.visit.reward:.3g},"
            f" CLIP similarity to the target {best.visit.similarity:.3f}"
        )
        names = ", ".join((RESULT_FILE, TRAJECTORY_FILE, REPORT_FILE))
        self._say(f"wrote {names} in [bold]{escape(str(folder))}[/]\n")

    def index(self, path: Path) -> None:
        """Tell where the page over several searches is."""
        self._say(f"wrote [bold]{escape(str(path))}[/]")

    @contextmanager
    def progress(self, search: Search) -> Iterator[ProgressLine]:
        """A progress bar for the steps of a search."""
        columns = (
            BarColumn(_BAR_WIDTH),
            MofNCompleteColumn(),
            TextColumn("steps, [bold]{task.fields[states]}[/] pictures"),
            TextColumn("({task.fields[drawn]} drawn), distance {task.fields[distance]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield ProgressLine(progress, search)

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)


class ProgressLine:
    """A callback that moves a progress bar and tells of every approach to the goal."""

    def __init__(self, progress: Progress, search: Search) -> None:
        self._progress = progress
        self._search = search
        self._task = progress.add_task(
            "search", total=search.settings.steps, drawn=0, states=0, distance="?"
        )
        self._closest: int | None = None

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Start the bar at the steps done before a resume."""
        self._progress.update(self._task, completed=progress_of(learner).timesteps)

    def on_step(self, step: Step) -> None:
        """Move the bar; tell when the agent has never been closer."""
        log = self._search.steps[-1]
        self._progress.update(
            self._task,
            advance=1,
            drawn=log.generations,
            states=log.states_seen,
            distance=log.distance,
        )
        if self._closest is None or log.distance < self._closest:
            self._closest = log.distance
            self._progress.console.print(
                f"  step {step.timestep:>5}  distance {log.distance:>2}  reward"
                f" {log.reward:>5.2f}  {escape(step.info['prompt'])}",
                soft_wrap=True,
                highlight=False,
            )

    def on_episode_end(self, episode: Episode) -> None:
        """Nothing is told of an episode."""

    def on_training_end(self) -> None:
        """The bar goes away with its context."""


def _goal_table(goal: Goal, grammar: Grammar) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for axis, label, confidence in zip(
        grammar.axes, goal.state.tolist(), goal.reading.confidence.tolist(), strict=True
    ):
        filled = round(confidence * _BAR_WIDTH)
        is_guess = axis.name in goal.low_confidence_axes
        colour = "yellow" if is_guess else "green"
        table.add_row(
            axis.name,
            f"[bold]{escape(axis.values[label] or '(nothing)')}[/]",
            f"[{colour}]{'━' * filled}[/][dim]{'━' * (_BAR_WIDTH - filled)}[/]",
            f"{confidence:.2f}",
            "[yellow]a guess[/]" if is_guess else "",
        )
    return table
