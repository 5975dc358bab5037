"""Draws the README's pictures from a real search with the shipped models.

Run from a checkout as ``python -m tools.readme_pictures``; writes into ``docs/``.
"""

import textwrap
from pathlib import Path
from typing import Any

import gymnasium as gym
import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import rldf_gym
from rldf_agents import QLearning
from rldf_agents.protocols import Environment, Episode, Learner, Step
from rldf_gym.generation import make_generator
from rldf_gym.grammar import Grammar, load_grammar

DOCS = Path(__file__).parents[1] / "docs"
_SHOWN = 5
_OTHER_SEEDS = (11, 12, 13, 14, 15)
_INK, _FAINT, _ACCENT = "#1f2328", "#8b949e", "#1a7f37"

gym.register_envs(rldf_gym)
mpl.use("Agg")


class _Walk:
    """Keeps the states of the episode under way and ends the run at the goal."""

    def __init__(self) -> None:
        self.states: list[np.ndarray] = []
        self._episode = -1

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Nothing to prepare."""

    def on_step(self, step: Step) -> bool:
        """Note the state; continue until the goal."""
        if step.episode != self._episode:
            self._episode = step.episode
            self.states = [np.asarray(step.transition.observation)]
        self.states.append(np.asarray(step.transition.next_observation))
        return not step.info["at_goal"]

    def on_episode_end(self, episode: Episode) -> None:
        """Nothing to note."""

    def on_training_end(self) -> None:
        """Nothing to tidy."""


def _show(
    axes: Any, picture: np.ndarray, caption: str, colour: str = _FAINT, width: int = 24
) -> None:
    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_edgecolor(colour)
        spine.set_linewidth(2.5 if colour == _ACCENT else 0.8)
    axes.set_xlabel(textwrap.fill(caption, width), fontsize=8.5, color=_INK)


def _milestones(states: list[np.ndarray], goal: np.ndarray) -> list[np.ndarray]:
    """The start, states that are nearer to the goal than all before, and the goal."""
    nearest, chosen = np.inf, []
    for state in states:
        distance = np.abs(state - goal).sum()
        if distance < nearest:
            nearest = distance
            chosen.append(state)
    keep = np.linspace(0, len(chosen) - 1, min(_SHOWN, len(chosen))).round().astype(int)
    return [chosen[i] for i in keep]


def overview() -> Figure:
    """One picture in, a walk, pictures with the same meaning out."""
    env = gym.make("RLDF-v0", store=None)
    inner = env.unwrapped
    walk = _Walk()
    learner = QLearning(env.observation_space, env.action_space)
    learner.learn(env, total_timesteps=2_000, seed=0, callbacks=[walk])
    goal = inner.goal
    states = _milestones(walk.states, goal.state)
    figure, grid = plt.subplots(2, _SHOWN + 1, figsize=(12.5, 5.9), layout="constrained")
    _show(grid[0, 0], goal.picture, f"the picture, read as “{goal.prompt}”")
    for column, state in enumerate(states, start=1):
        arrived = np.array_equal(state, goal.state)
        prompt = inner.grammar.decode(state)
        _show(
            grid[0, column], inner.evaluator.picture(state), prompt, _ACCENT if arrived else _FAINT
        )
    draw = make_generator("embedded")
    others = draw([goal.prompt] * len(_OTHER_SEEDS), _OTHER_SEEDS)
    for column, picture in enumerate(others, start=1):
        _show(grid[1, column], picture, f"drawn with seed {_OTHER_SEEDS[column - 1]}")
    for unused in (grid[1, 0], *grid[0, len(states) + 1 :]):
        unused.set_axis_off()
    _explain(grid[1, 0], inner.grammar, goal.state)
    titles = (
        "1  one picture, no text",
        "2  an agent walks the grammar; each step is drawn",
        "3  pictures that mean the same",
    )
    places = (grid[0, 0], grid[0, 1], grid[1, 1])
    for axes, title in zip(places, titles, strict=True):
        style = {"fontsize": 10.5, "color": _INK, "fontweight": "bold"}
        heading = axes.text(0, 1.05, title, transform=axes.transAxes, **style)
        heading.set_in_layout(False)  # it may reach over the next picture
    env.close()
    return figure


def _explain(axes: Any, grammar: Grammar, goal: np.ndarray) -> None:
    lines = [
        f"{axis.name}: {axis.values[label]}  (of {len(axis.values)})"
        for axis, label in zip(grammar.axes, goal, strict=True)
    ]
    text = "its meaning, axis by axis:\n\n" + "\n".join(lines)
    axes.text(0, 0.95, text, fontsize=9, color=_INK, va="top", transform=axes.transAxes)


def embedded_world() -> Figure:
    """Two rows a grammar, drawn by the shipped model."""
    figure, grid = plt.subplots(3, 8, figsize=(12.5, 5.9), layout="constrained")
    draw, rng = make_generator("embedded"), np.random.default_rng(3)
    for row, name in enumerate(("base", "extended", "actions")):
        grammar = load_grammar(name)
        states = [grammar.state(int(i)) for i in rng.integers(grammar.n_states, size=8)]
        prompts = [grammar.decode(state) for state in states]
        for axes, prompt, picture in zip(grid[row], prompts, draw(prompts, [5] * 8), strict=True):
            _show(axes, picture, prompt.removeprefix("a photo of "), width=20)
    return figure


def main() -> None:
    """Write both pictures."""
    DOCS.mkdir(exist_ok=True)
    for name, figure in (("overview", overview()), ("embedded_world", embedded_world())):
        figure.savefig(DOCS / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
