"""A concept that the grammar has no words for vanishes: scores, files and the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import outsiders
import pytest
from painted_world import (
    PaintedClip,
    PaintedGenerator,
    load_grammar,
    paint,
    painted_perception,
    painted_world,
)
from PIL import Image
from test_cli import refusal, run
from test_report import Page

from rldf_agents.applications.ablate import Level, ablate
from rldf_agents.applications.concept import find_concept
from rldf_agents.applications.wider_grammar import WiderGrammar, is_wider
from rldf_agents.errors import AgentError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import LowConfidenceWarning
from rldf_gym.grammar import GrammarError, compile_grammar
from rldf_gym.store import Store

BASE, EXTENDED = load_grammar("base"), load_grammar("extended")
DOG = (1, 5, 1, 3)
CLEAR_DAY, FOGGY_DAY = (0, 0), (2, 0)
TARGETS = Path(__file__).parents[1] / "benchmarks" / "targets" / "embedded"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    monkeypatch.chdir(tmp_path)


class WeatherGenerator(PaintedGenerator):
    """Paints sentences of base, with a weather and a time of day that they do not say."""

    def __init__(self, weather=CLEAR_DAY, mistakes=None):
        super().__init__(EXTENDED, mistakes or {})
        self.weather = weather

    def __call__(self, prompts, seeds):
        self.calls.append(list(prompts))
        states = [(*BASE.encode(prompt).tolist(), *self.weather) for prompt in prompts]
        states = [self.mistakes.get(seed, state) for seed, state in zip(seeds, states, strict=True)]
        return np.stack([paint(EXTENDED, state) for state in states])


def evaluator(grammar=BASE, **generator) -> StateEvaluator:
    made = WeatherGenerator(**generator)
    return StateEvaluator(grammar, made, painted_perception(EXTENDED), Store.open(None))


def ablated(target=(*DOG, *FOGGY_DAY), words="foggy", n_results=6, **generator):
    return ablate(evaluator(**generator), paint(EXTENDED, target), words, n_results, 8)


class TestAnAblation:
    def test_finds_that_the_concept_is_gone_and_the_rest_stayed(self):
        found = ablated()
        assert found.in_target
        assert found.vanished
        assert found.target_score > 0.5 > found.scores.max()
        assert found.stays == dict.fromkeys(BASE.axis_names, 1)
        assert (len(found.results), found.rejected) == (6, 0)
        assert "“foggy” is gone" in found.headline

    def test_finds_that_the_concept_is_still_there(self):
        found = ablated(mistakes=dict.fromkeys(range(1, 20), (*DOG, *FOGGY_DAY)))
        assert found.in_target
        assert not found.vanished
        assert found.level.interval[0] > found.plain_level.spread[1]
        assert "“foggy” is still there" in found.headline

    def test_says_so_where_the_target_does_not_show_the_concept(self):
        found = ablated(target=(*DOG, *CLEAR_DAY))
        assert not found.in_target
        assert "does not show “foggy”" in found.headline

    @pytest.mark.parametrize(("score", "shown"), [(0.34, True), (0.32, False)])
    def test_finds_a_concept_in_the_target_where_it_is_likelier_than_chance(self, score, shown):
        assert replace(ablated(n_results=1), target_score=score).in_target is shown

    def test_keeps_verified_results_only_and_counts_the_others(self):
        found = ablated(mistakes={2: (0, 5, 1, 3, 0, 0), 4: (1, 5, 1, 4, 0, 0)})
        assert [frame.visit.seed for frame in found.results] == [0, 1, 3, 5, 6, 7]
        assert found.rejected == 2
        assert found.all_stay == 6 / 8
        assert found.stays == {"frequency": 7 / 8, "noun": 1, "density": 1, "scene": 7 / 8}

    def test_without_a_result_is_not_found(self):
        cats = dict.fromkeys(range(100), (0, 1, 0, 0, 0, 0))
        found = ablated(n_results=2, mistakes=cats)
        assert not found.found
        assert not found.vanished
        assert found.to_json()["score"] is None

    def test_compares_with_different_other_states(self):
        made = evaluator()
        ablate(made, paint(EXTENDED, (*DOG, *FOGGY_DAY)), "foggy", 1, 300)
        own = BASE.decode(DOG)
        others = [prompt for call in made.generator.calls for prompt in call if prompt != own]
        assert len(others) == len(set(others)) == 300

    def test_that_is_interrupted_says_what_the_store_keeps(self):
        class Interrupted(WeatherGenerator):
            def __call__(self, prompts, seeds):
                if len(self.calls) == 2:
                    raise KeyboardInterrupt
                return super().__call__(prompts, seeds)

        made = evaluator()
        made.generator = Interrupted()
        made.generator.batch_size = 1
        with pytest.raises(KeyboardInterrupt, match="2 of 12 pictures were finished; nothing was"):
            ablate(made, paint(EXTENDED, (*DOG, *FOGGY_DAY)), "foggy", 8, 4)

    def test_of_a_grammar_that_has_the_words_leaves_them_out(self):
        with pytest.warns(LowConfidenceWarning, match="noun"):
            found = ablate(painted_world(), paint(BASE, DOG), "dog", 2, 4)
        noun = found.goal.grammar.axis("noun")
        assert set(BASE.axis("noun").values) - set(noun.values) == {"dog"}
        assert found.concept.axis_name == "noun"
        assert found.in_target
        assert found.vanished


class TestTheScore:
    def test_is_the_probability_of_the_words_among_the_values_of_their_axis(self):
        concept = find_concept("foggy", BASE, painted_perception(EXTENDED))
        assert (concept.axis_name, concept.wider.wide.name) == ("weather", "extended")
        assert concept.counterparts == ("clear", "rainy")
        made = evaluator()
        shares = []
        for weather in range(3):
            reading = made.read(paint(EXTENDED, (*DOG, weather, 1)))
            shares.append(concept.probability(reading, made.spec))
        assert shares[0] == shares[1] < 0.5 < shares[2]
        # One of six axes differs, so that two cosines differ by a sixth.
        assert shares[2] == pytest.approx(1 / (1 + 2 * np.exp(-20 / 6)), rel=1e-4)

    def test_of_other_words_compares_the_sentence_with_and_without_them(self):
        class WordClip(PaintedClip):
            def embed_texts(self, prompts):
                self.prompts = list(prompts)
                return np.array([[1, 0], [0, 1], [0, 1]], np.float32)[: len(prompts)]

        perception = replace(painted_perception(BASE), clip=WordClip(BASE, logit_scale=2.0))
        concept = find_concept("Van  Gogh", BASE, perception)
        assert concept.axis_name is None
        made = StateEvaluator(BASE, PaintedGenerator(BASE), perception, Store.open(None))
        reading = replace(made.read(paint(BASE, DOG)), embedding=np.array([0.6, 0.8], np.float32))
        expected = 1 / (1 + np.exp(2 * (0.6 - 0.8)))
        assert concept.probability(reading, perception.spec()) == pytest.approx(expected)
        prompt = BASE.decode(DOG)
        assert perception.clip.prompts == [
            *(prompt, f"{prompt}, Van Gogh"),
            prompt.replace("a photo of", "a Van Gogh of"),
        ]

    def test_of_one_picture_has_no_interval(self):
        assert Level.of(np.array([0.25])) == (0.25, None, (0.25, 0.25))

    def test_of_equal_pictures_has_an_interval_without_width(self):
        assert Level.of(np.full(5, 0.25)).interval == (0.25, 0.25)

    def test_of_noise_has_an_interval_around_its_mean_inside_its_spread(self):
        level = Level.of(np.random.default_rng(0).uniform(size=40))
        assert level.spread[0] < level.interval[0] < level.mean
        assert level.mean < level.interval[1] < level.spread[1]


class TestAWiderGrammar:
    def test_says_all_that_another_says_and_more(self):
        wider = WiderGrammar(BASE, load_grammar("embedded"))
        assert wider.labels(np.array([1, 5, -1, 3])).tolist() == [-1, 1, 5, -1, 3, -1, -1]

    def test_lacks_neither_axis_nor_value(self):
        with pytest.raises(AgentError, match="lacks the axis 'frequency'"):
            WiderGrammar(BASE, load_grammar("actions"))
        small = compile_grammar('start: "a" noun\nnoun: "cat" | "dog"\n%ignore " "\n', "small")
        with pytest.raises(AgentError, match="lacks the value 'cat' of axis 'noun'"):
            WiderGrammar(small, BASE)
        assert not is_wider(EXTENDED, BASE)


OWN = [
    *("--generator", "outsiders:generator", "--perception", "outsiders:perception"),
    *("--grammar", "outsiders:GRAMMAR", "--store", ":memory:", "--results", "3", "--plain", "4"),
]


@pytest.fixture
def picture(tmp_path) -> Path:
    Image.fromarray(paint(outsiders.GRAMMAR, DOG)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


class TestTheCommand:
    def test_writes_what_it_prints_and_a_report_that_loads_nothing(self, capsys, picture):
        arguments = [picture, *OWN, "--concept", "duck", "--out", "out"]
        status, printed, _ = run(capsys, "ablate", *arguments, "--json")
        document = json.loads(printed)
        assert document.pop("folder") == "out"
        assert document == json.loads(Path("out/result.json").read_text())
        assert status == 0
        for result in document["results"]:
            assert (Path("out") / result["file"]).is_file()
        html = Path("out/report.html").read_text()
        page = Page.of(html)
        assert not page.open
        assert all(link.startswith("data:image/") for link in page.links)
        assert "--concept duck" in html

    def test_says_what_is_wrong_with_the_concept(self, capsys, picture):
        def ask(*options):
            return refusal(capsys, "ablate", picture, "--out", "out", *options)

        assert "never learned 'gibberish'" in ask("--concept", "gibberish")
        assert "has no words" in ask("--concept", " ")
        assert "Missing option" in ask()
        assert "--results" in ask("--concept", "foggy", "--results", "0")
        assert not Path("out").exists()

    def test_says_what_is_wrong_with_picture_and_folder(self, capsys, picture, tmp_path):
        (tmp_path / "bad.png").write_text("no picture")
        options = [*OWN, "--concept", "dog", "--out", "out"]
        assert "bad.png is not a picture" in refusal(capsys, "ablate", "bad.png", *options)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("keep")
        assert "add --overwrite to replace it" in refusal(capsys, "ablate", picture, *options)


def test_a_grammar_that_says_nothing_else_is_an_error():
    only = compile_grammar('start: "a photo of" noun\nnoun: "cat" | "dog"\n%ignore " "\n', "only")
    with pytest.raises(GrammarError):
        find_concept("cat", only, painted_perception(EXTENDED))


@pytest.mark.slow
def test_the_embedded_model_leaves_out_fog(capsys):
    status, printed, _ = run(
        capsys, "ablate", TARGETS / "058.webp", "--concept", "foggy", "--out", "out", "--json"
    )
    assert status == 0
    document = json.loads(printed)
    assert document["in_target"]
    assert document["vanished"]
    assert document["target_score"] > 0.8
    assert document["score"] < 0.3
    assert len(document["results"]) == 16
