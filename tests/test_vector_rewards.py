"""Rewards of the vector environment against those of single environments."""

import functools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from painted_world import (
    PaintedGenerator,
    load_grammar,
    paint,
    painted_arguments,
    painted_perception,
)

from rldf_gym.goal import Goal
from rldf_gym.perception import Readings
from rldf_gym.rewards import REWARDS, UnrecognisedPenalty, multi_semantic
from rldf_gym.wrappers import ReadingReward, VectorReadingReward

BASE = load_grammar("base")  # frequency, noun, density, scene
GOAL = [1, 5, 1, 3]
STARTS = [[0, 5, 1, 3], [0, 0, 0, 2]]
SCENE_UP, FREQUENCY_UP = [3, 1], [0, 1]


def make(num_envs: int = 2, **arguments) -> gym.vector.VectorEnv:
    return gym.make_vec("RLDF-v0", num_envs, **{**painted_arguments(target=GOAL), **arguments})


def test_multi_semantic_pays_for_what_is_read_in_every_picture():
    envs = make(reward="multi_semantic", stop_at=None)
    envs.reset(seed=0, options={"state": STARTS})
    assert envs.step([FREQUENCY_UP, SCENE_UP])[1].tolist() == [4.0, 1.0]


def test_partial_semantic_pays_for_the_scene_alone():
    envs = make(reward="partial_semantic", stop_at=None)
    envs.reset(seed=0, options={"state": STARTS})
    assert envs.step([SCENE_UP, SCENE_UP])[1].tolist() == [-1.0, 1.0]


def test_clip_pays_the_likeness_of_every_picture():
    envs = make(reward="clip", stop_at=None)
    envs.reset(seed=0, options={"state": STARTS})
    assert envs.step([FREQUENCY_UP, SCENE_UP])[1] == pytest.approx([1.0, 0.25])


def test_clip_compares_with_the_new_target_after_a_reset():
    envs = make(reward="clip", stop_at=None)
    envs.reset(seed=0, options={"state": GOAL, "target": paint(BASE, [0, 0, 0, 0])})
    assert envs.step([FREQUENCY_UP, SCENE_UP])[1] == pytest.approx([0.0, 0.0])


def test_the_papers_constants_can_be_chosen():
    envs = make(reward=functools.partial(multi_semantic, c=2.0, c_s=10.0))
    envs.reset(seed=0, options={"state": STARTS})
    assert envs.step([FREQUENCY_UP, SCENE_UP])[1].tolist() == [16.0, 10.0]


@pytest.mark.parametrize("name", REWARDS)
def test_a_step_that_only_resets_is_worth_nothing(name):
    envs = make(reward=name, max_episode_steps=1)
    envs.reset(seed=0, options={"state": STARTS})
    assert envs.step([FREQUENCY_UP, SCENE_UP])[1].all()
    assert not envs.step([FREQUENCY_UP, SCENE_UP])[1].any()
    assert envs.step([FREQUENCY_UP, SCENE_UP])[1].all()


def test_a_masked_reset_makes_the_next_step_worth_something():
    envs = make(reward="multi_semantic", max_episode_steps=1)
    envs.reset(seed=0, options={"state": STARTS})
    envs.step([FREQUENCY_UP, SCENE_UP])
    envs.reset(options={"reset_mask": np.array([True, False]), "state": STARTS})
    assert envs.step([FREQUENCY_UP, SCENE_UP])[1].tolist() == [4.0, 0.0]


def test_the_last_picture_of_an_episode_is_rewarded_not_the_first_of_the_next():
    envs = make(reward="multi_semantic", autoreset_mode=AutoresetMode.SAME_STEP)
    envs.reset(seed=0, options={"state": STARTS})
    _, rewards, terminations, _, infos = envs.step([FREQUENCY_UP, SCENE_UP])
    assert terminations.tolist() == [True, False]
    assert rewards.tolist() == [4.0, 1.0]
    assert infos["fine"][0] < 3


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_is_a_fresh_float64_array(name):
    envs = make(reward=name)
    envs.reset(seed=0, options={"state": STARTS})
    rewards = envs.step([FREQUENCY_UP, SCENE_UP])[1]
    assert rewards.dtype == np.float64
    before = rewards.copy()
    envs.step([FREQUENCY_UP, SCENE_UP])
    assert np.array_equal(rewards, before)


