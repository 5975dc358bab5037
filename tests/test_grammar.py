"""What a compiled grammar promises to the rest of the environment."""

import copy
import doctest
import hashlib
import pickle
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from lark import Lark

import rldf_gym.grammar
from rldf_gym.errors import RLDFError
from rldf_gym.grammar import (
    Axis,
    Grammar,
    GrammarError,
    compile_grammar,
    load_grammar,
    shipped_grammars,
)

SPACED = '\n%ignore " "\n'


@pytest.fixture(scope="module")
def base() -> Grammar:
    return load_grammar("base")


# The shipped worlds


def test_the_base_world_has_the_papers_480_states(base):
    assert base.axis_names == ("frequency", "noun", "density", "scene")
    assert base.nvec.tolist() == [2, 10, 3, 8]
    assert base.n_states == 480


def test_the_extended_world_is_nine_times_the_base_world(base):
    extended = load_grammar("extended")
    assert extended.axis_names == (*base.axis_names, "weather", "time_of_day")
    assert extended.axes[:4] == base.axes
    assert extended.n_states == 9 * base.n_states == 4320


def test_the_actions_world_says_what_people_do():
    actions = load_grammar("actions")
    assert actions.axis_names == ("density", "action", "scene")
    assert actions.axis("action").values == (
        "standing",
        "walking",
        "running",
        "cycling",
        "playing",
    )


@pytest.mark.parametrize(
    ("name", "state", "prompt"),
    [
        ("base", [0, 5, 0, 0], "a photo of one dog and no people in park"),
        (
            "extended",
            [0, 5, 0, 0, 1, 2],
            "a photo of one dog and no people in park on a rainy night",
        ),
        ("actions", [0, 1, 0], "a photo of one people walking in park"),
    ],
)
def test_a_state_reads_as_an_english_sentence(name, state, prompt):
    assert load_grammar(name).decode(state) == prompt


@pytest.mark.parametrize("name", shipped_grammars())
def test_every_state_of_a_shipped_world_survives_the_round_trip(name):
    grammar = load_grammar(name)
    states = grammar.states() if grammar.n_states <= 5000 else _some_states(grammar, 500)
    for state in states:
        encoded = grammar.encode(grammar.decode(state))
        assert encoded.dtype == np.int64
        assert encoded.tolist() == state.tolist()


@pytest.mark.parametrize("name", shipped_grammars())
def test_plain_lark_accepts_the_prompts_of_a_shipped_file(name):
    grammar = load_grammar(name)
    lark = Lark(grammar.source, parser="earley")
    for state in _some_states(grammar, 20):
        lark.parse(grammar.decode(state))


def test_the_examples_in_the_docstring_run():
    assert doctest.testmod(rldf_gym.grammar).failed == 0


# Axes


def test_an_alias_names_the_perception_class_of_its_own_alternative_only(base):
    noun = base.axis("noun")
    classes = dict(zip(noun.values, noun.classes, strict=True))
    assert classes["ball"] == "sports_ball"
    assert all(classes[word] == word for word in noun.values if word != "ball")


def test_a_vocabulary_tree_is_laid_out_depth_first():
    grammar = compile_grammar(
        """
        start: "in" scene
        scene: outdoor | "nowhere" | indoor
        outdoor: green | "beach"
        green: "park" | "vegetable garden"
        indoor: "kitchen"
        """
        + SPACED
    )
    assert grammar.axes == (
        Axis(
            name="scene",
            values=("park", "vegetable garden", "beach", "nowhere", "kitchen"),
            classes=("park", "vegetable garden", "beach", "nowhere", "kitchen"),
            groups=(("outdoor", "green"), ("outdoor", "green"), ("outdoor",), (), ("indoor",)),
            role="scene",
        ),
    )


def test_an_alias_on_a_group_names_the_class_of_its_words_without_one_of_their_own():
    grammar = compile_grammar(
        'start: pet\npet: dogs -> dog | "cat"\ndogs: "beagle" | "wolf" -> wild_dog'
    )
    assert grammar.axes[0].classes == ("dog", "wild_dog", "cat")


def test_a_rule_that_can_say_one_thing_is_fixed_text():
    grammar = compile_grammar(
        'start: opening noun\nopening: "a" "photo of"\nnoun: "dog" | "cat"' + SPACED
    )
    assert grammar.axis_names == ("noun",)
    assert grammar.decode([1]) == "a photo of cat"


def test_axes_come_in_the_order_of_derivation():
    grammar = compile_grammar(
        'start: opening thing\nthing: "dog" | "cat"\nopening: "in" place "a"\nplace: "x" | "y"'
        + SPACED
    )
    assert grammar.axis_names == ("place", "thing")


