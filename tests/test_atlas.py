import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_world import load_grammar, paint, painted_world

from rldf_gym import atlas as atlas_module
from rldf_gym.atlas import Atlas, AtlasError, default_path
from rldf_gym.goal import infer_goal
from rldf_gym.perception import Reading
from rldf_gym.rewards import REWARDS, RewardError
from rldf_gym.store import Store

GOAL = [1, 5, 1, 3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Atlas:
    """The atlas of the painted world: every state is read as it is."""
    return Atlas.build(painted_world(), tmp_path_factory.mktemp("atlas") / "whole.safetensors")


def goal_of(state) -> object:
    world = painted_world()
    return infer_goal(world, paint(world.grammar, state))


def embeddings(atlas) -> np.ndarray:
    return np.concatenate([readings.embedding for readings in atlas.readings(100)])


def test_an_atlas_holds_every_state_and_what_is_read_in_it(whole):
    grammar = load_grammar("base")
    assert len(whole) == grammar.n_states
    assert np.array_equal(whole.values, grammar.states())


def test_an_atlas_is_the_same_when_it_is_opened_again(whole):
    again = Atlas(whole.path)
    assert np.array_equal(again.values, whole.values)
    assert np.array_equal(again.confidence, whole.confidence)
    assert np.array_equal(embeddings(again), embeddings(whole))
    assert again.identity == whole.identity
    assert again.grammar.source == whole.grammar.source


@settings(max_examples=25)
@given(st.integers(0, 479))
def test_the_best_state_for_the_picture_of_a_state_is_that_state(whole, index):
    state = whole.grammar.state(index)
    for reward in ("multi_semantic", "clip"):
        [best] = whole.search(goal_of(state), reward, k=1)
        assert best.state.tolist() == state.tolist()
        assert best.prompt == whole.grammar.decode(state)


def rewards_of(whole: Atlas, goal, reward: str) -> np.ndarray:
    """The reward of every state as the environment's own functions give it, one by one."""
    return np.concatenate([REWARDS[reward](one, goal) for one in whole.readings(1)])


@pytest.mark.parametrize("reward", ["multi_semantic", "partial_semantic", "clip"])
def test_no_state_has_more_reward_than_those_found(whole, reward):
    goal = goal_of(GOAL)
    found = whole.search(goal, reward, k=20)
    rewards = np.sort(rewards_of(whole, goal, reward))[::-1]
    assert [match.score for match in found] == pytest.approx(rewards[:20].tolist())


def test_where_rewards_are_equal_the_more_similar_picture_comes_first(whole):
    found = whole.search(goal_of(GOAL), "partial_semantic", k=60)
    assert {match.score for match in found} == {1.0}
    similarities = [match.similarity for match in found]
    assert similarities == sorted(similarities, reverse=True)
    assert found[0].state.tolist() == GOAL


def test_a_search_in_parts_finds_the_same(whole, monkeypatch):
    goal = goal_of(GOAL)
    at_once = [match.prompt for match in whole.search(goal, "clip", k=50)]
    monkeypatch.setattr(atlas_module, "_ROWS_AT_ONCE", 7)
    assert [match.prompt for match in whole.search(goal, "clip", k=50)] == at_once


def test_more_matches_than_states_are_all_states(whole):
    assert len(whole.search(goal_of(GOAL), k=10_000)) == len(whole)


def test_an_unknown_reward_is_rejected(whole):
    with pytest.raises(RewardError, match=r"fame.*multi_semantic"):
        whole.search(goal_of(GOAL), "fame")


def test_a_search_takes_any_reward_function(whole):
    def least_dogs(readings, goal):
        return np.where(readings.values[:, 1] == 5, -1.0, readings.values[:, 3])

    found = whole.search(goal_of(GOAL), least_dogs, k=60)
    assert {match.score for match in found} == {7.0, 6.0}
    assert all(match.state[1] != 5 for match in found)


def test_a_build_draws_only_what_the_store_has_not(tmp_path):
    store = Store.open(None)
    earlier = painted_world(store=store)
    earlier.readings(earlier.grammar.states()[:100])
    world = painted_world(store=store)
    Atlas.build(world, tmp_path / "atlas.safetensors")
    assert world.generations == 380


def test_a_search_needs_no_generator_and_draws_nothing(tmp_path):
    path = tmp_path / "atlas.safetensors"
    Atlas.build(painted_world(), path)
    world = painted_world()
    world.generator = None
    assert Atlas(path).search(infer_goal(world, paint(world.grammar, GOAL)), k=1)


def test_progress_is_reported_state_by_state(tmp_path):
    seen = []
    world = painted_world()
    Atlas.build(world, tmp_path / "a", sample=50, progress=lambda *counts: seen.append(counts))
    assert seen == [(done, 50) for done in range(1, 51)]


def test_a_build_holds_no_more_than_a_batch_of_embeddings_in_memory(tmp_path, monkeypatch):
    world, n_floats = painted_world(), 4096
    nothing = np.zeros(world.grammar.n_axes, np.int64)

    def evaluate(indices):
        for index in indices:
            embedding = np.full(n_floats, index, np.float32)
            yield [Reading(nothing, nothing.astype(np.float32), embedding)]

    monkeypatch.setattr(world, "evaluate", evaluate)
    tracemalloc.start()
    try:
        atlas = Atlas.build(world, tmp_path / "atlas.safetensors")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(atlas) * n_floats * 4 / 2
    assert embeddings(atlas)[479].tolist() == [479] * n_floats


class TestSample:
    def test_has_as_many_different_states_in_order(self, tmp_path):
        atlas = Atlas.build(painted_world(), tmp_path / "a", sample=37)
        assert len(set(atlas.indices.tolist())) == 37
        assert (np.diff(atlas.indices) > 0).all()

    def test_is_the_same_for_the_same_seed_and_another_for_another(self, tmp_path):
        paths = [tmp_path / name for name in "abc"]
        first, second, third = (
            Atlas.build(painted_world(), path, sample=30, seed=seed).indices.tolist()
            for path, seed in zip(paths, (1, 1, 2), strict=True)
        )
        assert first == second != third

    def test_tells_prompts_of_its_own_states(self, tmp_path):
        atlas = Atlas.build(painted_world(), tmp_path / "a", sample=30)
        for match in atlas.search(goal_of(GOAL)):
            assert atlas.grammar.index(match.state) in atlas.indices
            assert match.reading.values.tolist() == match.state.tolist()

    @pytest.mark.parametrize("sample", [0, -1, 481])
    def test_that_the_world_cannot_give_is_rejected(self, tmp_path, sample):
        with pytest.raises(AtlasError, match="give 1 to 480"):
            Atlas.build(painted_world(), tmp_path / "a", sample=sample)


class TestFile:
    def test_is_beside_the_store_by_default(self, tmp_path):
        world = painted_world(store=Store.open(tmp_path / "store.sqlite"))
        atlas = Atlas.build(world)
        assert atlas.path == default_path(world)
        assert atlas.path.parent == tmp_path / "atlases"

    def test_needs_a_path_where_the_store_is_in_memory(self):
        with pytest.raises(AtlasError, match="give a path"):
            Atlas.build(painted_world())

    def test_of_the_same_world_is_opened_and_not_built_again(self, tmp_path):
        path = tmp_path / "atlas.safetensors"
        Atlas.build(painted_world(), path)
        again = painted_world()
        assert len(Atlas.build(again, path)) == 480
        assert again.generations == 0

    def test_of_another_world_is_left_alone(self, tmp_path):
        path = tmp_path / "atlas.safetensors"
        Atlas.build(painted_world(), path, sample=10)
        before = path.read_bytes()
        with pytest.raises(AtlasError, match="another grammar or model"):
            Atlas.build(painted_world(), path)
        assert path.read_bytes() == before

    def test_is_written_whole_or_not_at_all(self, tmp_path):
        world = painted_world()

        def stop(done, _):
            if done == 40:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Atlas.build(world, tmp_path / "atlas.safetensors", progress=stop)
        assert list(tmp_path.iterdir()) == []

    def test_that_is_missing_is_reported_with_the_command_that_makes_it(self, tmp_path):
        with pytest.raises(AtlasError, match=r"no atlas .*rldf atlas build"):
            Atlas(tmp_path / "none.safetensors")

    @pytest.mark.parametrize("content", [b"", b"shopping list", bytes(1000)])
    def test_that_is_no_atlas_is_rejected(self, tmp_path, content):
        path = tmp_path / "atlas.safetensors"
        path.write_bytes(content)
        with pytest.raises(AtlasError, match="is no atlas, or is damaged"):
            Atlas(path)

    def test_that_was_cut_short_is_rejected(self, tmp_path, whole):
        path: Path = tmp_path / "atlas.safetensors"
        content = whole.path.read_bytes()
        path.write_bytes(content[: len(content) - 100])
        with pytest.raises(AtlasError, match="damaged"):
            Atlas(path)


def test_what_decides_an_atlas_decides_its_place(tmp_path):
    store = Store.open(tmp_path / os.urandom(4).hex())
    world, other = painted_world(store=store), painted_world(store=store)
    other.generator.fingerprint = "painted-2"
    paths = {
        default_path(world),
        default_path(other),
        default_path(world, sample=10),
        default_path(world, sample=10, seed=1),
    }
    assert len(paths) == 4
    assert default_path(world, seed=1) == default_path(world)
