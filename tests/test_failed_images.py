"""Pictures that a generator refuses to draw: the search meets them like any other state."""

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import pytest
from painted_world import (
    PaintedGenerator,
    load_grammar,
    paint,
    painted_arguments,
    painted_perception,
)

from rldf_gym.evaluator import StateEvaluator
from rldf_gym.failed_images import FailedImageWarning
from rldf_gym.generation import PLACEHOLDER_GREY, FailedImagesError
from rldf_gym.store import Store, maintenance

BASE = load_grammar("base")
REFUSED = BASE.decode([0, 8, 2, 4])
REASON = "the safety filter refused it: ä"
AMONG_OTHERS = [[0, 8, 2, 3], [0, 8, 2, 4], [1, 8, 2, 4]]


@dataclass
class SqueamishGenerator(PaintedGenerator):
    """Refuses one prompt, wherever in a batch it stands."""

    def __call__(self, prompts, seeds):
        pictures = super().__call__(prompts, seeds)
        reasons = {place: REASON for place, prompt in enumerate(prompts) if prompt == REFUSED}
        if reasons:
            raise FailedImagesError(self.name, prompts, reasons, pictures)
        return pictures


def squeamish_world(store=None, **options):
    generator = SqueamishGenerator(BASE)
    return StateEvaluator(
        BASE, generator, painted_perception(BASE), store or Store.open(None), **options
    )


def test_the_error_carries_the_pictures_that_were_drawn_and_a_placeholder():
    prompts = [BASE.decode(state) for state in AMONG_OTHERS]
    with pytest.raises(FailedImagesError, match=REASON) as refusal:
        SqueamishGenerator(BASE)(prompts, [0, 0, 0])
    assert refusal.value.reasons == {1: REASON}
    np.testing.assert_array_equal(refusal.value.pictures[0], paint(BASE, AMONG_OTHERS[0]))
    assert (refusal.value.pictures[1] == PLACEHOLDER_GREY).all()


def test_nothing_is_read_in_a_rejected_picture_and_the_others_of_its_batch_are_read():
    world = squeamish_world()
    with pytest.warns(FailedImageWarning, match=REASON):
        readings = world.readings(AMONG_OTHERS)
    assert [reading.values.tolist() for reading in readings] == [
        AMONG_OTHERS[0],
        [-1, -1, -1, -1],
        AMONG_OTHERS[2],
    ]
    assert not readings[1].confidence.any()
    assert not readings[1].embedding.any()
    assert readings[1].embedding.shape == readings[0].embedding.shape


def test_it_is_asked_for_once_ever_also_by_another_run(tmp_path):
    first = squeamish_world(Store.open(tmp_path / "store.sqlite"))
    with pytest.warns(FailedImageWarning):
        first.readings(AMONG_OTHERS)
    first.store.close()
    second = squeamish_world(Store.open(tmp_path / "store.sqlite"))
    assert (second.readings(AMONG_OTHERS)[1].values == -1).all()
    assert second.generator.calls == []


def test_the_world_shows_a_grey_picture_and_says_why():
    world = squeamish_world()
    with pytest.warns(FailedImageWarning):
        assert world.unavailable(AMONG_OTHERS[1]) == REASON
    assert (world.picture(AMONG_OTHERS[1]) == PLACEHOLDER_GREY).all()
    assert world.picture(AMONG_OTHERS[1]).shape == world.picture(AMONG_OTHERS[0]).shape
    assert world.unavailable(AMONG_OTHERS[0]) is None


def test_a_rejected_neighbour_does_not_stop_prefetching():
    world = squeamish_world(prefetch="neighbours")
    with pytest.warns(FailedImageWarning):
        world.readings(AMONG_OTHERS[:1])
    assert world.counts.prefetched > 0
    drawn = world.generations
    assert (world.readings(AMONG_OTHERS[1])[0].values == -1).all()
    assert world.generations == drawn


def test_its_grey_picture_is_not_exported(tmp_path):
    world = squeamish_world(Store.open(tmp_path / "store.sqlite"))
    with pytest.warns(FailedImageWarning):
        world.readings(AMONG_OTHERS)
    world.store.close()
    assert maintenance.export(tmp_path / "store.sqlite", tmp_path / "pictures") == 2
    assert maintenance.verify(tmp_path / "store.sqlite") == []


def test_pruning_the_generator_forgets_the_rejection(tmp_path):
    path = tmp_path / "store.sqlite"
    world = squeamish_world(Store.open(path))
    with pytest.warns(FailedImageWarning):
        world.readings(AMONG_OTHERS)
    world.store.close()
    maintenance.prune(path, generator=world.generator.fingerprint)
    with pytest.warns(FailedImageWarning):
        squeamish_world(Store.open(path)).readings(AMONG_OTHERS)


def test_a_generator_that_rejected_everything_can_be_pruned(tmp_path):
    path = tmp_path / "store.sqlite"
    world = squeamish_world(Store.open(path))
    with pytest.warns(FailedImageWarning):
        world.readings(AMONG_OTHERS[1:2])
    world.store.close()
    assert maintenance.prune(path, generator=world.generator.fingerprint) == 1


@pytest.mark.parametrize(
    ("reward", "lowest"), [("multi_semantic", -1), ("partial_semantic", -1), ("clip", -1)]
)
def test_it_gets_the_lowest_reward_of_every_kind_and_the_episode_goes_on(reward, lowest):
    arguments = painted_arguments("base") | {"generator": SqueamishGenerator(BASE)}
    env = gym.make("RLDF-v0", reward=reward, **arguments)
    with pytest.warns(FailedImageWarning):
        env.reset(seed=0, options={"state": AMONG_OTHERS[1]})
    _, beside, *_ = env.step([3, 0])
    _, there, terminated, truncated, _ = env.step([3, 1])
    assert there == lowest < beside
    assert not terminated
    assert not truncated


def test_a_vector_environment_pays_the_same():
    arguments = painted_arguments("base") | {"generator": SqueamishGenerator(BASE)}
    envs = gym.make_vec("RLDF-v0", num_envs=2, reward="clip", **arguments)
    envs.reset(seed=0, options={"state": [AMONG_OTHERS[0], AMONG_OTHERS[2]]})
    with pytest.warns(FailedImageWarning):
        _, rewards, *_ = envs.step(np.array([[3, 1], [0, 0]]))
    np.testing.assert_array_equal(rewards, [-1.0, -1.0])