def test_two_axes_may_share_one_vocabulary_under_two_names():
    grammar = compile_grammar(
        'start: noun "and" other\nnoun: animal\nother: animal\nanimal: "dog" | "cat"' + SPACED
    )
    assert grammar.axis_names == ("noun", "other")
    assert grammar.decode([0, 1]) == "dog and cat"


def test_optional_words_are_an_axis_that_begins_with_an_empty_value():
    grammar = compile_grammar('start: "a" size noun\nsize: ["big"]\nnoun: "dog" | "cat"' + SPACED)
    assert grammar.axis("size").values == ("", "big")
    assert grammar.decode([0, 0]) == "a dog"
    assert grammar.decode([1, 0]) == "a big dog"
    assert grammar.encode("a dog").tolist() == [0, 0]


def test_fixed_words_in_brackets_come_and_go_with_the_choice_beside_them():
    grammar = compile_grammar(
        'start: "a dog" ["on a" weather "day"]\nweather: "clear" | "wet" -> rainy' + SPACED
    )
    assert grammar.axis("weather").values == ("", "clear", "wet")
    assert grammar.axis("weather").classes == ("", "clear", "rainy")
    assert [grammar.decode([label]) for label in range(3)] == [
        "a dog",
        "a dog on a clear day",
        "a dog on a wet day",
    ]


def test_a_named_rule_can_be_optional_fixed_text():
    grammar = compile_grammar('start: "a dog" [snow]\nsnow: "in snow"' + SPACED)
    assert grammar.axes[0] == Axis("snow", ("", "in snow"), ("", "in snow"), ((), ()))


def test_without_ignore_the_file_writes_its_own_blanks():
    grammar = compile_grammar('start: "a photo of " noun ", in colour"\nnoun: "dog" | "cat"')
    assert grammar.decode([0]) == "a photo of dog, in colour"
    assert grammar.encode("a photo of cat, in colour").tolist() == [1]


@pytest.mark.parametrize(
    "directive",
    [
        '%ignore " "',
        '%ignore " "+',
        r"%ignore /\s+/",
        r"%ignore /[ \t]+/",
        "%import common.WS\n%ignore WS",
        "%import common.WS_INLINE\n%ignore WS_INLINE",
    ],
)
def test_blanks_can_be_ignored_in_every_usual_way(directive):
    grammar = compile_grammar(f'start: "one" noun\nnoun: "dog" | "cat"\n{directive}')
    assert grammar.decode([1]) == "one cat"


@pytest.mark.parametrize("directive", ["/  /", r"/ \t/", r'"\t"'])
def test_where_one_blank_is_not_ignored_the_file_writes_its_own(directive):
    grammar = compile_grammar(f'start: "one " noun\nnoun: "dog" | "cat"\n%ignore {directive}')
    assert grammar.decode([1]) == "one cat"
    assert Lark(grammar.source).parse(grammar.decode([1]))


@pytest.mark.parametrize(
    "word", ["start", "START", "__ANON_0", "axis_1", "a|b", "// no", "(a) [b]", "日本"]
)
def test_words_may_look_like_grammar(word):
    grammar = compile_grammar(f'start: noun\nnoun: "dog" | "{word}" | "two words"' + SPACED)
    assert grammar.encode(word).tolist() == [1]


def test_a_named_terminal_is_a_word_like_any_other():
    grammar = compile_grammar('start: noun\nnoun: DOG | "cat"\nDOG: "dog"')
    assert grammar.axes[0].values == ("dog", "cat")


def test_the_scene_is_coarse_and_all_else_is_fine(base):
    assert base.coarse_axes == (3,)
    assert base.fine_axes == (0, 1, 2)


def test_an_axis_is_found_by_name(base):
    assert base.axis_index("density") == 2
    assert base.axis("density").values == ("no", "one", "many")


def test_an_unknown_axis_is_rejected_with_the_known_ones(base):
    with pytest.raises(GrammarError, match=r"no axis 'weather'.*frequency, noun, density, scene"):
        base.axis("weather")


# States


def test_the_observation_space_holds_exactly_the_states(base):
    space = base.observation_space
    assert isinstance(space, gym.spaces.MultiDiscrete)
    assert space.dtype == np.int64
    assert space.nvec.tolist() == [2, 10, 3, 8]
    assert all(space.contains(state) for state in base.states())


def test_each_observation_space_has_a_random_stream_of_its_own(base):
    one, other = base.observation_space, base.observation_space
    one.seed(1)
    other.seed(1)
    one.sample()
    other_alone = copy.deepcopy(other).sample()
    assert other.sample().tolist() == other_alone.tolist()


