"""The workshop of the large grammars: which meaning a word has, and that names and ids match."""

import csv
from pathlib import Path

import pytest
from tiny_wordnet import write_wordnet

from rldf_gym.grammar import load_grammar
from rldf_gym.grammar.builders import WordNet
from tools.vocabularies import sources
from tools.vocabularies.grouping import by_meaning, named_classes
from tools.vocabularies.meanings import meaning_of, meanings_of_parts

MEANINGS = Path(__file__).parents[1] / "benchmarks" / "locality" / "meanings.tsv"


@pytest.fixture
def wordnet(tmp_path) -> WordNet:
    return WordNet(write_wordnet(tmp_path))


def offsets(wordnet: WordNet, *names: str) -> list[int]:
    return [wordnet.synset(f"{name}.n.01").offset for name in names]


def test_class_names_are_joined_to_meanings_that_they_fit(wordnet):
    names = ["auto", "domestic dog", "bus"]
    assert list(named_classes(wordnet, names, offsets(wordnet, "car", "dog", "bus"))) == names


@pytest.mark.parametrize("names", [["dog", "car", "bus"], ["car", "dog", "boat"]])
def test_lists_in_another_order_are_rejected(wordnet, names):
    with pytest.raises(ValueError, match="names that do not fit their synset"):
        named_classes(wordnet, names, offsets(wordnet, "car", "dog", "bus"))


def test_a_name_of_two_classes_is_replaced_by_the_first_word_of_each(wordnet):
    cars = [*offsets(wordnet, "car", "bus"), *offsets(wordnet, "animal")]
    assert list(named_classes(wordnet, ["auto", "bus", "beast"], cars)) == ["auto", "bus", "beast"]
    with pytest.raises(ValueError, match="share a name"):
        named_classes(wordnet, ["crane", "crane"], [s.offset for s in wordnet.senses("crane")])


def test_a_remark_decides_between_meanings(wordnet):
    animal, machine = wordnet.senses("crane")
    assert meaning_of(wordnet, "crane") == animal
    assert meaning_of(wordnet, "crane", "vehicle") == machine


def test_a_phrase_that_is_unknown_means_what_its_last_word_means(wordnet):
    assert meaning_of(wordnet, "red sports cars") == wordnet.synset("car.n.01")
    assert meaning_of(wordnet, "red boat") is None


def test_phrases_of_like_meaning_are_neighbours(wordnet):
    phrases = ["riding a bus", "washing a poodle", "driving a car", "walking a dog", "humming"]
    parts = {phrase: meanings_of_parts(wordnet, phrase) for phrase in phrases}
    words = list(by_meaning(wordnet, "action", parts).words())
    assert abs(words.index("riding a bus") - words.index("driving a car")) == 1
    assert words[-1] == "humming"


def test_remarks_stay_where_two_words_would_be_alike():
    written = ("bow_(weapon)", "bow_(ribbon)", "bat_(animal)", "monitor_(x) computer_monitor")
    assert list(sources.plain_nouns(written).values()) == [
        "bow (weapon)",
        "bow (ribbon)",
        "bat",
        "computer monitor",
    ]


def test_kinds_of_places_stand_before_them_where_there_are_several():
    written = ("stadium/football", "stadium/soccer", "lake/natural", "elevator/door", "elevator/x")
    assert list(sources.plain_places(written).values()) == [
        "football stadium",
        "soccer stadium",
        "lake",
        "elevator door",
        "elevator x",
    ]


def test_the_shipped_imagenet_has_the_classes_of_the_installed_packages():
    with MEANINGS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    meanings = {word: int(offset) for name, _, word, offset in rows if name == "imagenet"}
    assert set(meanings) == set(load_grammar("imagenet").axis("noun").values)
    names = sources.imagenet_names().words
    expected = dict(zip(names, sources.imagenet_offsets(), strict=True))
    once = {name for name in names if names.count(name) == 1}
    assert len(once) == 996
    assert all(meanings[name] == expected[name] for name in once)
    assert set(meanings) - once == {"missile", "projectile", "sunglass", "sunglasses"}
