"""Move one or two attributes of what a picture means, and keep the rest (paper, Fig. 13)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rldf_agents.applications.output import kept_by_store
from rldf_agents.applications.rank_correlation import RankCorrelation, rank_correlation
from rldf_agents.applications.report import NOTHING, render_slide
from rldf_agents.applications.result import REPORT_FILE, as_json, png, versions
from rldf_agents.errors import AgentError
from rldf_gym.atomic_file import write_atomically
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal, infer_goal
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Reading
from rldf_gym.rendering import animated_webp, trajectory_strip

GRID_FILE, ANIMATION_FILE, SLIDE_FILE = "grid.png", "slide.webp", "slide.json"
_MOST_AXES = 2


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a slide: its state, prompt and image, and what was read in it."""

    state: NDArray[np.int64]
    prompt: str
    picture: NDArray[np.uint8]
    reading: Reading


@dataclass(frozen=True, eq=False)
class SlidAxis:
    """An axis that moved, over all pictures of the slide.

    Attributes:
        name: of the axis.
        values: its values, in the grammar's order.
        follows: share of pictures that read as the value they were generated for, 0 to 1.
        monotone: rank correlation of the value's position and CLIP's score of it.
    """

    name: str
    values: tuple[str, ...]
    follows: float
    monotone: RankCorrelation


@dataclass(frozen=True, eq=False)
class Slide:
    """The pictures of all values of one or two axes, the other axes as in the goal.

    Attributes:
        goal: what was read in the target.
        axes: numbers of the axes that move.
        cells: row by row, the last axis fastest.
        scores: for each axis float64 ``[n_cells]``: how much more the picture is like the axis's
            last value than like its first, by CLIP.
        generator: name of the generator.
        generation_seed: of all pictures.
    """

    goal: Goal
    axes: tuple[int, ...]
    cells: tuple[Cell, ...]
    scores: tuple[NDArray[np.float64], ...]
    generator: str
    generation_seed: int

    @property
    def moved(self) -> tuple[SlidAxis, ...]:
        """Return what the slide measures on the axes that move."""
        grammar, right = self.goal.grammar, self._right
        states = np.array([cell.state for cell in self.cells])
        return tuple(
            SlidAxis(
                name=grammar.axis_names[axis],
                values=grammar.axes[axis].values,
                follows=float(right[:, axis].mean()),
                monotone=rank_correlation(states[:, axis], score),
            )
            for axis, score in zip(self.axes, self.scores, strict=True)
        )

    @property
    def stays(self) -> dict[str, float]:
        """Return for every other axis the share of pictures that keep its value, 0 to 1."""
        names = self.goal.grammar.axis_names
        return {names[axis]: float(self._right[:, axis].mean()) for axis in self._others}

    @property
    def all_stay(self) -> float:
        """Return the share of pictures that keep the values of all other axes, 0 to 1."""
        return float(self._right[:, self._others].all(axis=1).mean())

    @property
    def n_columns(self) -> int:
        """Number of values of the last axis."""
        return len(self.goal.grammar.axes[self.axes[-1]])

    @property
    def _others(self) -> list[int]:
        return [axis for axis in range(self.goal.grammar.n_axes) if axis not in self.axes]

    @property
    def _right(self) -> NDArray[np.bool_]:
        return np.array([cell.state == cell.reading.values for cell in self.cells])

    def label(self, cell: Cell) -> str:
        """Return the values that a cell was generated for."""
        axes = self.goal.grammar.axes
        return ", ".join(axes[axis].values[cell.state[axis]] or NOTHING for axis in self.axes)

    def misread(self, cell: Cell) -> str:
        """Return what was read otherwise in a cell's picture, empty where nothing was."""
        return ", ".join(
            f"{axis.name.replace('_', ' ')}: {axis.values[label] or NOTHING}"
            if label >= 0
            else f"{axis.name.replace('_', ' ')}: not recognised"
            for axis, label, meant in zip(
                self.goal.grammar.axes, cell.reading.values, cell.state, strict=True
            )
            if label != meant
        )

    def is_goal(self, cell: Cell) -> bool:
        """Return whether a cell's state is the goal state."""
        return np.array_equal(cell.state, self.goal.state)

    def to_json(self) -> dict[str, Any]:
        """Return the content of slide.json."""
        return {
            "goal_prompt": self.goal.prompt,
            "goal_state": self.goal.state.tolist(),
            "axes": [
                {
                    "axis": each.name,
                    "values": list(each.values),
                    "follows": each.follows,
                    "rank_correlation": each.monotone.value,
                    "rank_correlation_interval": each.monotone.interval,
                }
                for each in self.moved
            ],
            "stays": self.stays,
            "all_stay": self.all_stay,
            "cells": [
                {
                    "prompt": cell.prompt,
                    "state": cell.state.tolist(),
                    "read": cell.reading.values.tolist(),
                }
                for cell in self.cells
            ],
            "grammar": self.goal.grammar.name,
            "generator": self.generator,
            "generation_seed": self.generation_seed,
            "versions": versions(),
        }

    def save(self, folder: Path, target: str, command: str) -> None:
        """Write slide.json, grid.png, slide.webp and report.html, each atomically.

        Args:
            folder: must exist.
            target: name of the picture, for the report.
            command: what the user can type to repeat the slide, for the report.

        Raises:
            OSError: a file cannot be written.
        """
        summary = self.to_json()
        animation = self.animation()
        page = render_slide(self, animation, target, summary["versions"], command)
        for name, content in (
            (GRID_FILE, png(self.grid())),
            (ANIMATION_FILE, animation),
            (REPORT_FILE, page.encode()),
            (SLIDE_FILE, as_json({"target": target, **summary})),
        ):
            write_atomically(folder / name, content)

    def grid(self) -> NDArray[np.uint8]:
        """Return the labelled pictures beside the target, uint8 ``[height, width, 3]``.

        The picture of the goal state is outlined.
        """
        misread = map(self.misread, self.cells)
        labels = map(self.label, self.cells)
        strip = trajectory_strip(
            [cell.picture for cell in self.cells],
            [f"{a} (read {b})" if b else a for a, b in zip(labels, misread, strict=True)],
            self.goal.picture,
            self._target_caption,
            highlighted=[number for number, cell in enumerate(self.cells) if self.is_goal(cell)],
            columns=self.n_columns,
        )
        return np.asarray(strip)

    def animation(self) -> bytes:
        """Return an endless WebP that moves by one value at a time, there and back."""
        order = np.arange(len(self.cells)).reshape(-1, self.n_columns)
        order[1::2] = order[1::2, ::-1]  # at the end of a row, only the first axis moves
        there = [self._frame(self.cells[number]) for number in order.ravel()]
        return animated_webp([*there, *there[-2:0:-1]])

    def _frame(self, cell: Cell) -> Image.Image:
        label = [self.label(cell)]
        return trajectory_strip([cell.picture], label, self.goal.picture, self._target_caption)

    @property
    def _target_caption(self) -> str:
        return f"target, read as: {self.goal.prompt}"


