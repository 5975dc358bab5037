"""What each axis describes, found from the sentence."""

import dataclasses

import pytest

from rldf_gym.grammar import Grammar, GrammarError, GrammarWarning, compile_grammar, load_grammar

RULES = """
count: "one" | "many"
second_count: "one" | "two" | "many"
animal: "dog" | "sheep"
vehicle: "car" | "bus"
size: "small" | "big"
mood: "happy" | "sad"
place: "park" | "beach"
scene: "park" | "beach"
noun: "dog" | "car"
frequency: "one" | "many"
density: "no" | "many"
few: "a few" | "a crowd of"
%ignore " "
"""


def grammar_of(sentence: str, roles: dict | None = None) -> Grammar:
    used = [line for line in RULES.splitlines() if line.split(":")[0] in sentence.split()]
    text = "\n".join([f"start: {sentence}", *used, '%ignore " "'])
    return compile_grammar(text, "test", roles)


def roles_of(grammar: Grammar) -> dict[str, str]:
    return {axis.name: axis.role for axis in grammar.axes}


def counted_in(grammar: Grammar) -> dict[str, str]:
    pairs = ((axis, grammar.counted_axis(i)) for i, axis in enumerate(grammar.axes))
    return {axis.name: grammar.axes[i].name for axis, i in pairs if i is not None}


@pytest.mark.parametrize("name", ["base", "extended"])
def test_the_shipped_grammars_have_the_roles_that_their_names_say(name):
    grammar = load_grammar(name)
    assert roles_of(grammar) == {
        "frequency": "count",
        "noun": "object",
        "density": "people",
        "scene": "scene",
        **dict.fromkeys(grammar.axis_names[4:], "other"),
    }
    assert counted_in(grammar) == {"frequency": "noun"}


def test_a_count_makes_an_object_of_the_axis_that_follows():
    grammar = grammar_of('"a photo of" count animal "in" place')
    assert roles_of(grammar) == {"count": "count", "animal": "object", "place": "other"}


def test_several_objects_have_counts_of_their_own():
    grammar = grammar_of('"a photo of" count animal "and" second_count vehicle "in" scene')
    assert counted_in(grammar) == {"count": "animal", "second_count": "vehicle"}
    assert grammar.axes_with("object") == (1, 3)
    assert grammar.coarse_axes == (4,)
    assert grammar.fine_axes == (0, 1, 2, 3)


@pytest.mark.parametrize("word", ["people in", "person in", "People"])
def test_a_count_before_the_word_people_counts_people(word):
    assert roles_of(grammar_of(f'"a photo of" count "{word}" place'))["count"] == "people"
    assert roles_of(grammar_of(f'"a photo of" count mood "{word}" place')) == {
        "count": "people",
        "mood": "other",
        "place": "other",
    }


def test_a_count_before_other_fixed_words_counts_nothing_and_warns():
    with pytest.warns(GrammarWarning, match=r"axis 'count'.*line 2\).*no object"):
        grammar = grammar_of('"a photo of" count "peoples" place')
    assert grammar.counted_axis(0) is None


def test_the_second_axis_that_would_count_people_counts_nothing():
    with pytest.warns(GrammarWarning, match="'second_count'"):
        grammar = grammar_of('count "people and" second_count "people in" place')
    assert grammar.axes_with("people") == (0,)


def test_the_four_names_have_their_roles_wherever_they_stand():
    grammar = grammar_of('noun "in" scene "seen" frequency "times by" density "others"')
    assert roles_of(grammar) == {
        "noun": "object",
        "scene": "scene",
        "frequency": "count",
        "density": "people",
    }
    assert counted_in(grammar) == {"frequency": "noun"}


def test_a_known_object_is_counted_across_the_axes_before_it():
    sentence = '"a photo of" count size animal "in" place'
    assert counted_in(grammar_of(sentence)) == {"count": "size"}
    given = grammar_of(sentence, {"animal": "object"})
    assert counted_in(given) == {"count": "animal"}
    assert roles_of(given)["size"] == "other"


def test_given_roles_take_precedence_and_survive_a_copy():
    grammar = grammar_of('"a photo of" few animal "in" place', {"few": "count", "place": "scene"})
    assert counted_in(grammar) == {"few": "animal"}
    assert grammar.coarse_axes == (2,)
    assert dataclasses.replace(grammar, name="copy").coarse_axes == (2,)
    plain = dataclasses.replace(grammar, roles={})
    assert set(roles_of(plain).values()) == {"other"}


@pytest.mark.parametrize(
    ("roles", "complaint"),
    [
        ({"colour": "object"}, r"'colour'.*its axes are count, animal, second_count, place"),
        ({"animal": "beast"}, "'animal'.*'beast'; known: object, count, people, scene, other"),
        ({"count": "people", "second_count": "people"}, "count and second_count both"),
        ({"count": "count", "animal": "scene"}, "'count' a count, but no object axis"),
        ({"place": "count"}, "'place' a count, but no object axis"),
    ],
)
def test_conflicting_roles_are_rejected_by_name(roles, complaint):
    with pytest.raises(GrammarError, match=complaint):
        grammar_of('"a photo of" count animal "and" second_count "people in" place', roles)


def test_articles_and_other_words_for_one_number_do_not_count():
    grammar = compile_grammar('start: article " " noun\narticle: "a" | "an"\nnoun: "cat" | "dog"')
    assert grammar.axes_with("count") == ()


def test_the_same_text_with_the_same_roles_gives_equal_grammars():
    sentence = '"a photo of" count animal "in" place'
    assert grammar_of(sentence, {"place": "scene"}) == grammar_of(sentence, {"place": "scene"})
    assert grammar_of(sentence, {"place": "scene"}) != grammar_of(sentence)
    assert hash(grammar_of(sentence)) == hash(grammar_of(sentence))
