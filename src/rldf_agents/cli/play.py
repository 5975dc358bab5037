"""``rldf play``: walk a world by keyboard."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.world import World


@options.expanded
def play(
    world: World,
    target: Annotated[
        str | None, typer.Option(help="The picture to search for; default: a shipped one.")
    ] = None,
    reward: options.Reward = "multi_semantic",
    seed: Annotated[int | None, typer.Option(help="Seed of the starting states.", min=0)] = None,
    in_window: Annotated[
        bool | None,
        typer.Option(
            "--window/--terminal",
            help="Where to play; default: a window where there is a display and pygame (pip install"
            " 'rldf-gym[play]'), else the terminal, in 24-bit colour.",
        ),
    ] = None,
) -> None:
    """Walk from picture to picture by keyboard, in search of the target.

    Up and down (or w and s, k and j) choose an axis; left and right (a and d, h and l) move along
    it; r restarts at another state; q quits. In the terminal, keys may also come through a pipe.

    Example: rldf play --target photo.png --grammar base
    """
    import gymnasium as gym
    from rich.console import Console

    from rldf_agents.applications.play import KeyboardWalk, play_in_terminal, play_in_window
    from rldf_gym.goal import load_picture

    picture = load_picture(target)
    env = gym.make(
        "RLDF-v0",
        disable_env_checker=True,
        max_episode_steps=-1,
        render_mode="rgb_array",
        target=picture,
        reward=reward,
        stop_at=None,
        **{**world.arguments(), "generator": world.limited_generator(), "generator_kwargs": None},
    )
    try:
        walk = KeyboardWalk(env, seed)
        if _wants_window() if in_window is None else in_window:
            play_in_window(walk)
        else:
            console = Console(force_terminal=True, color_system="truecolor", highlight=False)
            with _keyboard() as read:
                play_in_terminal(walk, read, console)
    finally:
        env.close()


def _wants_window() -> bool:
    has_display = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    return has_display and importlib.util.find_spec("pygame") is not None


@contextmanager
def _keyboard() -> Iterator[Callable[[], str]]:
    """Give a function that waits for keys; from a terminal they come one by one, without echo."""
    if not sys.stdin.isatty():
        yield partial(sys.stdin.read, 1)
    elif sys.platform == "win32":
        yield typer.getchar
    else:
        import termios
        import tty

        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal)
        try:
            yield lambda: os.read(terminal, 32).decode(errors="replace")
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