class Doubled:
    """A reward that nobody registered: twice the gain of axis 0, less the scene's label."""

    def __call__(self, readings: Readings, goal: Goal) -> np.ndarray:
        right = readings.values[:, 0] == goal.state[0]
        return 2.0 * right - readings.values[:, -1]


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("vectorization_mode", ["vector_entry_point", "sync"])
def test_the_vector_wrapper_gives_the_rewards_of_single_wrapped_environments(
    mode, vectorization_mode
):
    arguments = painted_arguments(target=GOAL)

    def make_one():
        return ReadingReward(gym.make("RLDF-v0", max_episode_steps=3, **arguments), Doubled())

    keywords = {"autoreset_mode": mode}
    if vectorization_mode == "sync":
        keywords = {"vector_kwargs": keywords}
    envs = gym.make_vec(
        "RLDF-v0",
        2,
        vectorization_mode=vectorization_mode,
        max_episode_steps=3,
        **keywords,
        **arguments,
    )
    assert_same_steps(
        VectorReadingReward(envs, Doubled()),
        SyncVectorEnv([make_one] * 2, autoreset_mode=mode),
        [[[0, 1], [3, 1]], [[3, 1], [0, 1]], [[1, 1], [3, 0]]] * 3,
    )


def assert_same_steps(envs, twins, steps) -> int:
    """Step both, and reset what ended where they do not; return the number of episodes."""
    for each in (envs, twins):
        each.reset(seed=0, options={"state": [0, 4, 0, 0]})
    n_ended = 0
    for actions in np.array(steps):
        result, expected = envs.step(actions), twins.step(actions)
        for one, other in zip(result[:4], expected[:4], strict=True):
            assert np.array_equal(one, other)
        ended = result[2] | result[3]
        n_ended += int(ended.sum())
        if ended.any() and twins.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
            for each in (envs, twins):
                each.reset(options={"reset_mask": ended})
    return n_ended


def blank_arguments() -> dict:
    """A world where "one dog and no people in park" comes out blank."""
    arguments = painted_arguments(target=[0, 5, 1, 0])
    blank = {"a photo of one dog and no people in park": [-1, -1, -1, -1]}
    arguments["generator"] = PaintedGenerator(BASE, blank)
    perception = painted_perception(BASE)
    # A blank picture has no people in it for certain: leave that to CLIP, which is unsure.
    arguments["perception"] = type(perception)(perception.clip)
    return arguments


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("terminal", [False, True])
def test_unrecognised_pictures_cost_and_end_what_they_do_in_single_environments(terminal, mode):
    arguments = blank_arguments() | {"reward": UnrecognisedPenalty(penalty=5.0)}
    arguments["stop_at"] = ("goal_state", "unrecognised") if terminal else "goal_state"
    envs = gym.make_vec("RLDF-v0", 2, autoreset_mode=mode, **arguments)
    twins = SyncVectorEnv([lambda: gym.make("RLDF-v0", **arguments)] * 2, autoreset_mode=mode)
    steps = [[[1, 1], [1, 0]], [[1, 1], [1, 1]], [[1, 0], [1, 0]], [[1, 1], [1, 1]]]
    assert (assert_same_steps(envs, twins, steps) > 0) == terminal


def test_a_picture_in_which_something_is_recognised_costs_nothing():
    arguments = blank_arguments() | {"stop_at": ("goal_state", "unrecognised")}
    envs = gym.make_vec("RLDF-v0", 2, reward=UnrecognisedPenalty(penalty=5.0), **arguments)
    envs.reset(seed=0, options={"state": [0, 3, 0, 0]})
    _, rewards, terminations, _, _ = envs.step([[1, 1], [1, 0]])
    assert (rewards > -5.0).all()
    assert not terminations.any()
