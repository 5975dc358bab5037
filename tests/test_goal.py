import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_world import paint, painted_world
from PIL import Image

from rldf_gym.goal import (
    LowConfidenceWarning,
    TargetError,
    infer_goal,
    least_confidence,
    load_picture,
)
from rldf_gym.grammar import load_grammar

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


@given(st.integers(0, 479))
def test_the_goal_is_the_state_that_the_target_shows(index):
    world = painted_world()
    state = world.grammar.state(index)
    goal = infer_goal(world, paint(world.grammar, state))
    assert goal.state.tolist() == state.tolist()
    assert goal.prompt == world.grammar.decode(state)
    assert goal.low_confidence_axes == ()


def test_reading_a_target_draws_nothing():
    world = painted_world()
    infer_goal(world, paint(world.grammar, [0, 0, 0, 0]))
    assert world.generations == 0


def test_axes_that_could_not_be_read_are_filled_and_named_as_guesses():
    world = painted_world()
    with pytest.warns(LowConfidenceWarning) as given_warnings:
        goal = infer_goal(world, paint(world.grammar, [-1, -1, 1, 3]))
    assert set(goal.low_confidence_axes) == {"frequency", "noun"}
    assert goal.state.min() >= 0
    assert goal.state[2:].tolist() == [1, 3]
    [message] = [str(w.message) for w in given_warnings if w.category is LowConfidenceWarning]
    assert "noun = " in message
    assert "frequency = " in message
    assert "scene" not in message


def test_the_confidence_of_a_guess_is_below_the_line_and_reported():
    world = painted_world()
    with pytest.warns(LowConfidenceWarning, match=r"scene = .* \(0\.12\)"):
        goal = infer_goal(world, paint(world.grammar, [1, 5, 1, -1]))
    assert goal.low_confidence_axes == ("scene",)
    assert goal.reading.confidence[3] == pytest.approx(1 / 8)


def test_mere_chance_is_never_enough_to_be_sure():
    assert least_confidence(load_grammar("base")).tolist() == [0.625, 0.5, 0.5, 0.5]


def test_a_target_that_is_read_surely_gives_no_warning():
    world = painted_world()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        infer_goal(world, paint(world.grammar, [1, 5, 1, 3]))


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tiff"])
def test_a_picture_is_read_from_a_file_of_any_kind(tmp_path, suffix):
    file = tmp_path / f"target.{suffix}"
    Image.fromarray(PICTURE).save(file, lossless=True)
    assert np.array_equal(load_picture(file), PICTURE)
    assert np.array_equal(load_picture(str(file)), PICTURE)


def test_a_photograph_is_turned_upright(tmp_path):
    image = Image.fromarray(PICTURE)
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was held sideways: turn by 90 degrees clockwise
    image.save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(load_picture(tmp_path / "photo.png"), np.rot90(PICTURE, -1))


def test_transparency_becomes_white(tmp_path):
    rgba = np.dstack([PICTURE, np.zeros(PICTURE.shape[:2], np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    assert load_picture(tmp_path / "clear.png").min() == 255
    assert load_picture(rgba).min() == 255


def test_an_opaque_alpha_channel_changes_nothing():
    rgba = np.dstack([PICTURE, np.full(PICTURE.shape[:2], 255, np.uint8)])
    assert np.array_equal(load_picture(rgba), PICTURE)


def test_a_palette_with_a_transparent_colour_becomes_white_there(tmp_path):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30] * 256)
    image.save(tmp_path / "palette.png", transparency=0)
    assert load_picture(tmp_path / "palette.png").min() == 255


def test_grey_pictures_get_three_equal_channels(tmp_path):
    grey = PICTURE[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = np.repeat(grey[..., np.newaxis], 3, axis=2)
    assert np.array_equal(load_picture(tmp_path / "grey.png"), expected)
    assert np.array_equal(load_picture(grey), expected)
    assert np.array_equal(load_picture(grey[..., np.newaxis]), expected)


def test_sixteen_bit_grey_keeps_its_shades(tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert load_picture(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 127, 255]


def test_a_pillow_image_is_taken_as_it_is():
    assert np.array_equal(load_picture(Image.fromarray(PICTURE)), PICTURE)


def test_a_pillow_image_of_a_damaged_file_is_rejected():
    with pytest.raises(TargetError, match="the target cannot be read"):
        load_picture(Image.open(io.BytesIO(_truncated())))


def test_the_loaded_picture_is_the_callers_own():
    original = PICTURE.copy()
    load_picture(original)[:] = 0
    assert np.array_equal(original, PICTURE)


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _truncated() -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()[:2000]


def _dds_of_no_known_kind() -> bytes:
    """Pillow gives up on it with a NotImplementedError; on a damaged AVIF with a RuntimeError."""
    buffer = io.BytesIO()
    Image.fromarray(PICTURE).save(buffer, "DDS")
    return buffer.getvalue()[:80] + bytes(4) + buffer.getvalue()[84:]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "empty"),
        (b"just some words", "not a picture"),
        (b"%PDF-1.7 ...", "not a picture"),
        (_truncated(), "cannot be read"),
        (_dds_of_no_known_kind(), "cannot be read"),
        (_png(12_000, 12_000), "larger than"),
        (_png(30_000, 30_000), "larger than"),
    ],
    ids=["empty", "text", "pdf", "truncated", "dds", "huge", "decompression bomb"],
)
def test_a_file_that_is_no_usable_picture_is_rejected_by_name(tmp_path, content, complaint):
    file = tmp_path / "target.png"
    file.write_bytes(content)
    with pytest.raises(TargetError, match=complaint) as refusal:
        load_picture(file)
    assert str(file) in str(refusal.value)


def test_a_missing_file_is_named():
    with pytest.raises(TargetError, match=r"no/such/picture\.png does not exist"):
        load_picture("no/such/picture.png")


def test_a_folder_is_no_picture(tmp_path: Path):
    with pytest.raises(TargetError, match="not a file"):
        load_picture(tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["float", "two channels", "a batch", "a row", "no pixels"],
)
def test_an_array_that_is_no_picture_is_rejected_with_its_shape(array):
    with pytest.raises(TargetError) as refusal:
        load_picture(array)
    assert str(list(array.shape)) in str(refusal.value)


def test_a_floating_point_image_is_rejected():
    with pytest.raises(TargetError, match="floating-point"):
        load_picture(Image.new("F", (4, 4)))


@pytest.mark.parametrize("target", [3, [1, 2], object()])
def test_anything_else_is_rejected_with_what_would_do(target):
    with pytest.raises(TargetError, match="give the path of a picture"):
        load_picture(target)
