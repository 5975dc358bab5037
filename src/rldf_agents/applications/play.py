"""Walk a grammar's pictures by keyboard, in a window or in the terminal."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rldf_agents.errors import AgentError
from rldf_agents.protocols import SingleEnvironment
from rldf_gym.actions import DOWN, UP
from rldf_gym.goal import Goal
from rldf_gym.grammar import Grammar
from rldf_gym.rendering import text_frame, trajectory_strip

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_SELECT_BEFORE, _SELECT_AFTER, _MOVE_DOWN, _MOVE_UP, _RESTART, _QUIT = range(6)
_LETTERS = {
    **{"w": _SELECT_BEFORE, "k": _SELECT_BEFORE, "s": _SELECT_AFTER, "j": _SELECT_AFTER},
    **{"a": _MOVE_DOWN, "h": _MOVE_DOWN, "d": _MOVE_UP, "l": _MOVE_UP},
    **{"r": _RESTART, "q": _QUIT},
}
_ARROWS = {"A": _SELECT_BEFORE, "B": _SELECT_AFTER, "C": _MOVE_UP, "D": _MOVE_DOWN}
_KEY = re.compile(r"\x1b[\[O]([ABCD])|([^\x1b])", re.DOTALL)
"""An arrow key as terminals send it, or any other."""

_KEYS = (
    "up and down (w s, k j): choose an axis; left and right (a d, h l): move; r: restart; q: quit"
)
_KEYS_PER_SECOND = 8
_TILE, _WIDTH, _FONT_SIZE = 320, 800, 13
"""Pixels of the window: a picture, the least width, a line of text."""

_LARGEST, _SMALLEST = 64, 8
"""Pixels of a picture in the terminal, across."""


class KeyboardWalk(gym.Wrapper[Any, Any, Any, Any]):
    """An environment whose actions are keys: choose an axis, move along it, restart, quit.

    Args:
        env: ``RLDF-v0`` with ``action_mode="axis"`` and ``render_mode="rgb_array"``.
        seed: of the starting states.

    Attributes:
        axis: number of the axis that the keys left and right move along.
        moves: since the last restart.
        quitted: whether the key to quit was pressed.
        on_quit: called when it is.
    """

    def __init__(self, env: SingleEnvironment, seed: int | None = None) -> None:
        super().__init__(env)
        self.action_space = Discrete(_QUIT + 1)
        self.axis = self.moves = 0
        self.quitted = False
        self.on_quit: Callable[[], None] = lambda: None
        self._seed = seed
        self._grammar: Grammar = env.get_wrapper_attr("grammar")
        self._goal: Goal = env.get_wrapper_attr("goal")
        self._reward: float | None = None
        self.reset()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start at another random state, or where the options say."""
        chosen = self._seed if seed is None else seed
        self._state, self._info = self.env.reset(seed=chosen, options=options)
        self._seed = None
        self._reward, self.moves = None, 0
        return self._state, self._info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Do what a key stands for; only moves are steps of the environment."""
        reward = 0.0
        if action in (_SELECT_BEFORE, _SELECT_AFTER):
            self.axis = (self.axis + (1 if action == _SELECT_AFTER else -1)) % self._grammar.n_axes
        elif action in (_MOVE_DOWN, _MOVE_UP):
            move = np.array([self.axis, UP if action == _MOVE_UP else DOWN])
            self._state, step_reward, *_, self._info = self.env.step(move)
            self._reward = reward = float(step_reward)
            self.moves += 1
        elif action == _RESTART:
            self.reset()
        else:
            self.quitted = True
            self.on_quit()
        return self._state, reward, False, False, self._info

    def lines(self) -> list[str]:
        """Return the state as lines of text: prompt, axes, and where it is."""
        prompt, *axes = text_frame(self._grammar, self._state).split("\n")
        marked = [f"{'>' if i == self.axis else ' '} {line}" for i, line in enumerate(axes)]
        right = int(np.sum(self._info["values"] == self._goal.reading.values))
        return [prompt, *marked, self._outcome(right), _KEYS]

    def _outcome(self, n_right: int) -> str:
        reward = "" if self._reward is None else f"reward {self._reward:.3g}, "
        moves = f"{self.moves} {'move' if self.moves == 1 else 'moves'}"
        if self._info["matches"]:
            return f"{reward}{moves}: this picture reads as the target on every axis"
        return f"{reward}{moves}: {n_right} of {self._grammar.n_axes} axes read as in the target"

    def picture(self) -> NDArray[np.uint8]:
        """Return the state's image, uint8 ``[H, W, 3]``."""
        return np.asarray(self.env.render(), np.uint8)

    @property
    def target(self) -> NDArray[np.uint8]:
        """The target, uint8 ``[H, W, 3]``."""
        return self._goal.picture

    def render(self) -> NDArray[np.uint8]:
        """Return the frame of a window, of the same size always: target, picture and text."""
        strip = trajectory_strip([self.picture()], [""], self.target, "target", size=_TILE)
        lines = self.lines()
        font = _font(_FONT_SIZE)
        top, height = _TILE + 4 * _FONT_SIZE, 2 * _FONT_SIZE * len(lines)
        frame = Image.new("RGB", (max(strip.width, _WIDTH), top + height), "white")
        frame.paste(strip, ((frame.width - strip.width) // 2, 0))
        draw = ImageDraw.Draw(frame)
        for number, line in enumerate(lines):
            fits = min(1.0, (frame.width - 2 * _FONT_SIZE) / font.getlength(line))
            at = (_FONT_SIZE, top + (2 * number) * _FONT_SIZE)
            draw.text(at, line, fill="black", font=_font(_FONT_SIZE * fits))
        return np.asarray(frame)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """Return matplotlib's own monospaced font, which is there wherever matplotlib is."""
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), size)


