"""The benchmark of sample efficiency: what is counted, the peers, the synthetic world, the bars."""

import itertools
import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rldf_gym
from benchmarks import results
from benchmarks.sample_efficiency import searchers
from benchmarks.sample_efficiency.costs import Measured
from benchmarks.sample_efficiency.report import report
from benchmarks.sample_efficiency.search import LOOKS_PER_GENERATION, Ledger, Watched, follow_in
from benchmarks.sample_efficiency.verdicts import verdicts
from benchmarks.sample_efficiency.worlds import WORLDS, informed_walk, straight_walk
from benchmarks.synthetic_world import TabularGenerator, synthetic_arguments, synthetic_grammar
from rldf_agents import train
from rldf_agents.inversion.black_box import (
    coordinate_search,
    genetic_search,
    hill_climbing,
    random_search,
    tree_parzen_estimator,
    tuned_tree_parzen_estimator,
)
from rldf_gym.grammar import load_grammar
from tests.painted_world import painted_arguments
from tools.embedded_world.corpus import GRAMMARS, LABELS, Corpus
from tools.embedded_world.targets import choose_targets

gym.register_envs(rldf_gym)

SIZES = (3, 5, 4)
GOAL = (1, 5, 1, 3)
TPE = (tree_parzen_estimator, tuned_tree_parzen_estimator)


@pytest.fixture
def env():
    env = gym.make("RLDF-v0", **painted_arguments())
    yield env
    env.close()


def asked_until(peer, goal, sizes=SIZES, seed=0, most=2_000):
    """States that a peer asks for, up to the goal, where every right label adds one."""
    proposals = peer(sizes, seed)
    asked = [next(proposals)]
    while asked[-1] != goal and len(asked) < most:
        right = sum(a == b for a, b in zip(asked[-1], goal, strict=True))
        asked.append(proposals.send(float(right)))
    return asked


states = st.tuples(*(st.integers(0, size - 1) for size in SIZES))


@given(goal=states, seed=st.integers(0, 99))
def test_random_search_never_pays_twice_and_leaves_nothing_out(goal, seed):
    everything = list(random_search(SIZES, seed))
    assert sorted(everything) == sorted(itertools.product(*map(range, SIZES)))
    assert asked_until(random_search, goal, seed=seed)[-1] == goal


@given(goal=states, seed=st.integers(0, 99))
def test_hill_climbing_finds_the_optimum_of_an_additive_landscape(goal, seed):
    assert asked_until(hill_climbing, goal, seed=seed)[-1] == goal


def test_hill_climbing_looks_at_all_neighbours_before_it_moves():
    asked = asked_until(hill_climbing, (2, 4, 3), seed=1)
    start, n_neighbours = (
        asked[0],
        sum(x > 0 for x in asked[0])
        + sum(x < size - 1 for x, size in zip(asked[0], SIZES, strict=True)),
    )
    neighbours = asked[1 : 1 + n_neighbours]
    assert len(set(neighbours)) == n_neighbours
    assert all(np.abs(np.subtract(start, other)).sum() == 1 for other in neighbours)


@given(goal=states, seed=st.integers(0, 99))
def test_coordinate_search_needs_no_more_than_every_value_of_every_axis(goal, seed):
    asked = asked_until(coordinate_search, goal, seed=seed)
    assert asked[-1] == goal
    assert len(set(asked)) <= sum(SIZES)


@settings(deadline=None, max_examples=5)
@given(goal=states)
def test_optuna_finds_the_optimum_and_beats_looking_everywhere(goal):
    for peer in (*TPE, genetic_search):
        asked = asked_until(peer, goal)
        assert asked[-1] == goal
        assert len(set(asked)) < np.prod(SIZES)


def test_a_state_that_a_peer_asks_for_again_is_free(env):
    ledger = Ledger(budget=100)
    others = [(0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), GOAL, (0, 2, 0, 0)]
    follow_in((state for state in others), env, ledger)
    assert ledger.reached
    assert (len(ledger.states), ledger.looks) == (3, 5)


def test_what_tpe_pays_is_the_number_of_distinct_states_it_asked_for(env):
    asked = []

    def listened():
        proposals = tree_parzen_estimator(env.observation_space.nvec.tolist(), 0)
        value = None
        while True:
            asked.append(next(proposals) if value is None else proposals.send(value))
            value = yield asked[-1]

    ledger = Ledger(budget=480)
    follow_in(listened(), env, ledger)
    assert asked[-1] == GOAL
    assert len(ledger.states) == len(set(asked)) < len(asked) == ledger.looks


