"""Random grammars, compared with a plain enumeration of their sentences."""

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lark import Lark

from rldf_gym.grammar import GrammarError, compile_grammar
from rldf_gym.grammar.ambiguity import find_collision

# Words that are drawn at random can be count words, which say so where they count nothing.
pytestmark = pytest.mark.filterwarnings("ignore::rldf_gym.grammar.GrammarWarning")

unhurried = settings(deadline=None, max_examples=60)
"""Lark builds several parsers per example, which takes long on a busy machine."""

WORDS = ["a", "b", "ab", "ba", "a b", "b a", "no", "cat", "vegetable garden"]
"""Few and overlapping, so that ambiguity is common."""

OWN_BLANK = "> "
"""Begins the sentences of files without %ignore: words touch there because the file says so."""


@dataclass(frozen=True)
class Place:
    """One place of a random sentence: groups of words, the first on the axis itself."""

    groups: tuple[tuple[str, ...], ...]
    optional: bool
    before: str

    @property
    def values(self) -> list[str]:
        words = [word for group in self.groups for word in group]
        return ["", *words] if self.optional else words

    def rules(self, name: str) -> list[str]:
        direct, *grouped = self.groups
        alternatives = [f'"{word}"' for word in direct]
        rules = []
        for number, group in enumerate(grouped):
            alternatives.append(f"{name}_group{number}")
            words = " | ".join(f'"{word}" -> class_{number}' for word in group)
            rules.append(f"{name}_group{number}: {words}")
        return [f"{name}: {' | '.join(alternatives)}", *rules]

    def reference(self, name: str) -> str:
        row = f'"{self.before}" {name}' if self.before else name
        return f"[{row}]" if self.optional else row

    def texts(self, separator: str) -> list[str]:
        return [
            separator.join(filter(None, [self.before, value])) if value or not self.optional else ""
            for value in self.values
        ]


@st.composite
def places(draw: st.DrawFn) -> Place:
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True))
    cut = draw(st.integers(0, len(words)))
    groups = (tuple(words[:cut]), tuple(words[cut:]))
    optional = draw(st.booleans())
    # Optional words around a rule of fixed text have no name to give to their axis.
    before = draw(st.sampled_from(["", "a", "in"])) if len(words) > 1 or not optional else ""
    return Place(tuple(g for i, g in enumerate(groups) if g or i == 0), optional, before)


sentences = st.lists(places(), min_size=1, max_size=4)
separators = st.sampled_from(["", " "])


def source_of(sentence: list[Place], separator: str) -> str:
    row = " ".join(place.reference(f"place{i}") for i, place in enumerate(sentence))
    rules = [rule for i, place in enumerate(sentence) for rule in place.rules(f"place{i}")]
    ignore = ['%ignore " "'] if separator else []
    start = row if separator else f'"{OWN_BLANK}" {row}'
    return "\n".join([f"start: {start}", *rules, *ignore])


def prompts_of(sentence: list[Place], separator: str) -> dict[tuple[int, ...], str]:
    """Every state of the sentence with its prompt, by plain enumeration."""
    axes = [i for i, place in enumerate(sentence) if len(place.values) > 1]
    labels = itertools.product(*(range(len(place.values)) for place in sentence))
    return {
        tuple(choice[i] for i in axes): ("" if separator else OWN_BLANK)
        + separator.join(
            filter(None, (p.texts(separator)[c] for p, c in zip(sentence, choice, strict=True)))
        )
        for choice in labels
    }


@unhurried
@given(sentences, separators)
def test_a_grammar_is_rejected_exactly_when_two_states_share_a_prompt(sentence, separator):
    prompts = prompts_of(sentence, separator)
    assume(len(prompts) > 1)
    source = source_of(sentence, separator)
    if len(set(prompts.values())) == len(prompts):
        assert compile_grammar(source).n_states == len(prompts)
    else:
        with pytest.raises(GrammarError, match="is ambiguous"):
            compile_grammar(source)


@unhurried
@given(sentences, separators, st.data())
def test_decode_and_encode_are_inverse_and_plain_lark_agrees(sentence, separator, data):
    prompts = prompts_of(sentence, separator)
    assume(len(set(prompts.values())) == len(prompts) > 1)
    grammar = compile_grammar(source_of(sentence, separator))
    lark = Lark(grammar.source, parser="earley")
    assert grammar.n_states == len(prompts)
    for state in data.draw(st.lists(st.sampled_from(sorted(prompts)), max_size=5)):
        assert grammar.decode(state) == prompts[state]
        assert tuple(grammar.encode(prompts[state])) == state
        lark.parse(prompts[state])


@unhurried
@given(sentences, separators, st.lists(st.sampled_from([*WORDS, "in", "c", "A"]), max_size=6))
def test_encode_accepts_the_sentences_of_the_grammar_and_nothing_else(sentence, separator, words):
    prompts = prompts_of(sentence, separator)
    assume(len(set(prompts.values())) == len(prompts) > 1)
    grammar = compile_grammar(source_of(sentence, separator))
    text = separator.join(words)
    assert (text in grammar) == (text in prompts.values())
    if text in grammar:
        assert prompts[tuple(grammar.encode(text))] == text
    else:
        with pytest.raises(GrammarError, match="has no sentence"):
            grammar.encode(text)


@unhurried
@given(sentences, separators)
def test_axes_keep_the_values_the_groups_and_the_classes_of_the_file(sentence, separator):
    prompts = prompts_of(sentence, separator)
    assume(len(set(prompts.values())) == len(prompts) > 1)
    axes = {axis.name: axis for axis in compile_grammar(source_of(sentence, separator)).axes}
    for i, place in enumerate(sentence):
        if len(place.values) == 1:
            assert f"place{i}" not in axes
            continue
        axis = axes[f"place{i}"]
        assert list(axis.values) == place.values
        for value, perceived, group in zip(axis.values, axis.classes, axis.groups, strict=True):
            in_group = value and value not in place.groups[0]
            assert perceived == ("class_0" if in_group else value)
            assert group == ((f"place{i}_group0",) if in_group else ())


@unhurried
@given(sentences, separators, st.data())
def test_numbers_and_states_are_inverse(sentence, separator, data):
    prompts = prompts_of(sentence, separator)
    assume(len(set(prompts.values())) == len(prompts) > 1)
    grammar = compile_grammar(source_of(sentence, separator))
    number = data.draw(st.integers(0, grammar.n_states - 1))
    assert grammar.index(grammar.state(number)) == number
    assert grammar.states()[number].tolist() == grammar.state(number).tolist()


@unhurried
@given(
    st.lists(st.lists(st.text("ab", max_size=4), min_size=1, max_size=4), min_size=1, max_size=4)
)
def test_a_collision_is_found_exactly_when_there_is_one(texts):
    written = ["".join(choice) for choice in itertools.product(*texts)]
    collision = find_collision(texts)
    if collision is None:
        assert len(set(written)) == len(written)
    else:
        one, other = (
            "".join(place[label] for place, label in zip(texts, labels, strict=True))
            for labels in collision
        )
        assert collision[0] != collision[1]
        assert one == other


def test_collisions_are_decided_without_listing_the_states():
    places = [[f"word{i} ", f"word{i} more ", f"other{i} "] for i in range(40)]
    assert find_collision(places) is None
    places[20].append("word20 more ")
    assert find_collision(places) is not None
