"""The workshop that makes the shipped models, on plain shapes instead of photographed cut-outs."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from rldf_gym.grammar import load_grammar
from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.backgrounds import SCENES, SIDE
from tools.embedded_world.corpus import GRAMMARS, held_out_combinations, sentence, state_of
from tools.embedded_world.cutouts import ACTIONS, NOUNS, Cutouts
from tools.embedded_world.renderer import PERSON_CLASS, Description, Renderer
from tools.embedded_world.tokenizer import build_tokenizer, every_word
from tools.embedded_world.training_loop import Plan, StepRandom, fit


def a_shape(colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGBA", (90, 120), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((0, 0, 89, 119), fill=(*colour, 255))
    return image


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    things = {noun: [a_shape((200, 20 * i, 40))] for i, noun in enumerate(NOUNS)}
    people = {action: [a_shape((40, 20 * i, 200))] for i, action in enumerate(ACTIONS)}
    return Renderer(Cutouts({**things, **people}))


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
    labels = [3, 4, 3, 2, 5, 1, 2, 0]
    np.testing.assert_array_equal(
        compiled.encode(sentence(grammar, labels)), state_of(compiled, labels)
    )


def test_a_tenth_of_the_combinations_is_held_out_always_the_same():
    base, actions = held_out_combinations()
    assert (len(base), len(actions)) == (48, 8)
    assert (base, actions) == held_out_combinations()


def test_every_word_of_the_grammars_is_one_token_of_its_own(tmp_path):
    tokenizer = build_tokenizer(tmp_path)
    for word in every_word():
        assert len(tokenizer(word)["input_ids"]) == 3, word  # start, the word, end
    assert {"vocab.json", "merges.txt"} <= {path.name for path in tmp_path.iterdir()}


def test_the_tokenizer_is_the_same_every_time(tmp_path):
    first, second = (build_tokenizer(tmp_path / name).get_vocab() for name in ("a", "b"))
    assert first == second


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