def test_states_are_numbered_with_the_last_axis_fastest(base):
    states = base.states()
    assert states.shape == (480, 4)
    assert states.dtype == np.int64
    for number, state in enumerate(states):
        assert base.index(state) == number == np.ravel_multi_index(tuple(state), (2, 10, 3, 8))
        assert base.state(number).tolist() == state.tolist()


@pytest.mark.parametrize("number", [-1, 480, 1.0, "3", None])
def test_a_number_that_is_no_states_is_rejected(base, number):
    with pytest.raises(GrammarError, match="number"):
        base.state(number)


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ([0, 5, 0], r"shape \(3,\).*4 integer labels \(frequency, noun, density, scene\)"),
        ([[0, 5, 0, 0]], r"shape \(1, 4\)"),
        (3, r"shape \(\)"),
        ([[0], 1, 2, 3], "not a vector"),
        ([0.0, 5.0, 0.0, 0.0], "float64 labels, not integers"),
        ([True, False, True, True], "bool labels, not integers"),
        (["0", "5", "0", "0"], "labels, not integers"),
        ([None] * 4, "object labels, not integers"),
        ([0, 10, 0, 0], r"label 10 is outside axis 'noun'.*0 \('banana'\) to 9 \('car'\)"),
        ([0, 0, -1, 0], "label -1 is outside axis 'density'"),
        (np.array([0, 2**63, 0, 0], dtype=np.uint64), "label 9223372036854775808 is outside"),
    ],
)
def test_a_bad_state_is_rejected_by_name(base, state, complaint):
    for use in (base.validate, base.decode, base.index):
        with pytest.raises(GrammarError, match=complaint):
            use(state)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.int64])
def test_states_of_any_integer_type_become_int64(base, dtype):
    assert base.validate(np.array([1, 2, 0, 3], dtype=dtype)).dtype == np.int64


def test_a_world_too_large_to_list_says_what_to_do_instead():
    letters = "abcdefgh"
    rules = "".join(
        f"{c}: {' | '.join(f'{chr(34)}{c}{i}{chr(34)}' for i in range(10))}\n" for c in letters
    )
    grammar = compile_grammar(f"start: {' '.join(letters)}\n{rules}" + SPACED)
    assert grammar.n_states == 10**8
    with pytest.raises(GrammarError, match=r"too many to list.*sample observation_space"):
        grammar.states()


def test_a_world_of_2_to_the_63_states_still_numbers_all_of_them():
    grammar = compile_grammar(_binary_axes(63))
    last = grammar.state(2**63 - 1)
    assert last.tolist() == [1] * 63
    assert grammar.index(last) == 2**63 - 1
    assert grammar.encode(grammar.decode(last)).tolist() == last.tolist()


# Prompts


def test_a_word_may_hold_escaped_quotation_marks_and_backslashes():
    source = r'''start: "a" thing
thing: "12\" record" | "back\\slash" | "dog"'''
    grammar = compile_grammar(source + SPACED)
    assert grammar.axis("thing").values == ('12" record', "back\\slash", "dog")
    lark = Lark(grammar.source, parser="earley")
    for state in grammar.states():
        assert grammar.encode(grammar.decode(state)).tolist() == state.tolist()
        lark.parse(grammar.decode(state))


def test_blanks_between_the_words_of_a_prompt_may_be_wider(base):
    assert base.encode("  a photo of  one dog\tand no people in park\n").tolist() == [0, 5, 0, 0]


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        (
            "a photo of one cat and no people in park",
            "at 'cat and no people in park' it expects 'banana' or",
        ),
        (
            "a photo of onedog and no people in park",
            "at 'onedog and no people in park' it expects 'one' or 'many'",
        ),
        ("a photo of one dogs and no people in park", "at 'dogs and no people in park'"),
        ("a photo of one dog and no people in park today", "at 'today' it expects nothing more"),
        ("a photo of one dog and no people in", "at its end it expects 'park' or"),
        ("A photo of one dog and no people in park", "it expects 'a photo of'"),
        ("", "at its end it expects 'a photo of'"),
    ],
)
def test_a_prompt_outside_the_language_is_rejected_where_it_leaves_it(base, prompt, complaint):
    with pytest.raises(GrammarError, match=complaint) as caught:
        base.encode(prompt)
    assert "grammar 'base'" in str(caught.value)


@pytest.mark.parametrize("prompt", [None, 7, b"a photo of one dog", ["a"]])
def test_only_text_can_be_encoded(base, prompt):
    assert prompt not in base
    with pytest.raises(GrammarError, match="encodes text, not"):
        base.encode(prompt)


def test_a_long_list_of_allowed_words_is_cut_short():
    words = " | ".join(f'"word {i}"' for i in range(40))
    with pytest.raises(GrammarError, match="or 28 more"):
        compile_grammar(f"start: noun\nnoun: {words}").encode("dog")


