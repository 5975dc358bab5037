"""The live page of ``rldf app`` below its surface: visitors, their searches, what they share."""

import threading
from urllib.parse import parse_qsl

import numpy as np
import pytest
from painted_world import PaintedGenerator, load_grammar, paint, painted_perception

from rldf_agents.app.choices import MADE, Choice, Choices
from rldf_agents.app.live_search import FAILED, FOUND, MISSED, STOPPED
from rldf_agents.app.turns import Turns
from rldf_agents.app.view import axes, compared, live
from rldf_agents.app.visitors import Visitor, Visitors
from rldf_agents.applications.settings import SearchSettings
from rldf_agents.errors import AgentError
from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import EvaluatorError

GRAMMAR = load_grammar("base")
GOAL = (1, 5, 1, 3)
OTHER = (0, 2, 2, 6)
SECONDS = 60


class Gate(PaintedGenerator):
    """Paints nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__(GRAMMAR)
        self.open = threading.Event()
        self.asked = threading.Event()

    def __call__(self, prompts, seeds):
        self.asked.set()
        assert self.open.wait(SECONDS)
        return super().__call__(prompts, seeds)


def choices(**changes) -> Choices:
    world = {"generator": PaintedGenerator(GRAMMAR), "perception": painted_perception(GRAMMAR)}
    return Choices(SearchSettings("base", **{"store": None, **world, **changes}))


@pytest.fixture
def visitors(tmp_path):
    made = Visitors(choices(store=tmp_path / "store.sqlite"))
    yield made
    made.close()


def searched(visitor: Visitor, known: Choices, goal=GOAL):
    visitor.target = paint(GRAMMAR, goal)
    search = visitor.start(known.default)
    search.wait(SECONDS)
    return search


class TestTurns:
    def test_a_thread_that_waits_comes_before_one_that_had_its_turn(self):
        turns, order = Turns(), []
        waiting = threading.Event()

        def wait():
            waiting.set()
            with turns.taken():
                order.append("second")

        with turns.taken():
            thread = threading.Thread(target=wait)
            thread.start()
            waiting.wait(SECONDS)
            while not order:
                turns.pass_on()
            order.append("first")
        thread.join(SECONDS)
        assert order == ["second", "first"]

    def test_nobody_waits_for_a_turn_that_nobody_wants(self):
        turns = Turns()
        with turns.taken():
            turns.pass_on()


class TestASearch:
    def test_reports_its_images_rewards_and_result(self, visitors):
        visitor = visitors.get("a")
        visitor.target = paint(GRAMMAR, GOAL)
        seen = list(visitor.start(visitors.choices.default).watch(0))
        last = seen[-1]
        assert last.phase == FOUND
        assert last.result.found
        assert len(last.rewards) == last.result.statistics.steps
        assert last.n_pictures == last.result.states_seen
        assert last.best.prompt == GRAMMAR.decode(np.array(GOAL))
        assert "Found" in live(last)
        assert last.best.prompt in live(last)

    def test_that_is_stopped_shows_its_best_so_far_and_continues(self, tmp_path):
        gate = Gate()
        known = choices(generator=gate, learner="q_learning")
        visitor = Visitors(known).get("a")
        visitor.target = paint(GRAMMAR, GOAL)
        search = visitor.start(known.default)
        assert gate.asked.wait(SECONDS)
        search.stop()
        gate.open.set()
        search.wait(SECONDS)
        assert search.progress.phase == STOPPED
        assert visitor.settle(search).prompt == search.progress.best.prompt
        assert search.can_continue
        search.start()
        search.wait(SECONDS)
        assert search.progress.phase == FOUND
        assert not search.can_continue

    def test_that_finds_nothing_says_so(self):
        known = choices(steps=1, learner="random", more_seeds=0)
        search = searched(Visitors(known).get("a"), known)
        assert search.progress.phase == MISSED

    def test_that_fails_reports_why_in_one_line(self):
        class Broken(PaintedGenerator):
            def __call__(self, prompts, seeds):
                raise RLDFError("out of\npaint")

        known = choices(generator=Broken(GRAMMAR))
        visitor = Visitors(known).get("a")
        search = searched(visitor, known)
        assert (search.progress.phase, search.progress.error) == (FAILED, "out of paint")
        assert visitor.settle(search) is None
        assert "out of paint" in live(search.progress)

    def test_warns_of_a_target_whose_reading_is_unsure(self, visitors):
        search = searched(visitors.get("a"), visitors.choices, goal=(1, -1, 1, 3))
        assert 'class="doubt"' in live(search.progress)


class TestVisitors:
    def test_share_the_store_and_nothing_else(self, visitors):
        one, other = visitors.get("a"), visitors.get("b")
        first = searched(one, visitors.choices)
        second = searched(other, visitors.choices)
        assert first.progress.generations > 0
        assert second.progress.generations == 0
        assert one.settle(first) is not other.settle(second)
        third = searched(other, visitors.choices, goal=OTHER)
        assert one.place.state == first.progress.best.visit.state
        assert third.progress.best.visit.state != one.place.state

    def test_searching_at_once_get_their_own_results(self, visitors):
        goals = [(n % 2, n, n % 3, n % 8) for n in range(8)]
        searches = []
        for number, goal in enumerate(goals):
            visitor = visitors.get(str(number))
            visitor.target = paint(GRAMMAR, goal)
            searches.append(visitor.start(visitors.choices.default))
        for search, goal in zip(searches, goals, strict=True):
            search.wait(SECONDS)
            assert search.progress.best.visit.state == goal

    def test_a_second_search_in_a_tab_stops_the_first(self):
        gate = Gate()
        known = choices(generator=gate)
        visitor = Visitors(known).get("a")
        visitor.target = paint(GRAMMAR, GOAL)
        first = visitor.start(known.default)
        assert gate.asked.wait(SECONDS)
        second = visitor.start(known.default)
        gate.open.set()
        first.wait(SECONDS)
        second.wait(SECONDS)
        assert len(first.progress.rewards) <= 1
        assert visitor.settle(first) is None
        assert visitor.settle(second) is not None

    def test_a_closed_tab_stops_its_search_and_leaves_nothing(self):
        gate = Gate()
        visitors = Visitors(choices(generator=gate))
        visitor = visitors.get("a")
        visitor.target = paint(GRAMMAR, GOAL)
        search = visitor.start(visitors.choices.default)
        assert gate.asked.wait(SECONDS)
        visitors.leave("a")
        gate.open.set()
        search.wait(SECONDS)
        assert len(search.progress.rewards) <= 1
        assert len(visitors) == 0
        assert not visitor.folder.exists()
        with pytest.raises(AgentError, match="closed"):
            visitor.start(visitors.choices.default)

    def test_that_were_never_there_may_leave(self, visitors):
        visitors.leave("nobody")


class TestSliders:
    def test_move_the_picture_that_was_found(self, visitors):
        visitor = visitors.get("a")
        visitor.settle(searched(visitor, visitors.choices))
        place = visitor.move(OTHER)
        np.testing.assert_array_equal(visitor.picture(place), paint(GRAMMAR, OTHER))
        assert [axis["values"][axis["label"]] for axis in axes(place)] == [
            *("one", "apple", "many", "street")
        ]

    def test_move_nothing_before_a_search(self, visitors):
        with pytest.raises(AgentError, match="nothing to move"):
            visitors.get("a").move(GOAL)

    def test_do_not_wait_for_models_where_the_store_has_the_picture(self, visitors):
        visitor = visitors.get("a")
        place = visitor.settle(searched(visitor, visitors.choices))
        with visitors.turns.taken():
            assert visitor.picture(place).any()

    def test_a_link_restores_them_in_another_tab(self, visitors):
        visitor = visitors.get("a")
        visitor.settle(searched(visitor, visitors.choices))
        place = visitor.move(OTHER)
        restored = visitors.get("b").restore(dict(parse_qsl(place.query)))
        assert (restored.state, restored.prompt, restored.target) == (OTHER, place.prompt, None)

    def test_a_link_of_the_example_restores_the_target(self, visitors):
        place = visitors.get("a").restore(
            {"world": "base", "prompt": GRAMMAR.decode(np.array(GOAL)), "target": "example"}
        )
        assert place.target is not None

    def test_an_address_without_a_state_restores_nothing(self, visitors):
        assert visitors.get("a").restore({}) is None

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"world": "/etc/passwd"}, AgentError, "unknown world"),
            ({"world": "os:name"}, AgentError, "unknown world"),
            ({"world": MADE}, AgentError, "unknown world"),
            ({"generator": "openai:dear"}, AgentError, "unknown generator"),
            ({"prompt": "a photo of nothing"}, RLDFError, "nothing"),
            ({"seed": "x"}, EvaluatorError, "generation_seed"),
        ],
    )
    def test_a_link_that_cannot_be_restored_says_why(self, visitors, changes, error, message):
        query = {"world": "base", "prompt": GRAMMAR.decode(np.array(GOAL)), **changes}
        with pytest.raises(error, match=message):
            visitors.get("a").restore(query)

    def test_a_target_of_another_shape_is_padded_for_comparing(self):
        wide = np.zeros((10, 40, 3), np.uint8)
        assert compared(wide, (64, 64, 3)).size == compared(np.zeros((64, 64, 3), np.uint8)).size


class TestChoices:
    def test_offer_the_worlds_that_a_generator_has_words_for(self):
        known = Choices(SearchSettings("extended", store=None))
        worlds = known.worlds("embedded")
        assert {"base", "extended", MADE} <= set(worlds)
        assert "domains/zoology" not in worlds

    @pytest.mark.parametrize(
        ("name", "value"),
        [("world", "os:name"), ("generator", "os:name"), ("learner", "os:name"), ("reward", "a")],
    )
    def test_import_nothing_that_a_visitor_names(self, visitors, name, value):
        default = vars(visitors.choices.default)
        with pytest.raises(AgentError, match=f"unknown {name}"):
            visitors.choices.settings(Choice(**{**default, name: value}))

    def test_find_a_shipped_world_for_the_prompt_of_a_made_one(self):
        prompt = GRAMMAR.decode(np.array(GOAL))
        assert choices().world_of(prompt, "painted") == "base"
        assert choices().world_of("no sentence of any", "painted") is None
