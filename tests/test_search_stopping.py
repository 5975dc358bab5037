"""A search that is stopped from outside, and run again."""

import itertools

import pytest
from painted_world import PaintedGenerator, load_grammar, paint, painted_perception

from rldf_agents.applications.search import SearchSettings, open_search
from rldf_agents.errors import AgentError

GRAMMAR = load_grammar("base")
GOAL = (1, 5, 1, 3)


def settings(**changes) -> SearchSettings:
    world = {"generator": PaintedGenerator(GRAMMAR), "perception": painted_perception(GRAMMAR)}
    return SearchSettings(GRAMMAR, **{"learner": "q_learning", "store": None, **world, **changes})


def after(n: int):
    """Return a function that asks for a stop from its n-th call on."""
    calls = itertools.count(1)
    return lambda: next(calls) >= n


@pytest.mark.parametrize("learner", ["q_learning", "factored_ucb", "noisy_diffusion_gradient"])
def test_stopped_and_run_again_it_takes_the_same_steps_and_pictures(learner):
    target = paint(GRAMMAR, GOAL)
    with open_search(target, settings(learner=learner)) as search:
        whole = search.run()
    with open_search(target, settings(learner=learner)) as search:
        part = search.run(should_stop=after(5))
        assert not part.found
        assert len(part.steps) < len(whole.steps)
        again = search.run()
    assert again.steps == whole.steps
    assert again.generations == whole.generations
    assert again.best[0].prompt == whole.best[0].prompt


def test_stopped_at_its_start_it_continues_with_the_next_image():
    goal_is_wrong = {GRAMMAR.decode(GOAL): (0, 0, 0, 0)}
    wrong = PaintedGenerator(GRAMMAR, mistakes=goal_is_wrong)
    chosen = settings(generator=wrong, start="reading", more_seeds=2)
    with open_search(paint(GRAMMAR, GOAL), chosen) as search:
        first = search.run(should_stop=lambda: True)
        assert [visit.distance for visit in first.checks] == [0]
        assert not first.steps
        again = search.run(should_stop=after(2))
    assert [visit.seed for visit in again.checks][:2] == [0, 1]
    assert len({visit.picture for visit in again.checks}) == len(again.checks)


def test_makes_no_further_batch_of_variations_when_it_is_stopped():
    stop, one_by_one = [], PaintedGenerator(GRAMMAR)
    one_by_one.batch_size = 1
    chosen = settings(variations=4, generator=one_by_one)
    with open_search(paint(GRAMMAR, GOAL), chosen) as search:
        result = search.run(
            on_image=lambda phase, visit: stop.append(visit), should_stop=lambda: bool(stop)
        )
        assert len(result.variations) == 1
        again = search.run(should_stop=lambda: True)
    assert again.variations == ()


def test_a_learner_that_cannot_be_resumed_cannot_continue():
    with open_search(paint(GRAMMAR, GOAL), settings(learner="outsiders:Wanderer")) as search:
        search.run(should_stop=lambda: True)
        assert not search.can_continue
        with pytest.raises(AgentError, match="cannot be resumed"):
            search.run()
