"""The large grammars that are shipped: how many words, how much memory, what words."""

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rldf_gym.grammar import compile_grammar, load_grammar, shipped_grammars

DOMAINS = ("agriculture", "botany", "clothing", "retail", "sports", "transport", "zoology")
LARGE = ("imagenet", "coco", "world", "diversity", *(f"domains/{name}" for name in DOMAINS))
WORDS = Path(__file__).parent / "offensive_words.txt"


def test_every_large_grammar_is_shipped():
    assert set(LARGE) <= set(shipped_grammars())


def test_imagenet_searches_its_1000_classes_only():
    grammar = load_grammar("imagenet")
    assert grammar.axis_names == ("noun",)
    assert grammar.n_states == 1000
    assert {"tench", "goldfish", "toilet paper"} <= set(grammar.axes[0].values)


def test_neighbours_in_imagenet_share_a_branch_of_wordnets_tree():
    noun = load_grammar("imagenet").axis("noun")
    groups = dict(zip(noun.values, noun.groups, strict=True))
    assert groups["Siberian Husky"] == groups["Alaskan Malamute"]
    assert "dog" in groups["Siberian Husky"]
    assert "dog" not in groups["tabby cat"]


def test_the_world_has_more_than_a_trillion_states():
    grammar = load_grammar("world")
    assert grammar.n_states > 10**12
    sizes = {axis.name: len(axis) for axis in grammar.axes}
    assert sizes["noun"] == 1203
    assert sizes["action"] == 401
    assert sizes["scene"] == 435
    assert grammar.decode([0] * grammar.n_axes).startswith("a photo of one ")


def test_the_worlds_counts_and_scene_have_their_roles():
    grammar = load_grammar("world")
    roles = {axis.name: axis.role for axis in grammar.axes}
    assert roles["noun"] == "object"
    assert roles["frequency"] == "count"
    assert roles["density"] == "people"
    assert roles["scene"] == "scene"


def test_diversity_varies_the_attributes_that_the_paper_names():
    names = load_grammar("diversity").axis_names
    assert names == (
        "emotion",
        "age",
        "race",
        "gender",
        "colour",
        "city",
        "weather",
        "time_of_day",
        "style",
    )


@pytest.mark.parametrize("name", LARGE)
def test_ten_thousand_random_states_survive_the_round_trip(name):
    grammar = load_grammar(name)
    states = np.random.default_rng(0).integers(grammar.nvec, size=(10_000, grammar.n_axes))
    assert all(grammar.encode(grammar.decode(state)).tolist() == state.tolist() for state in states)


def test_the_largest_grammar_takes_less_than_300_megabytes():
    source = load_grammar("world").source
    tracemalloc.start()
    try:
        grammar = compile_grammar(f"{source}// measured\n", "world")
        state = grammar.state(10**11)
        assert grammar.encode(grammar.decode(state)).tolist() == state.tolist()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300e6


@pytest.mark.parametrize("name", LARGE)
def test_a_grammar_file_names_its_sources_and_licences(name):
    head = load_grammar(name).source.partition("start:")[0]
    credits = [line for line in head.splitlines() if re.search(r" \d+\.\d+.*, \S+, ", line)]
    assert credits
    assert all(re.search(r"(MIT|Apache-2\.0|BSD-3-Clause)\.$", line) for line in credits)
    if "WordNet" in head:
        assert "and that the same appear on ALL copies" in head


def test_no_grammar_shows_an_offensive_word():
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    words = [line for line in lines if line and not line.startswith("#")]
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})s?\b", re.IGNORECASE)
    assert pattern.search("a photo of sluts")
    found = {
        (name, value)
        for name in shipped_grammars()
        for axis in load_grammar(name).axes
        for value in axis.values
        if pattern.search(value)
    }
    assert not found


def test_no_style_is_an_artist():
    styles = set(load_grammar("diversity").axis("style").values)
    assert len(styles) == 200
    assert not any("by " in style or " van " in style for style in styles)