# The grammar as a value


def test_a_grammar_survives_pickle_and_deepcopy_after_use(base):
    base.encode(base.decode([0, 0, 0, 0]))
    for twin in (pickle.loads(pickle.dumps(base)), copy.deepcopy(base)):
        assert twin == base
        assert hash(twin) == hash(base)
        assert twin.encode(base.decode([1, 5, 2, 7])).tolist() == [1, 5, 2, 7]


def test_a_pickled_grammar_stays_small(base):
    base.encode(base.decode([0, 0, 0, 0]))
    assert len(pickle.dumps(base)) < 2 * len(base.source) + 4000


def test_nobody_can_change_a_grammar_through_what_it_returns(base):
    base.nvec[0] = 99
    base.observation_space.nvec[0] = 99
    assert base.nvec.tolist() == [2, 10, 3, 8]
    with pytest.raises(AttributeError):
        base.name = "mine"


def test_the_fingerprint_is_that_of_the_source(base):
    assert base.fingerprint == hashlib.sha256(base.source.encode()).hexdigest()


def test_a_grammar_shows_its_axes(base):
    assert repr(base) == (
        "Grammar('base': frequency 2 x noun 10 x density 3 x scene 8 = 480 states)"
    )


# Files


def test_a_grammar_loads_by_name_by_path_and_as_it_is(base, tmp_path: Path):
    path = tmp_path / "mine.lark"
    path.write_text(base.source)
    for spec in (path, str(path)):
        assert load_grammar(spec).name == "mine"
        assert load_grammar(spec).axes == base.axes
    assert load_grammar(base) is base


def test_the_grammars_of_the_paper_are_shipped():
    assert {"base", "extended", "actions"} <= set(shipped_grammars())


@pytest.mark.parametrize("spec", ["bse", "no/such/file.lark", Path("nowhere.lark")])
def test_an_unknown_grammar_lists_the_shipped_ones(spec):
    with pytest.raises(GrammarError, match=r"unknown grammar .*actions, base") as caught:
        load_grammar(spec)
    assert str(spec) in str(caught.value)


def test_a_folder_is_not_a_grammar(tmp_path: Path):
    with pytest.raises(GrammarError, match="cannot be read"):
        load_grammar(tmp_path)


def test_a_file_that_is_not_text_is_rejected(tmp_path: Path):
    path = tmp_path / "picture.lark"
    path.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(GrammarError, match="not UTF-8"):
        load_grammar(path)


def test_a_path_that_no_file_can_have_is_rejected():
    with pytest.raises(GrammarError, match="cannot be read"):
        load_grammar("nul\0byte.lark")


def test_something_that_is_no_grammar_at_all_is_rejected():
    with pytest.raises(GrammarError, match="a name, a path or a Grammar, not int"):
        load_grammar(7)


def test_grammar_errors_belong_to_the_family_of_rldf_errors():
    assert issubclass(GrammarError, RLDFError)


def _some_states(grammar: Grammar, count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, grammar.nvec, size=(count, grammar.n_axes))


def _binary_axes(count: int) -> str:
    rules = "".join(f'axis{i}: "no{i}" | "yes{i}"\n' for i in range(count))
    return f"start: {' '.join(f'axis{i}' for i in range(count))}\n{rules}" + SPACED


def test_a_terminal_with_alternatives_is_an_axis_as_a_rule_is():
    rules = 'start: "a" {0} animal\n{0}: "red" | {1}\n{1}: "navy blue" | "black"\n'
    rest = 'animal: "dog" | CAT\nCAT: "cat"' + SPACED
    by_rules = compile_grammar(rules.format("colour", "dark") + rest)
    by_terminals = compile_grammar(rules.format("COLOUR", "DARK") + rest)
    assert by_terminals.axis_names == ("COLOUR", "animal")
    assert by_terminals.axis("COLOUR").values == by_rules.axis("colour").values
    for state in by_terminals.states():
        prompt = by_terminals.decode(state)
        assert prompt == by_rules.decode(state)
        Lark(by_terminals.source).parse(prompt)


@pytest.mark.parametrize(
    ("lark", "prompt"),
    [
        ('start: noun "s"\nnoun: "dog" | "cat"', "dogs"),
        ('start: colour animal\ncolour: "red" | "blue"\nanimal: "fish" | "bird"', "redfish"),
        ('start: "a photo of " noun "s"\nnoun: "dog" | "cat"', "a photo of dogs"),
        ('start: "non-" noun\nnoun: "dog" | "cat"', "non-dog"),
    ],
)
def test_words_may_touch_where_the_file_says_so(lark, prompt):
    assert compile_grammar(lark).decode([0] * compile_grammar(lark).n_axes) == prompt
