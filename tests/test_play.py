"""A person walks the pictures by keyboard: in a window, in a terminal, through a pipe."""

import io
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from painted_world import load_grammar, paint, painted_arguments
from PIL import Image
from rich.console import Console
from test_cli import refusal

from rldf_agents.applications.play import (
    KeyboardWalk,
    actions_of,
    half_blocks,
    play_in_terminal,
    play_in_window,
    show_frame,
)

GRAMMAR = load_grammar("base")
OWN = [
    *("--generator", "outsiders:generator", "--perception", "outsiders:perception"),
    *("--grammar", "outsiders:GRAMMAR", "--store", ":memory:"),
]
PROGRAM = [sys.executable, "-m", "rldf_agents", "play"]


def walk(kind=KeyboardWalk) -> KeyboardWalk:
    env = gym.make(
        "RLDF-v0",
        disable_env_checker=True,
        render_mode="rgb_array",
        stop_at=None,
        max_episode_steps=-1,
        **painted_arguments(),
    )
    made = kind(env, seed=0)
    made.reset(options={"state": np.array([0, 3, 1, 3])})
    return made


def played(keys: str, kind=KeyboardWalk) -> tuple[KeyboardWalk, str]:
    game, out = walk(kind), io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=80, height=40)
    play_in_terminal(game, io.StringIO(keys).read, console)
    return game, out.getvalue()


def prompt(game: KeyboardWalk) -> str:
    return game.lines()[0]


class TestTheKeys:
    @pytest.mark.parametrize("keys", ["d", "l", "D", "\x1b[C", "\x1bOC"])
    def test_move_along_the_chosen_axis(self, keys):
        game, _ = played(keys)
        assert prompt(game) == GRAMMAR.decode([1, 3, 1, 3])
        assert game.moves == 1

    @pytest.mark.parametrize("keys", ["sa", "jh", "\x1b[B\x1b[D", "wwwa"])
    def test_choose_another_axis(self, keys):
        game, _ = played(keys)
        assert prompt(game) == GRAMMAR.decode([0, 2, 1, 3])
        assert game.lines()[2].startswith("> noun")

    def test_restart_at_a_random_state(self):
        game, _ = played("ddr")
        assert game.moves == 0

    def test_quit_and_leave_the_rest_unread(self):
        game, _ = played("dqdddd")
        assert game.quitted
        assert game.moves == 1

    def test_that_mean_nothing_do_nothing(self):
        game, _ = played("x\n?1")
        assert game.moves == 0

    def test_of_arrows_may_come_in_pieces(self):
        pieces = iter(["\x1b", "[", "C", "d", ""])
        assert len(list(actions_of(lambda: next(pieces)))) == 2


class TestTheText:
    def test_says_how_much_reads_as_in_the_target(self):
        _, shown = played("d")
        assert "0 moves: 2 of 4 axes read as in the target" in shown
        assert "reward 2, 1 move: 3 of 4 axes read as in the target" in shown

    def test_says_so_when_the_picture_matches(self):
        game, _ = played("dsdd")
        assert "this picture reads as the target on every axis" in game.lines()[-2]

    def test_shows_two_pixels_in_every_character(self):
        red, blue = (np.full((1, 2, 3), colour, np.uint8) for colour in [(255, 0, 0), (0, 0, 255)])
        text = half_blocks([np.vstack([red, blue])], 2)
        assert text.plain == "▀▀"
        assert {str(span.style) for span in text.spans} == {"#ff0000 on #0000ff"}

    @pytest.mark.parametrize("width", [20, 79, 80, 81])
    def test_fits_the_width_of_the_terminal(self, width):
        out = io.StringIO()
        show_frame(walk(), Console(file=out, width=width, height=40))
        blocks = [line for line in out.getvalue().splitlines() if "▀" in line]
        assert {len(line) for line in blocks} == {2 * (len(blocks) * 2) + 2}
        assert len(blocks[0]) <= width

    def test_is_in_true_colour(self):
        _, shown = played("")
        assert re.search("\x1b\\[38;2;\\d+;\\d+;\\d+;48;2;\\d+;\\d+;\\d+m▀", shown)


def test_a_window_follows_the_keys_and_closes(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame = pytest.importorskip("pygame")

    class Pressed(KeyboardWalk):
        def step(self, action):
            found = super().step(action)
            for kind, key in ((pygame.KEYUP, pygame.K_RIGHT), (pygame.KEYDOWN, pygame.K_q)):
                pygame.event.post(pygame.event.Event(kind, key=key))
            return found

    game = walk(Pressed)
    pygame.display.init()
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RIGHT))
    play_in_window(game)
    assert game.quitted
    assert game.moves == 1


def test_a_frame_of_the_window_has_the_same_size_everywhere():
    game = walk()
    first = game.render()
    game.step(3)
    assert game.render().shape == first.shape
    assert game.render().dtype == np.uint8


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    Image.fromarray(paint(GRAMMAR, (1, 5, 1, 3))).save(tmp_path / "picture.png")
    tests = str(Path(__file__).parent)
    return {**os.environ, "PYTHONPATH": tests, "TERM": "xterm", "RLDF_STORE": str(tmp_path / "s")}


def test_keys_may_come_through_a_pipe(environment, tmp_path):
    done = subprocess.run(
        [*PROGRAM, *OWN, "--target", tmp_path / "picture.png", "--terminal", "--seed", "1"],
        input="dsd\x1b[Dq",
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert done.stdout.count(", 3 moves: ") == 1
    assert "▀" in done.stdout
    assert done.stderr == ""


def test_keys_may_come_from_a_terminal(environment, tmp_path):
    ours, theirs = pty.openpty()
    playing = subprocess.Popen(
        [*PROGRAM, *OWN, "--target", tmp_path / "picture.png", "--terminal"],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=environment,
    )
    os.close(theirs)
    shown = until(ours, "0 moves")
    for keys, expected in ((b"\x1b[B", "> noun"), (b"d", "1 move"), (b"a", "2 moves")):
        os.write(ours, keys)
        shown += until(ours, expected)
    os.write(ours, b"q")
    assert playing.wait() == 0
    assert "38;2;" in shown
    os.close(ours)


def until(terminal: int, expected: str) -> str:
    """Return what a terminal shows up to some text."""
    shown = ""
    while expected not in shown:
        ready, _, _ = select.select([terminal], [], [], 120)
        assert ready, f"{expected!r} is not in {shown!r}"
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


def test_says_what_is_wrong(capsys, environment, tmp_path, monkeypatch):
    (tmp_path / "bad.png").write_text("no picture")
    assert "bad.png is not a picture" in refusal(capsys, "play", "--target", tmp_path / "bad.png")
    assert "unknown grammar 'klingon'" in refusal(capsys, "play", "--grammar", "klingon")
    own = [*OWN, "--target", tmp_path / "picture.png"]
    monkeypatch.setitem(sys.modules, "pygame", None)
    monkeypatch.delitem(sys.modules, "gymnasium.utils.play", raising=False)
    assert "pip install 'rldf-gym[play]'" in refusal(capsys, "play", *own, "--window")