def play_in_window(walk: KeyboardWalk) -> None:
    """Play in a pygame window until it is closed or a key quits.

    Raises:
        AgentError: pygame is missing, or there is no display.
    """
    try:
        import pygame

        with warnings.catch_warnings():  # of its plots, which this does not use
            warnings.simplefilter("ignore")
            from gymnasium.utils.play import play
    except ImportError as error:
        raise AgentError(
            "a window needs pygame: pip install 'rldf-gym[play]', or add --terminal"
        ) from error
    arrows = (pygame.K_UP, pygame.K_DOWN, pygame.K_RIGHT, pygame.K_LEFT)
    keys = {(code,): action for code, action in zip(arrows, _ARROWS.values(), strict=True)}
    keys |= {(ord(letter),): action for letter, action in _LETTERS.items()}

    def close() -> None:
        pygame.event.post(pygame.event.Event(pygame.QUIT))

    walk.on_quit = close
    try:
        play(walk, fps=_KEYS_PER_SECOND, keys_to_action=keys, wait_on_player=True)
    except pygame.error as error:
        raise AgentError(f"no window can be opened ({error}): add --terminal") from error


def play_in_terminal(walk: KeyboardWalk, read: Callable[[], str], console: Console) -> None:
    """Play in the terminal until a key quits or there are no more keys.

    Args:
        walk: to play.
        read: waits for keys and returns their characters, "" at the end.
        console: receives a frame after every key that means something.
    """
    show_frame(walk, console)
    for action in actions_of(read):
        walk.step(action)
        if walk.quitted:
            break
        show_frame(walk, console)


def actions_of(read: Callable[[], str]) -> Iterator[int]:
    """Yield the actions of the keys that are read; others mean nothing."""
    pending = ""
    while text := read():
        pending += text
        if pending in ("\x1b", "\x1b[", "\x1bO"):
            continue  # the beginning of an arrow key
        for arrow, letter in _KEY.findall(pending):
            action = _ARROWS[arrow] if arrow else _LETTERS.get(letter.lower())
            if action is not None:
                yield action
        pending = ""


def show_frame(walk: KeyboardWalk, console: Console) -> None:
    """Print the target beside the picture, and the state as text; on a terminal, alone."""
    lines = walk.lines()
    rows = sum(-(-len(line) // console.width) for line in lines)
    size = min((console.width - 2) // 2, 2 * (console.height - rows - 1), _LARGEST)
    if console.is_terminal and console.file.isatty():
        console.clear()
    console.print(half_blocks([walk.target, walk.picture()], max(size, _SMALLEST)), no_wrap=True)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def half_blocks(pictures: list[NDArray[np.uint8]], size: int) -> Text:
    """Return pictures side by side, two pixels in each character, in 24-bit colour.

    Args:
        pictures: uint8 ``[H, W, 3]`` each.
        size: pixels across and down of each; an odd one counts as one less.
    """
    from rich.text import Text

    size -= size % 2
    small = [np.asarray(Image.fromarray(each).resize((size, size))) for each in pictures]
    text = Text(no_wrap=True)
    for upper in range(0, size, 2):
        for number, picture in enumerate(small):
            text.append("  " * bool(number))
            for one, other in zip(picture[upper], picture[upper + 1], strict=True):
                above, below = ("#{:02x}{:02x}{:02x}".format(*pixel) for pixel in (one, other))
                text.append("▀", style=f"{above} on {below}")
        text.append("\n")
    text.rstrip()
    return text
