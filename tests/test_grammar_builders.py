"""Grammars made from words, WordNet and templates, and axes put in order."""

from pathlib import Path

import numpy as np
import pytest
from tiny_wordnet import write_wordnet

from rldf_gym.grammar import Grammar, GrammarError, compile_grammar, load_grammar
from rldf_gym.grammar.builders import (
    WordNet,
    grammar_from_template,
    grammar_from_wordnet,
    grammar_from_words,
    order_axis,
    vocabulary_tree,
    wordnet_embedding,
    write_grammar,
)


@pytest.fixture
def wordnet(tmp_path) -> WordNet:
    return WordNet(write_wordnet(tmp_path))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def values(grammar: Grammar) -> dict[str, tuple[str, ...]]:
    return {axis.name: axis.values for axis in grammar.axes}


def round_trips(grammar: Grammar) -> bool:
    return all(grammar.encode(grammar.decode(s)).tolist() == s.tolist() for s in grammar.states())


# Words


def test_a_text_file_is_one_axis_in_the_order_of_its_lines(tmp_path):
    built = grammar_from_words([written(tmp_path, "animal.txt", "dog\ncat\nduck\n")])
    grammar = compile_grammar(built.source)
    assert values(grammar) == {"animal": ("dog", "cat", "duck")}
    assert grammar.decode([1]) == "a photo of cat"
    assert built.notes == ()


def test_each_column_of_a_csv_file_is_an_axis(tmp_path):
    path = written(tmp_path, "world.csv", 'colour,animal\nred,dog\n"deep, blue",cat\n,duck\n')
    grammar = compile_grammar(grammar_from_words([path], "a {animal} in {colour} light").source)
    assert values(grammar) == {"animal": ("dog", "cat", "duck"), "colour": ("red", "deep, blue")}
    assert grammar.decode([2, 1]) == "a duck in deep, blue light"


def test_repetitions_empty_lines_and_wide_blanks_are_left_out_and_reported(tmp_path):
    path = written(tmp_path, "w.txt", "\ufeffred\n\n  deep \t blue \nred\nred\n")
    built = grammar_from_words([path])
    assert values(compile_grammar(built.source)) == {"w": ("red", "deep blue")}
    assert built.notes == ("w.txt: 'w' repeats 'red'; each is kept once",)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_may_be_separated_as_spreadsheets_do(tmp_path, separator):
    text = "\r\n".join(separator.join(row) for row in (["a", "b"], ["x", "y"], ["1", "2"]))
    grammar = compile_grammar(grammar_from_words([written(tmp_path, "w.csv", text)]).source)
    assert values(grammar) == {"a": ("x", "1"), "b": ("y", "2")}


def test_words_that_look_the_same_are_the_same(tmp_path):
    text = "caf\u00e9\ncafe\u0301\ndog\n\u200bdog\n"
    built = grammar_from_words([written(tmp_path, "w.txt", text)])
    assert values(compile_grammar(built.source)) == {"w": ("caf\u00e9", "dog")}


@pytest.mark.parametrize(
    "word", ['12" record', "back\\slash", "it's", "ball, round", "猫", "כלב", "قطة", "🐈", "// no"]
)
def test_words_of_any_script_and_punctuation_survive(tmp_path, word):
    built = grammar_from_words([written(tmp_path, "w.txt", f"{word}\ndog\n")])
    grammar = compile_grammar(built.source)
    assert grammar.axes[0].values == (word, "dog")
    assert round_trips(grammar)


def test_a_header_that_lark_cannot_name_is_kept_as_a_comment(tmp_path):
    path = written(tmp_path, "w.csv", "動物,Farbe\n猫,rot\n犬,blau\n")
    built = grammar_from_words([path])
    assert compile_grammar(built.source).axis_names == ("axis", "farbe")
    assert "// Called '動物' in w.csv." in built.source


def test_words_with_the_sentences_own_text_are_allowed_while_every_prompt_has_one_state(tmp_path):
    files = [
        written(tmp_path, "noun.txt", "dog\ndog in\nphoto of a dog\n"),
        written(tmp_path, "scene.txt", "park\nin park\n"),
    ]
    with pytest.raises(GrammarError, match="ambiguous: 'a photo of dog in park'"):
        grammar_from_words(files, "a photo of {noun} {scene}")
    assert round_trips(compile_grammar(grammar_from_words(files, "a {noun} of {scene}").source))


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("w.txt", "", "holds 0 different words"),
        ("w.txt", "dog\ndog\n\n", "holds 1 different words"),
        ("w.txt", f"dog\n{'a' * 5000}\n", "line 2: a word of 5,000 characters"),
        ("w.txt", "dog\nc\x00at\n", "line 2: .*control character"),
        ("w.csv", "", "first line names the columns"),
        ("w.csv", "a,a\nx,y\n", "first line names the columns"),
        ("w.csv", "a,b\nx,y,z\n", "row 2: 3 cells under 2 headers"),
        ("w.csv", 'a\n"x', "not a CSV file"),
    ],
)
def test_lists_that_are_no_axis_are_rejected(tmp_path, name, text, complaint):
    with pytest.raises(GrammarError, match=complaint):
        grammar_from_words([written(tmp_path, name, text)])


