import numpy as np
import pytest

from rldf_gym.grammar import compile_grammar, load_grammar
from rldf_gym.rendering import text_frame, trajectory_strip

RED = np.full((128, 128, 3), (200, 0, 0), np.uint8)
BLUE = np.full((128, 128, 3), (0, 0, 200), np.uint8)
PROMPT = "a photo of many elephant and many people in kitchen"


def has_colour(frame: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((np.abs(frame.astype(int) - colour).max(axis=-1) <= 3).any())


def test_a_strip_shows_target_and_trajectory():
    strip = np.asarray(trajectory_strip([RED, RED], ["one", "two"], BLUE))
    assert has_colour(strip, (200, 0, 0))
    assert has_colour(strip, (0, 0, 200))
    assert strip.shape[1] > strip.shape[0]


def test_the_target_stands_beside_the_trajectory():
    strip = np.asarray(trajectory_strip([RED] * 3, ["a"] * 3, BLUE))
    columns = np.arange(strip.shape[1])
    blue = (strip == (0, 0, 200)).all(axis=-1).any(axis=0)
    red = (strip == (200, 0, 0)).all(axis=-1).any(axis=0)
    assert columns[blue].max() < columns[red].min()


def test_a_long_trajectory_continues_in_the_next_row():
    one = trajectory_strip([RED] * 4, ["a"] * 4, BLUE, columns=4)
    two = trajectory_strip([RED] * 5, ["a"] * 5, BLUE, columns=4)
    assert two.width == one.width
    assert two.height > one.height


def test_a_highlighted_picture_is_outlined():
    plain = np.asarray(trajectory_strip([RED, RED], ["a", "b"], BLUE))
    marked = np.asarray(trajectory_strip([RED, RED], ["a", "b"], BLUE, highlighted=[1]))
    changed = np.flatnonzero((plain != marked).any(axis=-1).any(axis=0))
    assert changed.size
    assert changed.min() > plain.shape[1] // 2


@pytest.mark.parametrize(("pictures", "captions"), [([], []), ([RED], []), ([RED], ["a", "b"])])
def test_a_strip_needs_a_caption_for_every_picture(pictures, captions):
    with pytest.raises(ValueError, match="captions"):
        trajectory_strip(pictures, captions, BLUE)


def test_a_text_frame_shows_prompt_values_and_goal():
    grammar = load_grammar("base")
    text = text_frame(grammar, np.array([0, 5, 0, 0]), np.array([1, 5, 0, 3]))
    assert text.splitlines() == [
        "a photo of one dog and no people in park",
        "frequency  [one] many*",
        "noun       … orange apple ball duck [dog]* sheep horse elephant car",
        "density    [no]* one many",
        "scene      [park] farm garden beach* snow …",
    ]


def test_a_text_frame_of_a_long_axis_stays_short():
    words = " | ".join(f'"w{number}"' for number in range(500))
    grammar = compile_grammar(f'start: "a " noun\nnoun: {words}\n', "long")
    assert len(text_frame(grammar, np.array([250])).splitlines()[1]) < 100