def test_peers_receive_the_reward_of_the_environment(env):
    received = []

    def one_look():
        received.append((yield (1, 5, 1, 0)))
        yield (0, 0, 0, 0)

    follow_in(one_look(), env, Ledger(budget=10))
    env.reset(options={"state": (1, 5, 1, 1)})
    _, reward, *_ = env.step([3, 0])
    assert received == [reward]


def test_starting_states_count_and_nothing_counts_after_the_goal(env):
    ledger = Ledger(budget=100)
    watched = Watched(env, ledger)
    watched.reset(options={"state": (1, 5, 1, 1)})
    watched.reset(options={"state": (1, 5, 1, 2)})
    assert len(ledger.states) == 2
    watched.step([3, 1])
    watched.reset(options={"state": (0, 0, 0, 0)})
    assert ledger.reached
    assert len(ledger.states) == 3


def test_learners_receive_no_info(env):
    watched = Watched(env, Ledger(budget=10))
    assert watched.reset(seed=0)[1] == {}
    assert watched.step([0, 0])[4] == {}


def test_a_goal_found_beyond_the_budget_does_not_count():
    ledger = Ledger(budget=2)
    for state in ([0], [1], [2]):
        ledger.look(state, at_goal=state == [2])
    assert ledger.over
    assert not ledger.reached


def test_a_search_that_keeps_looking_at_the_same_state_ends():
    ledger = Ledger(budget=2)
    for _ in range(LOOKS_PER_GENERATION * 2):
        assert not ledger.over
        ledger.look([0], at_goal=False)
    assert ledger.over


@pytest.mark.parametrize("name", searchers.SEARCHERS)
def test_every_searcher_does_the_same_again_with_the_same_seed(name):
    def searched():
        env = gym.make("RLDF-v0", **painted_arguments())
        ledger = Ledger(budget=25)
        searchers.search(name, env, ledger, seed=3)
        env.close()
        return ledger

    first, second = searched(), searched()
    assert first.over
    assert (first.states, first.looks, first.reached) == (
        second.states,
        second.looks,
        second.reached,
    )


def test_a_straight_walk_is_as_long_as_the_mean_over_all_pairs_of_states():
    states = np.array(list(load_grammar("actions").states()))
    apart = np.abs(states[:, np.newaxis] - states).sum(axis=2)
    pairs = len(states) * (len(states) - 1)
    assert straight_walk("actions") == pytest.approx(1 + apart.sum() / pairs)


def test_an_informed_walk_is_as_long_as_the_mean_over_all_pairs_of_states():
    states = load_grammar("actions").states()
    start, goal = states[:, None], states[None]
    tops = states.max(axis=0)
    # Up to the end of an axis, and then down from where it started.
    tried = np.where(goal >= start, goal - start, tops - goal)
    pairs = len(states) * (len(states) - 1)
    assert informed_walk("actions") == pytest.approx(1 + tried.sum() / pairs)


class TestSyntheticWorld:
    def test_has_a_million_states(self):
        grammar = synthetic_grammar()
        assert grammar.n_states >= 10**6
        assert "scene" in grammar.axis_names

    def test_the_environment_reads_what_the_generator_shows(self):
        arguments = synthetic_arguments([3, 1, 4, 1, 5, 9], seed=2, misread=0.5)
        env = gym.make("RLDF-v0", **arguments)
        assert env.get_wrapper_attr("goal").state.tolist() == [3, 1, 4, 1, 5, 9]
        for state in np.random.default_rng(0).integers(10, size=(30, 6)):
            _, info = env.reset(options={"state": state})
            shown = arguments["generator"].shown(state)
            assert info["values"].tolist() == shown.tolist()

    def test_its_seed_decides_what_is_misread(self):
        grammar = synthetic_grammar()
        sample = np.random.default_rng(0).integers(10, size=(200, 6))
        generators = [TabularGenerator(grammar, seed, 0.3) for seed in (0, 0, 1)]
        first, again, other = (
            [generator.shown(state).tolist() for state in sample] for generator in generators
        )
        assert first == again
        assert first != other

    @pytest.mark.parametrize("rate", [0.0, 0.02, 0.3, 1.0])
    def test_misreads_at_about_its_rate_on_every_axis(self, rate):
        generator = TabularGenerator(synthetic_grammar(), misread=rate)
        sample = np.random.default_rng(0).integers(10, size=(4_000, 6))
        shown = np.array([generator.shown(state) for state in sample])
        assert ((shown >= 0) & (shown < 10)).all()
        spread = 4 * np.sqrt(rate * (1 - rate) / len(sample))
        assert np.allclose((shown != sample).mean(axis=0), rate, atol=spread)

    def test_other_settings_are_another_generator(self):
        grammar = synthetic_grammar()
        made = [TabularGenerator(grammar, *parts) for parts in ((0, 0.1), (1, 0.1), (0, 0.2))]
        assert len({generator.fingerprint for generator in made}) == 3


