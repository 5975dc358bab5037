"""RLDF beside other methods at the same budget: the methods, the numbers, files, the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from painted_world import load_grammar, paint, painted_world
from PIL import Image
from test_cli import refusal, run
from test_report import Page
from tiny_models import save_captioner

from rldf_agents.applications.compare import compare
from rldf_agents.errors import AgentError
from rldf_agents.inversion import MethodUnavailableError, Trial, methods, run_method
from rldf_agents.inversion import black_box as searches
from rldf_agents.inversion.captions import caption_method, known_part
from rldf_agents.inversion.method import NO_SEARCH, Method
from rldf_agents.inversion.no_search import ranked_state
from rldf_gym.atlas import Atlas
from rldf_gym.goal import infer_goal
from rldf_gym.store import Store

GRAMMAR = load_grammar("base")
GOAL = (1, 5, 1, 3)
OWN = [
    *("--generator", "outsiders:generator"),
    *("--perception", "outsiders:perception"),
    *("--grammar", "outsiders:GRAMMAR"),
    *("--store", ":memory:"),
]
SEARCHES = ["rldf", "genetic", "tpe", "coordinate", "random"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def world(tmp_path):
    world = painted_world(store=Store.open(tmp_path / "store.sqlite"))
    yield world
    world.store.close()


@pytest.fixture
def picture(tmp_path) -> Path:
    Image.fromarray(paint(GRAMMAR, GOAL)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def trial_in(world, budget=30, target=GOAL) -> Trial:
    return Trial(world, infer_goal(world, paint(GRAMMAR, target)), budget)


def tried(world, name: str, budget=30, seed=0) -> Trial:
    trial = trial_in(world, budget)
    run_method(methods()[name], trial, seed)
    return trial


class TestATrial:
    def test_counts_distinct_pictures_and_ends_at_its_budget(self, world):
        trial = trial_in(world, budget=2)
        asked = []

        def stubborn(trial, seed):
            for label in (0, 0, 1, 2):
                asked.append((label, trial.evaluate((0, label, 0, 0))))

        run_method(Method("stubborn", "stubborn", NO_SEARCH, stubborn), trial, 0)
        assert [label for label, _ in asked] == [0, 0, 1]
        assert [each.state[1] for each in trial.candidates] == [0, 1]

    def test_ends_at_a_picture_that_reads_as_the_target(self, world):
        trial = trial_in(world)
        trial.evaluate(GOAL)
        assert trial.over
        assert trial.answer(30).matches

    def test_ends_where_a_method_repeats_itself_for_ever(self, world):
        trial = trial_in(world, budget=2)

        def endless(trial, seed):
            while True:
                trial.evaluate((0, 0, 0, 0))

        run_method(Method("endless", "endless", NO_SEARCH, endless), trial, 0)
        assert len(trial.candidates) == 1

    def test_answers_with_the_best_picture_within_each_budget(self, world):
        trial = trial_in(world)
        for state in ((0, 0, 0, 0), (1, 5, 0, 3), (0, 1, 0, 0), (1, 5, 1, 2)):
            trial.evaluate(state)
        assert trial.answer(0) is None
        assert [trial.answer(n).state[1] for n in (1, 2, 3, 4)] == [0, 5, 5, 5]

    def test_of_another_seed_is_another_picture(self, world):
        trial = trial_in(world)
        trial.evaluate((0, 0, 0, 0))
        trial.evaluate((0, 0, 0, 0), seed=1)
        assert [each.seed for each in trial.candidates] == [0, 1]


class TestAMethod:
    @pytest.mark.parametrize("name", SEARCHES)
    def test_that_searches_does_the_same_again_with_the_same_seed(self, world, name):
        first, again = (
            [(each.prompt, each.seed) for each in tried(world, name, seed=3).candidates]
            for _ in range(2)
        )
        assert 1 <= len(first) <= 30
        assert first == again

    def test_that_reads_needs_one_picture_and_answers_without_any(self, world):
        for name in ("reading", "rldf_from_reading"):
            trial = tried(world, name)
            assert len(trial.candidates) == 1
            assert trial.answer(0).state == trial.answer(1).state == GOAL

    def test_that_ranks_the_vocabulary_finds_the_sentence_most_like_the_picture(self):
        picture = np.random.default_rng(0).normal(size=8)
        vectors = {}

        def embed(texts):
            for text in texts:
                vectors.setdefault(text, np.random.default_rng(len(vectors)).normal(size=8))
            return np.stack([vectors[text] for text in texts])

        state = ranked_state(GRAMMAR, embed, picture)
        axis = len(state) - 1
        chosen = vectors[GRAMMAR.decode(state)] @ picture
        others = [[*state[:axis], label] for label in range(GRAMMAR.nvec[axis])]
        known = [vectors[p] @ picture for s in others if (p := GRAMMAR.decode(s)) in vectors]
        assert chosen == max(known)

    def test_without_its_package_is_left_out_with_the_fix(self, world, monkeypatch):
        monkeypatch.setattr(searches.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MethodUnavailableError, match=r"pip install 'rldf-gym\[compare\]'"):
            tried(world, "tpe")


class TestTheCaptioner:
    def test_is_a_model_of_the_format_of_blip(self, world, tmp_path):
        trial = trial_in(world)
        method = caption_method(str(save_captioner(tmp_path / "captioner")))
        caption = []
        trial.evaluate_prompt = caption.append
        method.run(trial, 0)
        assert len(caption) == 1
        assert set(caption[0].split()) <= {"one", "dog", "and", "no", "people", "in", "park", "a"}

    def test_is_left_out_where_its_weights_are_not_there(self, world, tmp_path):
        (tmp_path / "empty").mkdir()
        for name in (None, "empty"):
            with pytest.raises(MethodUnavailableError, match="there is no captioner"):
                caption_method(name).run(trial_in(world), 0)

    def test_of_a_wrong_name_is_an_error(self):
        with pytest.raises(AgentError, match="the captioner '/no/folder' is no folder"):
            caption_method("/no/folder")

    def test_keeps_the_words_that_the_generator_knows(self):
        class Generator:
            name, fingerprint = "few words", "1"
            known_words = frozenset({"dog", "park"})

        assert known_part("A dog, in the park", Generator()) == "dog park"
        with pytest.raises(MethodUnavailableError, match="knows no word of the caption 'cat'"):
            known_part("cat", Generator())


class TestAComparison:
    def test_has_an_entry_for_every_method_and_the_optimum(self, world, tmp_path):
        chosen = [methods()[name] for name in ("rldf", "reading", "random")]
        goal = infer_goal(world, paint(GRAMMAR, GOAL))
        atlas = Atlas.build(world, tmp_path / "atlas.safetensors")
        found = compare(world, goal, chosen, budget=10, atlas=atlas)
        assert [entry.name for entry in found.ran] == ["rldf", "reading", "random", "optimum"]
        assert [entry.n_pictures for entry in found.ran][1::2] == [1, GRAMMAR.n_states]
        assert found.ran[1].found.matches
        assert found.ran[3].found.state == GOAL
        assert all(entry.n_pictures <= 10 for entry in found.ran[:3])

    def test_asks_the_judge_about_every_picture(self, world):
        goal = infer_goal(world, paint(GRAMMAR, GOAL))
        chosen = [methods()["reading"]]
        found = compare(world, goal, chosen, judge="outsiders:same_pixels")
        assert [entry.judged for entry in found.entries] == [1, None]
        with pytest.raises(AgentError, match="must return one finite number for each"):
            compare(world, goal, chosen, judge="outsiders:judge_without_scores")
        with pytest.raises(AgentError, match="the judge 'outsiders:broken_judge' failed: OSError"):
            compare(world, goal, chosen, judge="outsiders:broken_judge")

    def test_keeps_the_store_and_says_so_when_it_is_interrupted(self, world):
        def interrupt(title, done, total):
            if done == 2:
                raise KeyboardInterrupt

        goal = infer_goal(world, paint(GRAMMAR, GOAL))
        chosen = [methods()[name] for name in ("reading", "random")]
        with pytest.raises(KeyboardInterrupt, match="1 of 2 methods were finished"):
            compare(world, goal, chosen, on_progress=interrupt)


class TestTheCommand:
    def test_writes_what_it_prints_and_a_report_that_loads_nothing(self, capsys, picture):
        arguments = [picture, *OWN, "--budget", 12, "--out", "out", "--json"]
        arguments += ["--captioner", "outsiders:caption", "--judge", "outsiders:same_pixels"]
        status, printed, _ = run(capsys, "compare", *arguments)
        assert status == 0
        document = json.loads(printed)
        assert document.pop("folder") == "out"
        assert document == json.loads(Path("out/compare.json").read_text())
        rows = {row["method"]: row for row in document["methods"]}
        assert set(rows) == {*methods(), "optimum"}
        assert rows["reading"]["matches"]
        assert rows["reading"]["judge_similarity"] == 1
        assert rows["caption"]["prompt"] == GRAMMAR.decode((0, 1, 0, 0))
        assert "name one with --atlas" in rows["optimum"]["left_out"]
        for row in rows.values():
            assert "left_out" in row or (Path("out") / row["file"]).is_file()
        html = Path("out/report.html").read_text()
        page = Page.of(html)
        assert not page.open
        assert all(link.startswith("data:image/") for link in page.links)
        assert "Left out" in html
        assert "--budget 12" in html

    def test_says_plainly_that_there_is_no_independent_judge(self, capsys, picture):
        status, printed, _ = run(capsys, "compare", picture, *OWN, "--budget", 3, "--out", "out")
        assert status == 0
        assert "no independent judge" in printed
        assert "No independent judge was given" in Path("out/report.html").read_text()
        assert json.loads(Path("out/compare.json").read_text())["judge"] is None

    def test_knows_a_store_in_memory_that_the_environment_names(self, capsys, picture, monkeypatch):
        monkeypatch.setenv("RLDF_STORE", ":memory:")
        arguments = [picture, *OWN[:-2], "--budget", 3, "--out", "out", "--json"]
        document = json.loads(run(capsys, "compare", *arguments)[1])
        assert "beside a store in memory" in document["methods"][-1]["left_out"]

    def test_exits_with_3_where_no_picture_reads_as_the_target(self, capsys, tmp_path):
        arguments = ["--generator", "outsiders:blind_generator", *OWN[2:], "--budget", 2]
        Image.fromarray(paint(GRAMMAR, GOAL)).save(tmp_path / "picture.png")
        assert run(capsys, "compare", "picture.png", *arguments, "--out", "out", "-q")[0] == 3

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--budget", 0], "budget is 0: give a whole number of at least 1"),
            (["--seed", -1], "greater than or equal to 0"),
            (["--captioner", "nowhere"], "the captioner 'nowhere' is no folder"),
            (["--judge", "nowhere:judge"], "cannot import the judge"),
            (["--reward", "money"], "unknown reward 'money'"),
            (["--atlas", "nowhere"], "there is no atlas nowhere"),
        ],
    )
    def test_says_what_is_wrong_before_it_writes(self, capsys, picture, options, reason):
        assert reason in refusal(capsys, "compare", picture, *OWN, *options, "--out", "out")
        assert not Path("out").exists()

    def test_says_what_is_wrong_with_the_picture(self, capsys, tmp_path):
        (tmp_path / "bad.png").write_text("no picture")
        assert "bad.png is not a picture" in refusal(capsys, "compare", "bad.png", *OWN)


@pytest.mark.slow
def test_the_embedded_model_compares_its_own_target(capsys):
    arguments = ["--out", "out", "--budget", 6, "--store", ":memory:", "--json"]
    target = Path(__file__).parents[1] / "src" / "rldf_gym" / "embedded" / "target.png"
    status, printed, _ = run(capsys, "compare", target, *arguments)
    rows = {row["method"]: row for row in json.loads(printed)["methods"]}
    assert status == 0
    assert rows["reading"]["matches"]
    assert rows["ranking"]["axes_right"] >= 2
