"""A small grammar from a large one: what is kept, what is written, and what it is for."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_cli import refusal, run
from test_grammar_properties import prompts_of, sentences, separators, source_of, unhurried

from rldf_gym.goal import LowSimilarityWarning
from rldf_gym.grammar import GrammarError, compile_grammar, load_grammar
from rldf_gym.grammar.builders import restrict_grammar, select_values
from rldf_gym.suggestion import MOST_STATES, SuggestionError, most_states, suggest_grammar

FOLDER = Path(__file__).parents[1] / "benchmarks" / "targets" / "embedded"
OBJECTS = load_grammar("objects")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    monkeypatch.chdir(tmp_path)


def a_target(words: str = "") -> tuple[Path, str]:
    """A photo-like render that no model was trained on, with its prompt, which has these words."""
    with (FOLDER / "prompts.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    row = next(r for r in rows if r["prompt"].startswith("a photo of") and words in r["prompt"])
    return FOLDER / row["picture"], row["prompt"]


def read_as(grammar, prompt, confidence=0.98):
    """Probabilities of a picture that is read as one prompt, the same for all other values."""
    labels = grammar.encode(prompt)
    return [
        np.where(np.arange(size) == label, confidence, (1 - confidence) / (size - 1))
        for size, label in zip(grammar.nvec, labels, strict=True)
    ]


class TestRestriction:
    @pytest.mark.filterwarnings("ignore::rldf_gym.grammar.GrammarWarning")
    @unhurried
    @given(sentences, separators, st.data())
    def test_says_the_prompts_of_the_values_that_are_left_and_no_other(
        self, sentence, separator, data
    ):
        prompts = prompts_of(sentence, separator)
        assume(len(set(prompts.values())) == len(prompts) > 1)
        whole = compile_grammar(source_of(sentence, separator))
        labels = [
            sorted(data.draw(st.sets(st.integers(0, size - 1), min_size=1))) for size in whole.nvec
        ]
        left = [
            whole.decode(state)
            for state in whole.states()
            if all(label in kept for label, kept in zip(state, labels, strict=True))
        ]
        if len(left) == 1:
            with pytest.raises(GrammarError, match="leaves nothing to choose"):
                restrict_grammar(whole, labels)
            return
        part = compile_grammar(restrict_grammar(whole, labels).source)
        assert sorted(map(part.decode, part.states())) == sorted(left)

    def test_keeps_names_groups_aliases_and_the_comment_at_the_top(self):
        base = load_grammar("base")
        part = compile_grammar(restrict_grammar(base, [[0, 1], [2, 3, 4, 5], [1], [0]]).source)
        assert part.axis_names == ("frequency", "noun")
        noun = part.axis("noun")
        assert noun.values == ("apple", "ball", "duck", "dog")
        assert noun.classes[1] == "sports_ball"
        assert noun.groups == ((), (), ("animal",), ("animal",))
        assert part.source.startswith("// The paper's world of 480 states")
        assert part.decode([1, 3]) == "a photo of many dog and one people in park"

    def test_of_wordnet_keeps_its_licence(self):
        world = load_grammar("world")
        source = restrict_grammar(world, [[0, 1]] * world.n_axes).source
        assert "and that the same appear on ALL copies" in source
        assert source.count("\n") < 60

    def test_an_optional_part_keeps_its_fixed_words(self):
        lark = 'start: "a" noun ["with a" colour "hat"]\nnoun: "dog" | "cat"\n'
        whole = compile_grammar(lark + 'colour: "red" | "blue" -> azure | "green"\n%ignore " "\n')
        part = compile_grammar(restrict_grammar(whole, [[0, 1], [0, 2]]).source)
        assert part.decode([1, 1]) == "a cat with a blue hat"
        assert part.axis("colour").classes == ("", "azure")
        without = compile_grammar(restrict_grammar(whole, [[0, 1], [0]]).source)
        assert without.decode([1]) == "a cat"


class TestSelection:
    @unhurried
    @given(st.integers(0, 2**32 - 1), st.floats(0.02, 2), st.integers(2, 12))
    def test_fits_and_keeps_every_count_beside_its_object(self, seed, spread, most_values):
        rng = np.random.default_rng(seed)
        probabilities = [rng.dirichlet(np.full(size, spread)) for size in OBJECTS.nvec]
        selected = select_values(OBJECTS, probabilities, most_values, 60)
        sizes = [len(each.labels) for each in selected]
        assert np.prod(sizes) <= 60
        assert max(sizes) <= most_values
        for index, each in enumerate(selected):
            assert each.probabilities.argmax() in each.labels
            counted = OBJECTS.counted_axis(index)
            if counted is not None and len(each.labels) > 1:
                assert len(selected[counted].labels) > 1
        again = select_values(OBJECTS, probabilities, most_values, 60)
        assert [each.labels for each in again] == [each.labels for each in selected]

    def test_a_sure_axis_keeps_its_value_and_the_neighbour_in_the_tree(self):
        base = load_grammar("base")
        probabilities = [
            np.eye(size)[label] for size, label in zip(base.nvec, (0, 3, 0, 7), strict=True)
        ]
        noun, scene = (select_values(base, probabilities, 8, 100)[i] for i in (1, 3))
        assert [base.axis("noun").values[label] for label in noun.labels] == ["apple", "ball"]
        assert [base.axis("scene").values[label] for label in scene.labels] == ["street", "kitchen"]
        probabilities[1] = np.eye(10)[4]  # a duck, beside the ball but in the group of animals
        duck = select_values(base, probabilities, 8, 100)[1]
        assert [base.axis("noun").values[label] for label in duck.labels] == ["duck", "dog"]

    def test_an_unsure_axis_keeps_all_that_it_may_be(self):
        probabilities = read_as(OBJECTS, OBJECTS.decode([0, 5, 1, 9, 3]), 0.995)
        probabilities[1] = np.array([0, 0.3, 0, 0.3, 0, 0.39, 0, 0, 0, 0.01])
        noun = select_values(OBJECTS, probabilities, 8, 1000)[1]
        assert {1, 3, 5} <= set(noun.labels)
        assert noun.entropy > 1.5

    def test_sure_axes_are_fixed_where_that_makes_room_for_an_unsure_one(self):
        probabilities = read_as(OBJECTS, OBJECTS.decode([0, 5, 1, 9, 3]), 0.9999)
        probabilities[1] = np.full(10, 0.1)
        noun = OBJECTS.axis_index("first_noun")
        wide, narrow = (select_values(OBJECTS, probabilities, 10, most) for most in (1_000, 60))
        assert [len(each.labels) for each in wide] == [2, 10, 2, 2, 2]
        assert len(narrow[noun].labels) == 10
        assert 1 in [len(each.labels) for each in narrow]

    def test_an_axis_of_which_nothing_can_be_said_is_left_out_or_fixed(self):
        world = load_grammar("world")
        prompt = "a photo of one banana and no people in street on a clear day"
        probabilities = read_as(world, prompt)
        silent = ("action", "scene")
        for name in silent:
            index = world.axis_index(name)
            probabilities[index] = np.full(world.nvec[index], 1 / world.nvec[index])
        selected = select_values(world, probabilities, 8, MOST_STATES)
        assert {each.axis.name for each in selected if each.says_nothing} == set(silent)
        source = restrict_grammar(world, [each.labels for each in selected]).source
        part = compile_grammar(source)
        assert not {"action", "scene"} & set(part.axis_names)
        assert " people in " in part.decode(part.state(0))

    def test_where_two_values_an_axis_are_too_many_the_surest_axes_are_fixed(self):
        probabilities = read_as(OBJECTS, OBJECTS.decode([0, 5, 1, 9, 3]), 0.9)
        probabilities[4] = np.eye(8)[3]
        selected = select_values(OBJECTS, probabilities, 8, 16)
        assert [len(each.labels) for each in selected] == [2, 2, 2, 2, 1]


class TestSuggestion:
    def test_holds_the_true_state_in_a_fiftieth_of_the_states(self):
        picture, prompt = a_target()
        suggestion = suggest_grammar(picture, store=None)
        assert suggestion.grammar.encode(prompt) is not None
        assert suggestion.grammar.n_states <= most_states(suggestion.world)
        assert most_states(suggestion.world) * 50 <= suggestion.world.n_states
        assert suggestion.world.name == "embedded"
        again = suggest_grammar(picture, store=None)
        assert again.grammar.source == suggestion.grammar.source

    def test_leaves_out_the_words_that_the_models_never_learned(self):
        picture, prompt = a_target("in farm on a clear day")
        suggestion = suggest_grammar(picture, "world", store=None)
        assert suggestion.grammar.encode(prompt) is not None
        assert suggestion.world.n_states < load_grammar("world").n_states
        assert "banana" in suggestion.world.axis("noun").values

    def test_of_a_sketch_unlike_its_sentence_holds_its_state(self):
        with pytest.warns(LowSimilarityWarning):
            suggestion = suggest_grammar(FOLDER / "006.webp", store=None)
        assert not suggestion.goal.described
        prompt = "a sketch of one sheep and one people in beach on a clear night"
        assert suggestion.grammar.encode(prompt) is not None

    def test_of_a_picture_outside_the_world_is_an_error_that_names_the_way_out(self):
        noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
        with (
            pytest.warns(UserWarning, match="outside the world"),
            pytest.raises(SuggestionError, match=r"no grammar suggested.*--generator sd14"),
        ):
            suggest_grammar(noise, store=None)

    def test_a_world_without_known_words_is_an_error(self):
        with pytest.raises(SuggestionError, match="know none of the words of axis 'emotion'"):
            suggest_grammar(None, "diversity", store=None)


class TestCommand:
    def test_writes_the_grammar_and_explains_it(self, capsys, tmp_path):
        picture, prompt = a_target()
        out = tmp_path / "made" / "small.lark"
        status, shown, _ = run(capsys, "grammar", "suggest", picture, "--top", 4, "--out", out)
        assert status == 0
        grammar = load_grammar(out)
        assert max(grammar.nvec) <= 4
        assert grammar.encode(prompt) is not None
        assert shown.startswith("axis")
        assert "left out" in shown
        assert f"{out}: {grammar.n_states:,} states" in shown

    def test_prints_json_and_nothing_else(self, capsys, tmp_path):
        picture, _ = a_target()
        arguments = ["--world", "extended", "--out", tmp_path / "small.lark", "--json"]
        _, shown, _ = run(capsys, "grammar", "suggest", picture, *arguments)
        document = json.loads(shown)
        assert document["source"] == (tmp_path / "small.lark").read_text()
        assert document["world"] == "extended"
        assert document["states"] == load_grammar(tmp_path / "small.lark").n_states
        kept = [row for row in document["rows"] if row["kept"]]
        assert len(kept) == sum(axis["kept"] for axis in document["axes"])
        assert {"axis", "value", "probability", "outcome"} <= set(kept[0])

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["none.png"], "none.png does not exist"),
            (["PICTURE", "--world", "klingon"], "unknown grammar 'klingon'"),
            (["PICTURE", "--top", "1"], "top is 1: give a whole number of at least 2"),
            (["PICTURE", "--generator", "magic"], "unknown generator 'magic'"),
            (["PICTURE", "--perception", "magic"], "unknown perception 'magic'"),
            (["PICTURE", "--world", "diversity"], "know none of the words of axis 'emotion'"),
            (["PICTURE", "--out", "PICTURE"], "add --overwrite"),
        ],
    )
    def test_bad_input_is_one_line(self, capsys, arguments, complaint):
        picture = str(a_target()[0])
        filled = [picture if each == "PICTURE" else each for each in arguments]
        assert complaint in refusal(capsys, "grammar", "suggest", *filled)

    @pytest.mark.slow
    def test_a_search_can_make_its_own_grammar(self, capsys, embedded_store, tmp_path, monkeypatch):
        monkeypatch.setenv("RLDF_STORE", str(embedded_store))
        picture, _ = a_target()
        arguments = ["--grammar", "auto", "--out", tmp_path / "out", "--json"]
        status, shown, _ = run(capsys, "search", picture, *arguments)
        result = json.loads(shown)
        assert status in (0, 3)
        grammar = load_grammar(tmp_path / "out" / "grammar.lark")
        assert grammar.source == result["suggestion"]["source"]
        assert grammar.encode(result["goal_prompt"]).tolist() == result["goal_state"]
        assert "The grammar made for this target" in (tmp_path / "out" / "report.html").read_text()
