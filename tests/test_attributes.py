"""Variations of what was found, with attributes that the search's grammar does not say."""

import json
from pathlib import Path

import numpy as np
import pytest
from painted_world import PaintedGenerator, load_grammar, paint, painted_perception
from test_cli import refusal, run

from rldf_agents.applications.search import SearchSettings, search_picture
from rldf_agents.errors import AgentError
from rldf_gym.generation import GenerationError
from rldf_gym.grammar import GrammarError, compile_grammar
from rldf_gym.grammar.builders import extend_grammar

BASE, EXTENDED, DIVERSITY = map(load_grammar, ("base", "extended", "diversity"))
DOG = (1, 5, 1, 3)
TARGETS = Path(__file__).parents[1] / "benchmarks" / "targets" / "embedded"


class Painter(PaintedGenerator):
    """Paints sentences of base, and of extended; foggy dogs as ducks."""

    def __init__(self):
        super().__init__(EXTENDED)

    def __call__(self, prompts, seeds):
        self.calls.append(list(prompts))
        states = []
        for prompt in prompts:
            said = "on a" in prompt
            state = [*EXTENDED.encode(prompt if said else f"{prompt} on a clear day")]
            states.append([1, 4, 1, 3, *state[4:]] if "foggy" in prompt else state)
        return np.stack([paint(EXTENDED, state) for state in states])


def search(*vary: str, target=(*DOG, 0, 2), **settings):
    return search_picture(
        paint(EXTENDED, target),
        SearchSettings(
            generator=Painter(),
            perception=painted_perception(EXTENDED),
            store=None,
            start="reading",
            vary=vary,
            **settings,
        ),
    )


def attributes(result):
    return [frame.attributes for frame in result.variations]


class TestVariations:
    def test_have_every_combination_of_the_attributes_once(self):
        result = search("weather", "time_of_day", variations=6)
        assert len({tuple(words.values()) for words in attributes(result)}) == 6
        assert {words["weather"] for words in attributes(result)} == {"clear", "rainy"}
        for frame, words in zip(result.variations, attributes(result), strict=True):
            sentence = BASE.decode(DOG)
            expected = f"{sentence} on a {words['weather']} {words['time_of_day']}"
            assert frame.prompt == expected
            assert frame.visit.state == DOG
            assert (frame.picture == paint(EXTENDED, EXTENDED.encode(expected))).all()

    def test_are_verified_on_the_axes_of_the_search(self):
        result = search("weather", variations=8)
        assert result.rejected
        assert "foggy" not in {words["weather"] for words in attributes(result)}

    def test_keep_the_other_axes_as_the_target_shows_them(self):
        result = search("weather", variations=4)
        assert all(frame.prompt.endswith("night") for frame in result.variations)

    def test_count_as_generated(self):
        result = search("weather", variations=3)
        assert result.generations == 1 + 3 + result.rejected

    def test_without_attributes_are_as_before(self):
        result = search(variations=2)
        assert attributes(result) == [{}, {}]
        assert {frame.prompt for frame in result.variations} == {BASE.decode(DOG)}


class TestAnotherGrammar:
    def test_gives_its_phrases_to_the_end_of_the_sentence(self):
        built = extend_grammar(BASE, DIVERSITY, ["city", "colour"])
        grammar = compile_grammar(built.source)
        assert grammar.axis_names == (*BASE.axis_names, "city", "colour")
        assert grammar.decode([*DOG, 0, 4]) == (f"{BASE.decode(DOG)} in Lisbon with a red umbrella")
        assert [axis.classes for axis in grammar.axes[:4]] == [axis.classes for axis in BASE.axes]

    def test_gives_a_phrase_once_with_all_its_axes(self):
        built = extend_grammar(BASE, EXTENDED, ["weather", "time_of_day"])
        assert compile_grammar(built.source).axis_names == EXTENDED.axis_names

    def test_cannot_give_the_beginning_of_its_sentence(self):
        with pytest.raises(GrammarError, match=r"axis 'age' .* begins its sentence"):
            extend_grammar(BASE, DIVERSITY, ["age"])


class TestBadInput:
    def test_is_an_axis_of_the_search(self):
        with pytest.raises(AgentError, match="--vary scene: grammar 'base' has this axis itself"):
            search("scene")

    def test_is_an_axis_that_no_wider_grammar_has(self):
        with pytest.raises(AgentError, match="--vary mood: no shipped grammar says all"):
            search("mood")

    def test_is_an_axis_that_the_named_grammar_lacks(self):
        with pytest.raises(GrammarError, match="has no axis 'city'"):
            search("city", vary_in="extended")

    def test_is_a_grammar_without_axes(self):
        with pytest.raises(AgentError, match="name its axes"):
            search(vary_in="extended")

    def test_is_a_grammar_with_words_that_the_generator_never_learned(self, capsys, tmp_path):
        options = ["--vary", "city", "--vary-in", "diversity", "--store", ":memory:"]
        said = refusal(capsys, "search", TARGETS / "009.webp", *options, "--out", tmp_path / "out")
        assert "never learned the words 'accra'" in said
        assert not (tmp_path / "out").exists()
        assert issubclass(GenerationError, ValueError)


@pytest.mark.slow
def test_the_embedded_model_varies_weather_and_time_of_day(capsys, tmp_path):
    options = ["--vary", "weather", "--vary", "time_of_day", "--start", "reading"]
    out = ["--store", ":memory:", "--out", tmp_path / "out"]
    status, _, _ = run(capsys, "search", TARGETS / "009.webp", *options, *out)
    assert status == 0
    listed = json.loads((tmp_path / "out" / "variations.json").read_text())
    assert len(listed) == 8
    assert all(row["verified"] and len(row["state"]) == 4 for row in listed)
    assert all(list(row["attributes"]) == ["weather", "time_of_day"] for row in listed)
