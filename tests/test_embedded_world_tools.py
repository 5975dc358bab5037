"""Rendering the embedded world's pictures, and changing them."""

import numpy as np
import pytest
import torch

from rldf_gym.grammar import load_grammar
from tests.plain_renders import labels_of, plain_corpus, plain_cutouts
from tools.embedded_world import corpus as corpora
from tools.embedded_world import targets
from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.augmentations import APPEARANCE, warp
from tools.embedded_world.backgrounds import SCENES, SIDE
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.corpus import (
    GRAMMARS,
    LABELS,
    Corpus,
    CorpusPlan,
    held_out_combinations,
    render_corpus,
    sentence,
    state_of,
)
from tools.embedded_world.cutouts import NOUNS, CutoutError, Cutouts
from tools.embedded_world.renderer import PERSON_CLASS, Description, Renderer
from tools.embedded_world.shifts import SHIFTS, shifted
from tools.embedded_world.styles import STYLE_NAMES, STYLES
from tools.embedded_world.training_loop import StepRandom


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(plain_cutouts())


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return plain_corpus()


def test_the_same_seed_renders_the_same_picture(renderer):
    description = Description("park", "dog", things=3, people=1, weather="rainy")
    first, again = (renderer.render(np.random.default_rng(5), description) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


@pytest.mark.parametrize("tidy", [True, False])
@pytest.mark.parametrize("scene", SCENES)
def test_every_figure_has_a_box_within_the_picture(renderer, scene, tidy):
    description = Description(scene, "elephant", things=3, people=3, tidy=tidy)
    picture, boxes = renderer.render(np.random.default_rng(0), description)
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.dtype == np.uint8
    assert sorted(boxes[:, 0]) == [NOUNS.index("elephant")] * 3 + [PERSON_CLASS] * 3
    assert boxes[:, 1:].min() >= 0
    assert boxes[:, 1:].max() <= SIDE


def test_weather_and_hour_change_the_light(renderer):
    def brightness(weather: str, hour: str) -> float:
        description = Description("beach", "car", 1, 0, weather=weather, time_of_day=hour)
        return float(renderer.render(np.random.default_rng(1), description)[0].mean())

    values = {(w, h): brightness(w, h) for w in WEATHERS for h in TIMES_OF_DAY}
    assert len({round(value, 1) for value in values.values()}) == len(values)
    assert max(values[w, "night"] for w in WEATHERS) < min(values[w, "day"] for w in WEATHERS)


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_captions_are_sentences_of_their_grammar(grammar):
    compiled = load_grammar(grammar)
    labels = labels_of(noun=3, things=4, people=3, action=2, scene=5, weather=1, time_of_day=2)
    labels[LABELS.index("second_noun")], labels[LABELS.index("second_things")] = 7, 1
    np.testing.assert_array_equal(
        compiled.encode(sentence(grammar, labels)), state_of(compiled, labels)
    )


def test_a_tenth_of_the_combinations_is_held_out():
    sizes = {name: len(held_out_combinations(name)) for name in GRAMMARS}
    assert sizes == {"base": 48, "extended": 48, "actions": 8, "objects": 320}
    assert held_out_combinations("extended") == held_out_combinations("base")


def test_the_first_of_two_things_stands_behind_the_second(renderer):
    for tidy in (True, False):
        description = Description(
            "snow", "dog", 3, 0, second_noun="car", second_things=1, tidy=tidy
        )
        _, boxes = renderer.render(np.random.default_rng(2), description)
        dogs, cars = (boxes[boxes[:, 0] == NOUNS.index(noun), 4] for noun in ("dog", "car"))
        assert (len(dogs), len(cars)) == (3, 1)
        assert dogs.max() < cars.min()


@pytest.mark.parametrize(("things", "people"), [(1, 0), (1, 1), (1, 3), (3, 1)])
def test_a_single_figure_of_a_tidy_picture_always_stands_in_the_same_place(
    renderer, things, people
):
    description = Description("snow", "dog", things, people, tidy=True)
    boxes = [renderer.render(np.random.default_rng(seed), description)[1] for seed in range(20)]
    for kind, count in ((NOUNS.index("dog"), things), (PERSON_CLASS, people)):
        if count == 1:
            centres = [rows[rows[:, 0] == kind, 1::2].mean() for rows in boxes]
            assert np.ptp(centres) < 12


def test_figures_across_the_border_have_boxes_that_end_there(renderer):
    description = Description("snow", "car", 4, 0, overhang=0.35)
    boxes = [renderer.render(np.random.default_rng(seed), description)[1] for seed in range(20)]
    edges = np.concatenate(boxes)[:, [1, 3]]
    assert edges.min() == 0
    assert edges.max() == SIDE


def test_a_larger_size_makes_larger_figures(renderer):
    def height(size: float) -> int:
        _, boxes = renderer.render(
            np.random.default_rng(3), Description("park", "dog", 1, 0, size=size)
        )
        return int(boxes[0, 4] - boxes[0, 2])

    assert height(0.8) < height(1.0) < height(1.2)


def test_a_figure_that_is_left_out_changes_nothing_elsewhere(renderer):
    description = Description("park", "dog", things=1, people=1)
    pictures = [renderer.render(np.random.default_rng(2), description, out) for out in (None, 0)]
    (picture, boxes), (without, same_boxes) = pictures
    np.testing.assert_array_equal(boxes, same_boxes)
    _, left, top, right, bottom = boxes[0]
    changed = (picture != without).any(axis=2)
    assert changed[top:bottom, left:right].any()
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_a_target_whose_style_leaves_nothing_of_a_figure_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "_RENDERED", 8)
    monkeypatch.setattr(targets, "_PHOTOS", 0)
    monkeypatch.setitem(STYLES, "sketch", lambda pictures, rng: torch.ones_like(pictures))
    targets.render_targets(plain_cutouts(), tmp_path)
    prompts = (tmp_path / "prompts.csv").read_text()
    assert "a painting of" in prompts
    assert "a sketch of" not in prompts
    assert len(list(tmp_path.glob("*.webp"))) == 8


