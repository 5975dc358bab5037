"""The workshop that makes the shipped models, on plain shapes instead of photographed cut-outs."""

import functools
import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from benchmarks.judge import AXES, Judge, JudgeError, load_judge
from benchmarks.judge.__main__ import main as judge_command
from rldf_gym.grammar import load_grammar
from tools.embedded_world import corpus as corpora
from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.augmentations import APPEARANCE, warp
from tools.embedded_world.backgrounds import SCENES, SIDE
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.clip import CaptionLoss
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
from tools.embedded_world.cutouts import ACTIONS, NOUNS, CutoutError, Cutouts
from tools.embedded_world.evaluate import frechet_distance, judged_states
from tools.embedded_world.judge import ANSWERS, answer_key, judge_loss
from tools.embedded_world.renderer import PERSON_CLASS, Description, Renderer
from tools.embedded_world.shifts import SHIFTS, shifted
from tools.embedded_world.styles import STYLE_NAMES, STYLES
from tools.embedded_world.tokenizer import build_tokenizer, every_word, moved_embeddings
from tools.embedded_world.training_loop import Plan, StepRandom, fit


def a_shape(colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGBA", (90, 120), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((0, 0, 89, 119), fill=(*colour, 255))
    return image


def plain_cutouts() -> Cutouts:
    things = {noun: [a_shape((200, 20 * i, 40))] for i, noun in enumerate(NOUNS)}
    people = {action: [a_shape((40, 20 * i, 200))] for i, action in enumerate(ACTIONS)}
    return Cutouts({**things, **people})


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(plain_cutouts())


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """64 renders of all grammars."""
    chunk = corpora.render_chunk(plain_cutouts(), CorpusPlan(64, 5, 0.5), 0)
    return Corpus(*(part[:64] for part in chunk))


def labels_of(**known: int) -> list[int]:
    return [known.get(name, 0) for name in LABELS]


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


def test_only_photos_show_weather(corpus):
    batch = PictureSource(corpus).sample(StepRandom.of(0, 0), 200, "cpu")
    extended = corpus.grammars[batch.indices] == GRAMMARS.index("extended")
    assert not batch.styles[extended].any()
    assert set(batch.styles[~extended].tolist()) == set(range(len(STYLE_NAMES)))


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


def test_every_word_of_the_grammars_is_one_token_of_its_own(tmp_path):
    tokenizer = build_tokenizer(tmp_path)
    for word in every_word():
        assert len(tokenizer(word)["input_ids"]) == 3, word  # start, the word, end
    assert {"vocab.json", "merges.txt"} <= {path.name for path in tmp_path.iterdir()}


def test_the_tokenizer_is_the_same_every_time(tmp_path):
    first, second = (build_tokenizer(tmp_path / name).get_vocab() for name in ("a", "b"))
    assert first == second


def test_embeddings_move_to_a_larger_vocabulary():
    old, new = torch.arange(4.0).view(2, 2), torch.full((3, 2), -1.0)
    moved = moved_embeddings(old, {"dog": 0, "car": 1}, new, {"art": 0, "car": 1, "dog": 2})
    assert moved.tolist() == [[-1, -1], [2, 3], [0, 1]]


def test_the_caption_loss_is_low_for_the_embeddings_of_the_right_captions(corpus, tmp_path):
    """A text tower that gives each caption its own direction, and pictures that know theirs."""
    tokenizer = build_tokenizer(tmp_path)
    indices = np.arange(len(corpus))
    styles = torch.zeros(len(corpus), dtype=torch.long)

    class OneDirectionPerCaption(torch.nn.Module):
        logit_scale = torch.tensor(4.0)

        @staticmethod
        @functools.cache
        def direction(tokens: tuple[int, ...]) -> torch.Tensor:
            generator = torch.Generator().manual_seed(hash(tokens) % 2**31)
            return torch.nn.functional.normalize(torch.randn(256, generator=generator), dim=0)

        def encode_text(self, tokens: torch.Tensor, normalize: bool) -> torch.Tensor:
            return torch.stack([self.direction(tuple(row.tolist())) for row in tokens])

    model = OneDirectionPerCaption()
    captions = [corpus.sentence(i) for i in indices]
    tokens = tokenizer(captions, padding="max_length", max_length=16, return_tensors="pt")
    images = model.encode_text(tokens["input_ids"], normalize=True)
    loss = CaptionLoss(tokenizer, corpus)
    right, wrong = (float(loss(model, x, indices, styles)) for x in (images, images.flip(0)))
    assert right < 0.1
    assert wrong > 10


def test_the_judge_learns_from_labels_and_keeps_its_weights(corpus, tmp_path):
    torch.manual_seed(0)
    judge = Judge(ANSWERS)
    batch = PictureSource(corpus).sample(StepRandom.of(0, 0), 16, "cpu")
    before = judge_loss(judge(batch.pictures), batch)
    optimizer = torch.optim.AdamW(judge.parameters(), 2e-3)
    for _ in range(8):
        optimizer.zero_grad()
        judge_loss(judge(batch.pictures), batch).backward()
        optimizer.step()
    assert judge_loss(judge(batch.pictures), batch) < 0.5 * before
    judge.save(tmp_path / "judge.safetensors")
    assert (tmp_path / "judge.safetensors").stat().st_size < 6e6
    kept = load_judge(tmp_path / "judge.safetensors").probabilities(corpus.pictures[:4])
    for axis, found in judge.probabilities(corpus.pictures[:4]).items():
        np.testing.assert_allclose(kept[axis], found, atol=0.02)


def test_the_answer_key_says_no_for_a_thing_that_is_absent():
    labels = np.array([labels_of(noun=3, things=4, people=1, second_noun=-1, action=-1)])
    key = answer_key(labels, np.array([2]))
    words = {axis: ANSWERS[axis][values[0]] for axis, values in key.items() if values[0] >= 0}
    assert words["noun"] == NOUNS[3]
    assert words["frequency"] == "many"
    assert words["density"] == "one"
    assert (words["second_noun"], words["second_frequency"]) == ("no", "no")
    assert words["style"] == STYLE_NAMES[2]
    assert "action" not in words


@pytest.fixture(scope="module")
def untrained_judge(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("judge") / "judge.safetensors"
    Judge(ANSWERS).save(path)
    return path


@pytest.mark.parametrize("grammar", GRAMMARS)
def test_the_judge_speaks_of_every_axis_of_every_grammar(corpus, untrained_judge, grammar):
    compiled = load_grammar(grammar)
    found = judged_states(load_judge(untrained_judge), compiled, corpus.pictures[:5])
    assert found.shape == (5, compiled.n_axes)
    assert (found < compiled.nvec).all()


def test_the_judges_command_prints_each_axis_with_a_probability(
    corpus, untrained_judge, tmp_path, capsys
):
    picture = tmp_path / "wide.png"
    Image.fromarray(corpus.pictures[0]).resize((200, 90)).save(picture)
    assert judge_command([str(picture), "--json", "--weights", str(untrained_judge)]) == 0
    (answers,) = json.loads(capsys.readouterr().out)
    assert answers.pop("picture") == str(picture)
    assert tuple(answers) == AXES
    for axis, answer in answers.items():
        assert answer["value"] in ANSWERS[axis]
        assert 0 < answer["probability"] <= 1


def test_the_judges_command_names_a_file_that_is_no_picture(untrained_judge, tmp_path, capsys):
    path = tmp_path / "text.png"
    path.write_text("no picture")
    assert judge_command([str(path), "--weights", str(untrained_judge)]) == 2
    assert str(path) in capsys.readouterr().err


def test_other_weights_are_no_judge(tmp_path):
    with pytest.raises(JudgeError, match=r"python -m tools\.embedded_world judge"):
        load_judge(tmp_path / "missing.safetensors")


def test_the_frechet_distance_of_equal_features_is_zero_and_grows_with_the_mean():
    features = np.random.default_rng(0).normal(size=(500, 8))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features + 2) == pytest.approx(8 * 4)


def trained(folder, stops: list[int]) -> torch.Tensor:
    """Weights after a run of 12 steps that was interrupted at ``stops``."""
    for interrupted_at in [*stops, None]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        plan = Plan(folder, 12, 0.1, seed=1, warmup=2, averaging=0.5, checkpoint_every=3)

        def loss(step: int, random: StepRandom, model=model, end=interrupted_at) -> torch.Tensor:
            if step == end:
                raise KeyboardInterrupt
            x = torch.randn(4, 3, generator=random.torch)
            return (model(x) - x.sum(1, keepdim=True)).square().mean()

        try:
            fit(model, loss, plan)
        except KeyboardInterrupt:
            continue
    return model.weight.detach()


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path):
    whole = trained(tmp_path / "whole", stops=[])
    resumed = trained(tmp_path / "resumed", stops=[4, 10])
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