def rows(world, **generations):
    """Two targets, two seeds: costs by searcher, None for a search cut off."""
    return [
        {"world": world, "searcher": name, "target": str(i // 2), "seed": i % 2, "generations": n}
        for name, costs in generations.items()
        for i, n in enumerate(costs)
    ]


def test_bars_are_judged_by_the_rows():
    met = Measured(
        rows("base", q_learning=[10, 20, 30, 40], random_search=[100] * 4), {"base": 480}
    )
    assert [line.rpartition(": ")[2] for line in verdicts(met)] == ["met", "met", "met"]
    missed = Measured(
        rows("base", q_learning=[40, 60, 80, None], random_search=[100] * 4), {"base": 480}
    )
    message = [re.search(r"missed by ([\d.]+)", line) for line in verdicts(missed)]
    assert [float(found.group(1)) for found in message] == [20.0, 40.0, 0.57]


def test_a_bar_beyond_the_budget_is_not_judged():
    costs = {"q_learning": [20, None] * 2, "random_search": [50] * 4}
    first, _ = verdicts(Measured(rows("extended", **costs), {"extended": 100}))
    assert first.endswith("not judged within 200, which is beyond the budget")


def test_the_best_peer_is_judged_and_coordinate_search_is_not_one():
    costs = {"q_learning": [20] * 4, "hill_climbing": [50] * 4, "coordinate_search": [10] * 4}
    measured = Measured(rows("base", **costs), {"base": 480})
    assert verdicts(measured)[-1].endswith("hill climbing 2.5 [2.5, 2.5]; bar 2 for each: met")


def test_the_report_is_made_from_the_rows_alone():
    kept = rows("base", q_learning=[10, 20, 30, None], random_search=[100, 200, 300, 400])
    made = report(results.Results("sample_efficiency", False, {}, {"budgets": {"base": 480}}, kept))
    assert "| **q learning** | 2 x 2 | 0.750 | 0.75 | 0.75 | 0.75 |" in made.markdown
    assert made.tables[""].splitlines()[1].startswith("base,q_learning,learner,2,2,0.7500")


def test_two_workers_measure_the_rows_of_one(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    cases = [{"n": n} for n in range(5)]
    alone, together = (
        results.measure("copies", {}, cases, dict, quick=False, workers=workers).rows
        for workers in (1, 2)
    )
    assert alone == together == cases


def test_there_are_as_many_target_pictures_as_the_benchmark_promises():
    from PIL import Image

    files = {name: list(WORLDS[name].targets.values()) for name in ("base", "extended")}
    assert {name: len(found) for name, found in files.items()} == {"base": 100, "extended": 30}
    every = [file for found in files.values() for file in found]
    assert all(Image.open(file).size == (128, 128) for file in every)
    assert sum(Path(file).stat().st_size for file in every) < 3_000_000


def test_targets_are_chosen_once_a_state_and_spread_over_the_values_of_every_axis():
    random = np.random.default_rng(0)
    labels = np.zeros((600, len(LABELS)), np.int16)
    columns = (random.integers(size, size=600) for size in (10, 2, 3, 8))
    labels[:, 0], labels[:, 1], labels[:, 2], labels[:, 4] = columns
    labels[:, 1] += 1
    labels[:, 3] = -1
    empty = np.empty((600, 0), np.uint8)
    grammars = np.full(600, GRAMMARS.index("base"), np.uint8)
    corpus = Corpus(empty, labels, empty, grammars)
    chosen = choose_targets(corpus, "base", kept=[0, 1], total=42)
    described = labels[[0, 1, *chosen]][:, [0, 1, 2, 4]]
    assert len(np.unique(described, axis=0)) == 42
    for column in described.T:
        counts = np.unique(column, return_counts=True)[1]
        assert counts.max() - counts.min() <= 3


class Wanderer:
    """A learner from outside: it takes random actions."""

    learn = train

    def __init__(self, observation_space, action_space):
        self._actions = action_space

    def select_action(self, observation, sub_env=0):
        return self._actions.sample()

    def update(self, transition, sub_env=0):
        """Learn nothing."""


def test_a_learner_from_outside_searches_and_is_counted_after_the_others(env):
    name = f"{__name__}:Wanderer"
    ledger = Ledger(budget=480)
    searchers.search(name, env, ledger, seed=0)
    assert 1 < len(ledger.states) <= 481
    row = {"world": "base", "target": "00", "generations": 7}
    rows = [{**row, "searcher": searcher} for searcher in (name, "q_learning")]
    assert Measured(rows, {"base": 480}).searchers("base") == ["q_learning", name]
    assert searchers.find_searcher(name).title == "Wanderer"