def test_missing_cutouts_name_their_debian_package(tmp_path):
    with pytest.raises(CutoutError, match="apt-get download tuxpaint-stamps-default"):
        Cutouts.load(tmp_path)


@pytest.mark.parametrize("style", STYLE_NAMES)
def test_a_style_keeps_shape_and_range(corpus, style):
    pictures = torch.from_numpy(corpus.pictures[:6]).permute(0, 3, 1, 2).float() / 255
    for seed in range(6):  # a filter has several variants
        changed = STYLES[style](pictures, np.random.default_rng(seed))
        assert changed.shape == pictures.shape
        assert 0 <= changed.min() <= changed.max() <= 1
        assert torch.equal(changed, pictures) == (style == "photo")


@pytest.mark.parametrize("change", [change for _, change in APPEARANCE], ids=lambda f: f.__name__)
def test_a_change_of_appearance_keeps_shape_and_range(corpus, change):
    pictures = torch.from_numpy(corpus.pictures[:6]).permute(0, 3, 1, 2).float() / 255
    changed = change(pictures, np.random.default_rng(0))
    assert changed.shape == pictures.shape
    assert 0 <= changed.min() <= changed.max() <= 1
    assert not torch.equal(changed, pictures)


def test_warped_boxes_follow_their_figures():
    pictures = torch.zeros(40, 3, 64, 64)
    pictures[:, :, 20:44, 24:40] = 1
    boxes = np.tile(np.float32([[[3, 24 / 64, 20 / 64, 40 / 64, 44 / 64]]]), (40, 1, 1))
    moved, moved_boxes = warp(pictures, boxes, np.ones(40, bool), np.random.default_rng(0))
    assert not torch.equal(moved, pictures)
    for picture, box in zip(moved, moved_boxes[:, 0], strict=True):
        lit = (picture[0] > 0.5).nonzero().float()
        found = [*lit.amin(0).flip(0), *(lit.amax(0).flip(0) + 1)]
        np.testing.assert_allclose(box[1:] * 64, found, atol=1.6)


def test_warping_keeps_every_count(corpus):
    pictures = torch.from_numpy(corpus.pictures).permute(0, 3, 1, 2).float() / 255
    boxes = corpus.boxes.astype(np.float32)
    boxes[..., 1:] /= SIDE
    _, moved = warp(pictures, boxes, np.ones(len(boxes), bool), np.random.default_rng(1))
    for before, after in zip(boxes, moved, strict=True):
        for kind in range(PERSON_CLASS + 1):
            old, new = ((rows[:, 0] == kind).sum() for rows in (before, after))
            assert min(new, 2) == min(old, 2)


def test_a_batch_depends_on_its_seed_alone(corpus):
    source = PictureSource(corpus)
    first, again, other = (source.sample(StepRandom.of(0, step), 24, "cpu") for step in (3, 3, 4))
    assert torch.equal(first.pictures, again.pictures)
    assert torch.equal(first.styles, again.styles)
    assert not torch.equal(first.pictures, other.pictures)


def test_pictures_come_in_every_style_with_weather_or_without(corpus):
    batch = PictureSource(corpus).sample(StepRandom.of(0, 0), 200, "cpu")
    extended = corpus.grammars[batch.indices] == GRAMMARS.index("extended")
    for rows in (extended, ~extended):
        assert set(batch.styles[rows].tolist()) == set(range(len(STYLE_NAMES)))


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_changes_pictures_the_same_way_every_time(corpus, name):
    first, again = (shifted(corpus.pictures[:3], SHIFTS[name]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.uint8
    assert first.shape[::3] == (3, 3)
    assert first.shape != (3, SIDE, SIDE, 3) or (first != corpus.pictures[:3]).any()


def test_a_corpus_is_the_same_for_any_number_of_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "CHUNK", 4)
    monkeypatch.setattr(Cutouts, "load", lambda root, split: plain_cutouts())
    for workers in (1, 2):
        render_corpus(tmp_path, tmp_path / str(workers), CorpusPlan(8, 3, 0.5), workers)
    one, two = (Corpus.open(tmp_path / str(workers)) for workers in (1, 2))
    np.testing.assert_array_equal(one.pictures, two.pictures)
    np.testing.assert_array_equal(one.labels, two.labels)