def moving_axes(grammar: Grammar, names: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of the axes to move.

    Args:
        grammar: of the slide.
        names: of one or two different axes.

    Raises:
        AgentError: no axis, one twice, or more than two.
        GrammarError: an unknown axis; the message names the known ones.
    """
    axes = tuple(grammar.axis_index(name) for name in names)
    if not 1 <= len(axes) <= _MOST_AXES:
        raise AgentError(f"--axis {', '.join(names)}: {len(axes)} axes; give one or two")
    if len(set(axes)) < len(axes):
        raise AgentError(f"--axis {names[0]} is given twice: give it once, or two different axes")
    return axes


def slide(
    evaluator: StateEvaluator,
    target: NDArray[np.uint8],
    names: Sequence[str],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Slide:
    """Generate and read a picture for every value of one or two axes.

    Args:
        evaluator: generates and reads.
        target: uint8 ``[H, W, 3]``; the axes that do not move keep what is read in it.
        names: of the axes that move.
        on_progress: receives the number of finished pictures, and of all.

    Raises:
        AgentError: see `moving_axes`.
        GrammarError: an unknown axis.
        KeyboardInterrupt: Ctrl-C; its text says what was kept.
    """
    grammar = evaluator.grammar
    axes = moving_axes(grammar, names)
    goal = infer_goal(evaluator, target)
    states = []
    for values in itertools.product(*(range(len(grammar.axes[axis])) for axis in axes)):
        states.append(goal.state.copy())
        states[-1][list(axes)] = values
    readings: list[Reading] = []
    try:
        for batch in evaluator.evaluate([grammar.index(state) for state in states]):
            readings += batch
            on_progress(len(readings), len(states))
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(kept_by_store(len(readings), len(states))) from interrupt
    cells = tuple(
        Cell(state, grammar.decode(state), evaluator.picture(state), reading)
        for state, reading in zip(states, readings, strict=True)
    )
    return Slide(
        goal=goal,
        axes=axes,
        cells=cells,
        scores=tuple(_scores(evaluator, cells, axis) for axis in axes),
        generator=evaluator.generator.name,
        generation_seed=evaluator.generation_seed,
    )


def _scores(evaluator: StateEvaluator, cells: Sequence[Cell], axis: int) -> NDArray[np.float64]:
    grammar = evaluator.grammar
    scores = []
    for cell in cells:
        first, last = cell.state.copy(), cell.state.copy()
        first[axis], last[axis] = 0, grammar.nvec[axis] - 1
        like_first, like_last = evaluator.spec.embed([grammar.decode(first), grammar.decode(last)])
        scores.append(float(cell.reading.embedding @ (like_last - like_first)))
    return np.array(scores)
