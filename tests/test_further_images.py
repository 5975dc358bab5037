"""What a search does where the goal state's image does not read as the target."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from painted_world import load_grammar, paint, painted_perception

from rldf_agents.applications.search import SearchResult, SearchSettings, search_picture
from rldf_agents.applications.trials import copy_distances

GRAMMAR = load_grammar("base")
GOAL = (1, 5, 1, 3)
NEIGHBOUR = (1, 5, 1, 2)
WRONG = (1, 5, 0, 3)


@dataclass
class FickleGenerator:
    """Paints every state as it is, but the goal state wrongly with each of these seeds."""

    bad_seeds: set[int]
    swapped: bool = False
    name: str = "fickle"
    fingerprint: str = "fickle-1"
    calls: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, prompts, seeds) -> np.ndarray:
        self.calls += zip(prompts, seeds, strict=True)
        return np.stack([self._paint(*each) for each in zip(prompts, seeds, strict=True)])

    def _paint(self, prompt: str, seed: int) -> np.ndarray:
        state = tuple(GRAMMAR.encode(prompt).tolist())
        if state == GOAL and seed in self.bad_seeds:
            state = WRONG
        elif state == NEIGHBOUR and self.swapped:
            state = GOAL
        return paint(GRAMMAR, state)


def search(generator: FickleGenerator, **changes) -> SearchResult:
    settings = {
        "grammar": GRAMMAR,
        "generator": generator,
        "perception": painted_perception(GRAMMAR),
        "store": None,
        **changes,
    }
    return search_picture(paint(GRAMMAR, GOAL), SearchSettings(**settings))


@dataclass
class CountingGenerator(FickleGenerator):
    """Remembers how many images each call generated."""

    sizes: list[int] = field(default_factory=list)

    def __call__(self, prompts, seeds) -> np.ndarray:
        self.sizes.append(len(prompts))
        return super().__call__(prompts, seeds)


def test_as_many_variations_are_generated_at_once_as_are_missing():
    generator = CountingGenerator({3, 4})
    result = search(generator, start="reading", variations=6)
    assert [frame.visit.seed for frame in result.variations] == [1, 2, 5, 6, 7, 8]
    assert (result.rejected, generator.sizes) == (2, [1, 6, 2])


def test_variations_are_no_more_than_the_budget_leaves():
    generator = CountingGenerator({3, 4})
    result = search(generator, start="reading", variations=6, budget=5)
    assert [frame.visit.seed for frame in result.variations] == [1, 2]
    assert (result.rejected, generator.sizes) == (2, [1, 4])


def test_another_seed_of_the_goal_state_is_found_and_is_the_best_image():
    result = search(FickleGenerator({0, 1, 2}))
    assert result.matched
    assert result.reached
    assert [(trial.seed, trial.matches) for trial in result.trials] == [
        (1, False),
        (2, False),
        (3, True),
    ]
    assert result.best[0].visit.seed == 3
    assert (result.best[0].picture == paint(GRAMMAR, GOAL)).all()
    assert result.states_seen_to_match == result.steps[-1].states_seen + 3
    assert result.generations == result.states_seen
    document = result.to_json()
    assert document["matched"]
    assert document["best_generation_seed"] == 3


def test_a_state_beside_the_goal_state_may_match_as_well():
    result = search(FickleGenerator(set(range(100)), swapped=True), more_seeds=2)
    assert result.matched
    assert result.best[0].visit.state == NEIGHBOUR


def test_a_search_without_a_match_says_so_after_all_of_them():
    result = search(FickleGenerator(set(range(100))), more_seeds=4)
    assert not result.matched
    assert result.reached
    assert not result.found
    assert result.states_seen_to_match is None
    assert [trial.seed for trial in result.trials][:4] == [1, 2, 3, 4]
    assert len({(trial.state, trial.seed) for trial in result.trials}) == len(result.trials)


def test_a_search_for_the_goal_state_tries_no_further_image():
    generator = FickleGenerator({0})
    result = search(generator, stop_at="goal_state")
    assert result.reached
    assert result.found
    assert not result.matched
    assert not result.trials


def test_seeds_follow_the_seed_of_the_search():
    result = search(FickleGenerator({7}), generation_seed=7)
    assert [trial.seed for trial in result.trials] == [8]


@pytest.mark.parametrize("stop_at", ["match", "goal_state"])
def test_a_goal_state_that_matches_ends_both_kinds_of_search(stop_at):
    result = search(FickleGenerator(set()), stop_at=stop_at)
    assert result.found
    assert result.matched
    assert not result.trials


class TestWhereASearchStarts:
    def test_at_the_reading_one_picture_is_enough_where_it_matches(self):
        result = search(FickleGenerator(set()), start="reading")
        assert result.matched
        assert result.reached
        assert result.states_seen_to_match == result.generations == 1
        assert not result.steps

    def test_at_the_reading_it_is_repaired_by_other_seeds(self):
        result = search(FickleGenerator({0, 1}), start="reading")
        assert [visit.seed for visit in result.checks] == [0, 1, 2]
        assert result.states_seen_to_match == 3

    def test_at_the_reading_the_agent_walks_from_there_in_the_end(self):
        result = search(FickleGenerator(set(range(100))), start="reading", more_seeds=1, budget=20)
        assert not result.found
        assert result.steps[0].origin == GOAL
        assert result.states_seen <= 20

    def test_at_a_prompt_every_episode_begins_there(self):
        start = (0, 5, 1, 3)
        prompt = GRAMMAR.decode(np.array(start))
        result = search(FickleGenerator(set()), start=prompt)
        assert result.matched
        assert result.steps[0].origin == start


class TestVariations:
    def test_are_of_the_found_prompt_and_verified(self):
        result = search(FickleGenerator({1, 3}), start="reading", variations=3)
        assert [frame.visit.seed for frame in result.variations] == [2, 4, 5]
        assert result.rejected == 2
        assert all((frame.picture == paint(GRAMMAR, GOAL)).all() for frame in result.variations)
        assert result.states_seen == 1

    def test_stay_within_the_budget(self):
        result = search(FickleGenerator(set()), start="reading", variations=8, budget=4)
        assert len(result.variations) == 3
        assert result.generations == 4

    def test_after_the_goal_are_collected_until_the_budget_ends(self):
        result = search(FickleGenerator({5}), start="reading", budget=12, after_goal=True)
        assert len(result.variations) == 10
        assert result.rejected == 1
        assert result.generations == 12

    def test_end_after_some_tries_where_nothing_matches_again(self):
        result = search(FickleGenerator(set(range(1, 100))), start="reading", variations=2)
        assert not result.variations
        assert result.rejected == 8

    def test_that_are_copies_have_no_distance_from_the_target(self):
        result = search(FickleGenerator(set()), start="reading", variations=1)
        [distance] = result.copy_distances
        assert distance.pixel == 0
        assert distance.embedding == pytest.approx(0, abs=1e-6)


def test_copy_distances_are_the_same_for_mirrored_pictures():
    target = np.zeros((8, 8, 3), np.uint8)
    target[:, :4] = 255
    assert copy_distances(target, [target[:, ::-1], 255 - target[::-1], target * 0]) == (
        pytest.approx([0, 0, 0.5**0.5])
    )
