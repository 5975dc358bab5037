"""The README's two pictures, from a real search with the shipped models."""

import io
import textwrap
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

import rldf_gym
from rldf_agents.applications.search import SearchResult, SearchSettings, search_picture
from rldf_agents.applications.slide import Cell, slide
from rldf_agents.applications.trajectory import Frame
from rldf_gym.generation import make_generator
from rldf_gym.goal import DEFAULT_TARGET
from rldf_gym.grammar import Grammar, load_grammar
from rldf_gym.perception import Readings
from rldf_gym.rewards import multi_semantic

_COLUMNS = 5
_SEED = 0
_INK, _FAINT, _ACCENT = "#1f2328", "#8b949e", "#1a7f37"

gym.register_envs(rldf_gym)
mpl.use("Agg")


def overview() -> Figure:
    """Return one search from the picture to its variations, and a slide of what was found."""
    settings = SearchSettings(seed=_SEED, variations=_COLUMNS)
    result = search_picture(DEFAULT_TARGET, settings)
    figure, grid = plt.subplots(
        4, _COLUMNS, figsize=(10.4, 11.2), layout="constrained", height_ratios=(1, 1, 1, 1)
    )
    for axes in grid.ravel():
        axes.set_axis_off()
        axes.set_box_aspect(1)
    grammar = result.goal.grammar
    _show(grid[0, 0], result.goal.picture, "")
    _write_reading(grid[0, 1], grammar, result.goal.state)
    _write_sentences(grid[0, 2], grammar)
    for axes, frame in zip(grid[1], _some(result.trajectory), strict=True):
        arrived = bool(frame.visit.matches)
        reward = "start" if frame.visit.reward is None else f"reward {frame.visit.reward:g}"
        caption = f"{_short(frame.prompt)}\n{reward}"
        _show(axes, frame.picture, caption, _ACCENT if arrived else _FAINT)
    for axes, frame in zip(grid[2], result.variations, strict=True):
        _show(axes, frame.picture, "reads as the target", _ACCENT)
    for axes, cell in zip(grid[3], _weathers(), strict=True):
        _show(axes, cell.picture, _short(cell.prompt).partition(" on a ")[2])
    _write_titles(grid, result)
    return figure


def _some(frames: Sequence[Frame]) -> list[Frame]:
    """Return the first, the last, and as many in between as there are columns."""
    chosen = np.linspace(0, len(frames) - 1, _COLUMNS).round().astype(int)
    return [frames[number] for number in chosen]


def _weathers() -> list[Cell]:
    """Return the target in every weather by day, and clear at the other times of day."""
    env = gym.make("RLDF-Extended-v0")
    evaluator = env.get_wrapper_attr("evaluator")
    goal = env.get_wrapper_attr("goal")
    moved = slide(evaluator, goal.picture, ["weather", "time_of_day"])
    return [cell for cell in moved.cells if 0 in cell.state[-2:]]


def _write_titles(grid: Any, result: SearchResult) -> None:
    titles = {
        (0, 0): "1  Your picture",
        (0, 1): "2  Its reading",
        (0, 2): f"3  A grammar of {result.goal.grammar.n_states} sentences",
        (1, 0): f"4  An agent walks the sentences: {result.states_seen} images to a match",
        (2, 0): "5  New images of the prompt it found, each verified",
        (3, 0): "6  One axis moved, the others kept",
    }
    for place, title in titles.items():
        style = {"fontsize": 13, "color": _INK, "fontweight": "bold"}
        heading = grid[place].text(0, 1.06, title, transform=grid[place].transAxes, **style)
        heading.set_in_layout(False)  # it may reach over the next picture


def _write_reading(axes: Any, grammar: Grammar, goal: np.ndarray) -> None:
    for line, (axis, label) in enumerate(zip(grammar.axes, goal, strict=True)):
        height = 0.86 - 0.22 * line
        place = {"transform": axes.transAxes, "va": "center"}
        axes.text(0, height, axis.name, fontsize=12, color="#57606a", **place)
        words = {"fontsize": 13, "color": _ACCENT, "fontweight": "bold"}
        axes.text(0.62, height, axis.values[label], **words, **place)