def test_files_that_cannot_be_read_are_rejected(tmp_path):
    with pytest.raises(GrammarError, match=r"missing.txt: cannot be read"):
        grammar_from_words([tmp_path / "missing.txt"])
    (tmp_path / "latin.txt").write_bytes("Käse\nBrot\n".encode("latin-1"))
    with pytest.raises(GrammarError, match="save it as UTF-8"):
        grammar_from_words([tmp_path / "latin.txt"])
    with pytest.raises(GrammarError, match="name at least one file"):
        grammar_from_words([])


@pytest.mark.parametrize("name", ["w.txt", "w.csv"])
def test_a_million_words_are_rejected_before_they_are_compiled(tmp_path, name):
    text = "word\n" + "".join(f"word {number}\n" for number in range(1_000_000))
    with pytest.raises(GrammarError, match="more than 10,000 words"):
        grammar_from_words([written(tmp_path, name, text)])


@pytest.mark.parametrize("sentence", ["a photo", "a {noun} {noun}", "a {noun} in {scene}"])
def test_a_sentence_holds_every_axis_once(tmp_path, sentence):
    with pytest.raises(GrammarError, match=r"has to hold each axis once, in braces: \{noun\}"):
        grammar_from_words([written(tmp_path, "noun.txt", "dog\ncat\n")], sentence)


# Templates


def test_each_choice_of_a_template_is_an_axis(tmp_path):
    written(tmp_path, "animal.txt", "cat\n# a comment\n{big|small} dog\n")
    built = grammar_from_template("a {red|2::blue} __animal__ in {~park|garden}", tmp_path)
    grammar = compile_grammar(built.source)
    assert values(grammar) == {
        "choice_1": ("red", "blue"),
        "animal": ("cat", "big dog", "small dog"),
        "choice_2": ("park", "garden"),
    }
    assert grammar.decode([1, 2, 0]) == "a blue small dog in park"


def test_a_wildcard_among_other_options_is_a_group(tmp_path):
    written(tmp_path, "pets.txt", "cat\ndog\n")
    written(tmp_path / "wild", "big.txt", "lion\ncat\n")
    built = grammar_from_template("{duck|__pets__|__wild/big__}", tmp_path)
    axis = compile_grammar(built.source).axes[0]
    assert axis.values == ("duck", "cat", "dog", "lion")
    assert axis.groups == ((), ("pets",), ("pets",), ())
    assert built.notes == ("'choice_1' repeats 'cat'; it is kept once",)


def test_text_that_touches_a_choice_stays_attached():
    grammar = compile_grammar(grammar_from_template("{red|blue}ish {big |}dog, {a|b}").source)
    assert grammar.decode([0, 0, 1]) == "redish big dog, b"
    assert grammar.decode([1, 1, 0]) == "blueish dog, a"
    assert round_trips(grammar)


def test_an_empty_option_is_left_out_of_the_prompt():
    grammar = compile_grammar(grammar_from_template("a {|big} dog").source)
    assert grammar.decode([0]) == "a dog"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("a {red|blue", "brace or __ without its partner"),
        ("a red|blue}", "brace or __ without its partner"),
        ("a __animal {x|y}", "brace or __ without its partner"),
        ("{2$$a|b}", "no plain choice"),
        ("${name=x} {a|b}", "no plain choice"),
        ("__animal*__", "no plain choice"),
        ("a dog", "leaves nothing to choose"),
        ("", "leaves nothing to choose"),
        ("{a|a b} {b c|c}", "ambiguous"),
        ("__one__", "uses itself"),
        ("__nothing__", r"no wildcard __nothing__.*known: one, two"),
        ("".join(["{", "{a|b|c|d|e|f|g|h|i|j}" * 9, "}"]), "more than 10,000 words"),
        ("{" * 5000 + "a|b" + "}" * 5000, "nests its choices too deeply"),
    ],
)
def test_templates_that_are_no_grammar_are_rejected(tmp_path, template, complaint):
    written(tmp_path, "one.txt", "a __two__\n")
    written(tmp_path, "two.txt", "b\n__one__\n")
    with pytest.raises(GrammarError, match=complaint):
        grammar_from_template(template, tmp_path)


def test_wildcards_need_a_folder():
    with pytest.raises(GrammarError, match="name the folder"):
        grammar_from_template("__animal__")


# WordNet


def test_a_synset_becomes_the_tree_below_it(wordnet):
    built = grammar_from_wordnet(wordnet, "animal.n.01", depth=2)
    axis = compile_grammar(built.source).axes[0]
    assert axis.values == ("animal", "dog", "poodle", "spaniel", "crane")
    assert axis.groups[1:4] == (("dog",),) * 3
    assert built.notes == ("left out insult.n.01: marked as derogatory",)
    assert "WordNet 3.0 Copyright" in built.source


def test_the_depth_counts_levels(wordnet):
    source = grammar_from_wordnet(wordnet, "animal.n.01", depth=1).source
    assert compile_grammar(source).axes[0].values == ("animal", "dog", "crane")
    with pytest.raises(GrammarError, match="at least 1, not 0"):
        grammar_from_wordnet(wordnet, "animal.n.01", depth=0)