def _write_sentences(axes: Any, grammar: Grammar) -> None:
    """Write the sentence with the choices that each axis has."""
    frequency, noun, density, scene = (_choices(axis.values) for axis in grammar.axes)
    lines = f"a photo of {frequency}\n{noun}\nand {density} people\nin {scene}"
    text = axes.text(
        0, 0.86, lines, fontsize=12, color=_INK, va="top", linespacing=1.9, transform=axes.transAxes
    )
    text.set_in_layout(False)


def _choices(values: Sequence[str]) -> str:
    shown = " | ".join(values[:5])
    return f"( {shown} | … )" if len(values) > 5 else f"( {shown} )"


def _short(prompt: str) -> str:
    return prompt.removeprefix("a photo of ")


def _show(
    axes: Any, picture: np.ndarray, caption: str, colour: str = _FAINT, width: int = 22
) -> None:
    axes.set_axis_on()
    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_edgecolor(colour)
        spine.set_linewidth(3.5 if colour == _ACCENT else 0.8)
    lines = [textwrap.fill(line, width) for line in caption.splitlines()]
    axes.set_xlabel("\n".join(lines), fontsize=10.5, color=_INK)


def gridworld() -> Figure:
    """Return a slice of the base world, nouns by scenes, with the reward for each state."""
    env = gym.make("RLDF-Base-v0")
    grammar: Grammar = env.get_wrapper_attr("grammar")
    evaluator, goal = env.get_wrapper_attr("evaluator"), env.get_wrapper_attr("goal")
    noun, scene = grammar.axis_index("noun"), grammar.axis_index("scene")
    columns, rows = grammar.axes[noun].values, grammar.axes[scene].values
    states = np.tile(goal.state, (len(rows), len(columns), 1))
    states[..., scene] = np.arange(len(rows))[:, np.newaxis]
    states[..., noun] = np.arange(len(columns))
    flat = states.reshape(-1, grammar.n_axes)
    rewards = multi_semantic(Readings.of(evaluator.readings(flat)), goal)
    figure, grid = plt.subplots(
        len(rows), len(columns), figsize=(10.4, 8.6), gridspec_kw={"wspace": 0.06, "hspace": 0.06}
    )
    for axes, state, reward in zip(grid.ravel(), flat, rewards, strict=True):
        at_goal = np.array_equal(state, goal.state)
        _show(axes, evaluator.picture(state), "", _ACCENT if at_goal else _FAINT)
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        axes.text(6, 8, f"{reward:g}", fontsize=9, color=_INK, va="top", bbox=box)
    for axes, name in zip(grid[0], columns, strict=True):
        axes.set_title(name, fontsize=11, color=_INK)
    for axes, name in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(name, fontsize=11, color=_INK)
    figure.subplots_adjust(left=0.04, right=0.995, top=0.965, bottom=0.01)
    return figure


def embedded_world() -> Figure:
    """Return a row of images for each of three grammars, generated by the shipped model."""
    figure, grid = plt.subplots(3, 8, figsize=(12.5, 5.9), layout="constrained")
    generate, rng = make_generator("embedded"), np.random.default_rng(3)
    for row, name in enumerate(("base", "extended", "actions")):
        grammar = load_grammar(name)
        states = [grammar.state(int(i)) for i in rng.integers(grammar.n_states, size=8)]
        prompts = [grammar.decode(state) for state in states]
        images = generate(prompts, [5] * 8)
        for axes, prompt, picture in zip(grid[row], prompts, images, strict=True):
            _show(axes, picture, _short(prompt), width=20)
            axes.xaxis.label.set_fontsize(8.5)
    return figure


def encode(figure: Figure, suffix: str) -> bytes:
    """Return a figure as a file of the kind that the suffix names, such as ".webp"."""
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=110)
    kind = suffix.removeprefix(".").upper()
    Image.open(drawn).convert("RGB").save(content, kind, optimize=True, quality=90)
    return content.getvalue()


FIGURES = {
    "overview.png": overview,
    "gridworld.webp": gridworld,
    "embedded_world.png": embedded_world,
}