def test_a_word_of_two_meanings_shows_which(wordnet):
    built = grammar_from_wordnet(wordnet, "thing.n.01", depth=2)
    assert "crane (vehicle)" in compile_grammar(built.source).axes[0].values
    assert "crane.n.02 is shown as 'crane (vehicle)'" in built.notes


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("dgo.n.01", r"no synset 'dgo.n.01'.*dog.n.01 \(what dog means\)"),
        ("crane.n.03", r"near: crane.n.01 \(what crane means\); crane.n.02"),
        ("dog", r"near: dog.n.01"),
        ("dog.v.01", r"near: dog.n.01"),
        ("insults.n.01", "near: none"),
        ("", "no synset ''"),
        ("poodle.n.01", "nothing below it in WordNet; above it is dog.n.01"),
    ],
)
def test_an_unknown_synset_is_rejected_with_the_nearest_names(wordnet, name, complaint):
    with pytest.raises(GrammarError, match=complaint):
        grammar_from_wordnet(wordnet, name)


def test_a_folder_without_wordnet_is_rejected(tmp_path):
    with pytest.raises(GrammarError, match="install the package wordnet-base"):
        WordNet(tmp_path)


def test_words_hang_in_wordnets_tree(wordnet):
    words = {
        word: wordnet.synset(name).offset
        for word, name in [("bus", "bus.n.01"), ("poodle", "poodle.n.01"), ("auto", "car.n.01")]
    }
    tree = vocabulary_tree(wordnet, "noun", words)
    axis = compile_grammar(write_grammar(["a ", tree], [], "noun").source).axes[0]
    assert axis.values == ("bus", "auto", "poodle")
    assert axis.groups == (("vehicle",), ("vehicle",), ())


def test_path_similarity_counts_the_steps_between_two_meanings(wordnet):
    names = ["poodle.n.01", "spaniel.n.01", "dog.n.01", "car.n.01"]
    similarities = wordnet.taxonomy.path_similarities(
        [wordnet.synset(name).offset for name in names]
    )
    assert similarities[0] == pytest.approx([1, 1 / 3, 1 / 2, 1 / 6])
    assert np.array_equal(similarities, similarities.T)


# Order

TREE = """// Kept.
start: "a" noun "in" scene
noun   : pet | "car" -> auto
    | [wild] // and this
pet: "cat" | "dog"
wild: "lion" | "bus"
scene: "park" | "garden"
%ignore " "
"""
PLACES = {"cat": 0.1, "dog": 0.0, "lion": 0.2, "bus": 1.0, "car": 0.9}


def on_a_quarter_circle(words):
    angles = [PLACES[word] for word in words]
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_only_the_order_of_an_axis_changes():
    grammar = compile_grammar(TREE)
    built = order_axis(grammar, "noun", on_a_quarter_circle)
    ordered = compile_grammar(built.source)
    assert sorted(ordered.axis("noun").values) == sorted(grammar.axis("noun").values)
    assert ordered.axis("scene") == grammar.axis("scene")
    assert built.source.startswith("// Kept.\n")
    assert "// and this" in built.source
    noun = ordered.axis("noun")
    assert noun.classes[noun.values.index("car")] == "auto"


def test_values_that_mean_alike_become_neighbours():
    source = 'start: "a" noun\nnoun: "dog" | "bus" | "cat" | "car" | "lion"\n%ignore " "'
    built = order_axis(compile_grammar(source), "noun", on_a_quarter_circle)
    assert compile_grammar(built.source).axes[0].values == ("dog", "cat", "lion", "car", "bus")
    assert built.notes == ("noun: 3 of 5 values moved",)


def test_ordering_twice_changes_nothing_more():
    once = order_axis(compile_grammar(TREE), "noun", on_a_quarter_circle)
    twice = order_axis(compile_grammar(once.source), "noun", on_a_quarter_circle)
    assert once.source == twice.source != TREE


def test_wordnet_can_say_which_words_mean_alike(wordnet):
    source = 'start: "a" noun\nnoun: "poodle" | "bus" | "dog" | "car"\n%ignore " "'
    built = order_axis(compile_grammar(source), "noun", wordnet_embedding(wordnet))
    assert compile_grammar(built.source).axes[0].values[:2] == ("poodle", "dog")


def test_comments_between_alternatives_are_not_moved():
    source = 'start: "a" x\nx: "cat"\n // here\n | "dog" | "bus"\n%ignore " "'
    with pytest.raises(GrammarError, match="line 2, rule 'x': has comments between"):
        order_axis(compile_grammar(source), "x", on_a_quarter_circle)


def test_an_axis_that_cannot_be_ordered_is_rejected(wordnet):
    with pytest.raises(GrammarError, match="has no axis 'animal'"):
        order_axis(load_grammar("base"), "animal", wordnet_embedding(wordnet))
    with pytest.raises(GrammarError, match="WordNet does not have 'one', 'many'"):
        order_axis(load_grammar("base"), "frequency", wordnet_embedding(wordnet))
