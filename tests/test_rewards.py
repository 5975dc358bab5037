import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_world import PaintedGenerator, paint, painted_arguments, painted_perception

import rldf_gym
from rldf_gym.grammar import compile_grammar, load_grammar
from rldf_gym.rewards import (
    REWARDS,
    ClipReward,
    MultiSemanticReward,
    PartialSemanticReward,
    RewardError,
    UnrecognisedPenalty,
    clip,
    coarse_gain,
    fine_gain,
    multi_semantic,
    nothing_recognised,
    partial_semantic,
)

BASE = load_grammar("base")  # frequency, noun, density, scene
GOAL = [1, 5, 1, 3]
STATES = st.integers(0, BASE.n_states - 1).map(BASE.state)


@pytest.mark.parametrize(
    ("values", "fine", "coarse"),
    [
        ([1, 5, 1, 3], 3, 1),
        ([0, 5, 1, 3], 2, 1),
        ([1, 6, 1, 3], 1, 1),
        ([1, 5, 0, 3], 2, 1),
        ([1, 5, 1, 2], 3, 0),
        ([1, 6, 0, 0], 0, 0),
        ([-1, -1, 1, 3], 1, 1),
        ([-1, -1, -1, -1], 0, 0),
    ],
    ids=[
        "all right",
        "another count",
        "the right count of the wrong noun",
        "other people",
        "another scene",
        "only a count, of the wrong noun",
        "no object seen",
        "nothing seen",
    ],
)
def test_gains_count_the_axes_read_as_in_the_goal(values, fine, coarse):
    assert fine_gain(values, GOAL, BASE) == fine
    assert coarse_gain(values, GOAL, BASE) == coarse


@given(st.lists(STATES, min_size=1), STATES)
def test_gains_of_a_batch_are_those_of_its_parts(batch, goal):
    for gain in (fine_gain, coarse_gain):
        assert gain(batch, goal, BASE).tolist() == [int(gain(v, goal, BASE)) for v in batch]


@given(STATES, STATES)
def test_gains_leave_their_arguments_alone(values, goal):
    before = values.copy()
    fine_gain(values, goal, BASE)
    assert np.array_equal(values, before)


def test_a_grammar_without_objects_has_its_own_fine_axes():
    actions = load_grammar("actions")  # density, action, scene
    assert fine_gain([1, 2, 0], [1, 2, 5], actions) == 2
    assert coarse_gain([1, 2, 0], [1, 2, 5], actions) == 0


@pytest.mark.parametrize(
    ("fine", "coarse", "reward"), [(3, 1, 4.0), (0, 0, -1.0), (2, 0, 1.0), (0, 1, 1.0)]
)
def test_multi_semantic_is_equation_2(fine, coarse, reward):
    assert multi_semantic(fine, coarse) == reward


def test_multi_semantic_takes_the_papers_constants():
    assert multi_semantic(3, 1, c=2.0, c_s=10.0) == 16.0
    assert multi_semantic(3, 0, c=2.0, c_s=10.0) == -4.0


@pytest.mark.parametrize(("coarse", "reward"), [(1, 0.5), (0, -0.5)])
def test_partial_semantic_is_equation_5(coarse, reward):
    assert partial_semantic(coarse, c_s=0.5) == reward


def test_rewards_take_arrays():
    assert multi_semantic(np.array([3, 0]), np.array([1, 0])).tolist() == [4.0, -1.0]
    assert clip(np.eye(2, dtype=np.float32), np.array([1, 0], np.float32)).tolist() == [1, 0]


def test_distance_to_the_goal_is_no_part_of_a_reward():
    near, far = [1, 4, 1, 3], [1, 0, 1, 3]
    assert fine_gain(near, GOAL, BASE) == fine_gain(far, GOAL, BASE)


def test_nothing_is_recognised_where_all_is_unread_or_unsure():
    unread, unsure, sure = [-1, -1], [3, -1], [3, 2]
    values = np.array([unread, unsure, sure])
    confidence = np.array([[0, 0], [0.4, 0], [0.4, 0.6]], np.float32)
    assert nothing_recognised(values, confidence).tolist() == [True, True, False]


def test_multi_semantic_pays_for_what_is_read_in_the_picture():
    env = gym.make("RLDF-v0", reward="multi_semantic", **painted_arguments(target=GOAL))
    env.reset(seed=0, options={"state": [0, 5, 1, 3]})
    assert env.step([0, 1])[1] == 4.0
    assert env.step([3, 1])[1] == 2.0


def test_partial_semantic_pays_for_the_scene_alone():
    env = gym.make("RLDF-v0", reward="partial_semantic", **painted_arguments(target=GOAL))
    env.reset(seed=0, options={"state": [0, 0, 0, 2]})
    assert env.step([3, 1])[1] == 1.0
    assert env.step([1, 1])[1] == 1.0
    assert env.step([3, 1])[1] == -1.0


def test_clip_pays_the_likeness_of_the_pictures():
    env = gym.make("RLDF-v0", reward="clip", **painted_arguments(target=GOAL))
    env.reset(seed=0, options={"state": [0, 5, 1, 3]})
    assert env.step([0, 1])[1] == pytest.approx(1.0)
    assert env.step([3, 1])[1] == pytest.approx(0.75)


def test_clip_compares_with_the_new_target_after_a_reset():
    env = gym.make("RLDF-v0", reward="clip", stop_at=None, **painted_arguments(target=GOAL))
    env.reset(seed=0, options={"state": GOAL, "target": paint(BASE, [0, 0, 0, 0])})
    assert env.step([0, 1])[1] == pytest.approx(0.0)


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_is_a_float(name):
    env = gym.make("RLDF-v0", reward=name, **painted_arguments())
    env.reset(seed=0)
    assert type(env.step(env.action_space.sample())[1]) is float


@pytest.mark.parametrize("name", REWARDS)
def test_a_spec_makes_the_same_stack_again(name):
    env = gym.make("RLDF-v0", reward=name, **painted_arguments())
    again = gym.make(env.spec)
    assert str(again) == str(env)
    assert again.unwrapped.goal.prompt == env.unwrapped.goal.prompt


def test_a_spec_can_be_made_with_another_reward():
    env = gym.make("RLDF-v0", reward="multi_semantic", **painted_arguments())
    assert "ClipReward" in str(env.spec.make(reward="clip"))


def test_a_reward_of_ones_own_constants_is_part_of_the_spec():
    env = MultiSemanticReward(gym.make("RLDF-v0", reward=None, **painted_arguments()), c=2.0)
    again = gym.make(env.spec)
    again.reset(seed=0, options={"state": [0, 5, 1, 3]})
    assert again.step([0, 1])[1] == 7.0


def test_an_unknown_reward_is_refused_with_the_known_ones():
    with pytest.raises(
        RewardError, match=r"'cosine'; known: multi_semantic, partial_semantic, clip"
    ):
        gym.make("RLDF-v0", reward="cosine")


def test_partial_semantic_is_refused_where_there_is_no_scene():
    grammar = compile_grammar(
        'start: "a photo of " frequency " " noun " and " density " people"\n'
        'frequency: "one" | "many"\nnoun: "dog" | "car"\ndensity: "no" | "many"\n',
        "sceneless",
    )

    env = gym.make("CartPole-v1")
    env.unwrapped.grammar = grammar
    with pytest.raises(RewardError, match="'sceneless' has none"):
        PartialSemanticReward(env)


def blank_world(**arguments):
    """A world where "one dog and no people in park" comes out blank."""
    env_arguments = painted_arguments(target=[0, 5, 1, 0])
    blank = {"a photo of one dog and no people in park": [-1, -1, -1, -1]}
    env_arguments["generator"] = PaintedGenerator(BASE, blank)
    perception = painted_perception(BASE)
    # A blank picture has no people in it for certain: leave that to CLIP, which is unsure.
    env_arguments["perception"] = type(perception)(perception.clip)
    return gym.make("RLDF-v0", reward="multi_semantic", **env_arguments, **arguments)


def test_a_picture_in_which_nothing_is_recognised_can_cost_and_end_the_episode():
    env = UnrecognisedPenalty(blank_world(), penalty=5.0, terminal=True)
    bare = blank_world()
    for each in (env, bare):
        each.reset(seed=0, options={"state": [0, 4, 0, 0]})
    _, reward, terminated, _, _ = env.step([1, 1])
    _, bare_reward, bare_terminated, _, _ = bare.step([1, 1])
    assert reward == bare_reward - 5.0
    assert terminated
    assert not bare_terminated


def test_a_picture_in_which_something_is_recognised_costs_nothing():
    env = UnrecognisedPenalty(blank_world(), penalty=5.0, terminal=True)
    env.reset(seed=0, options={"state": [0, 3, 0, 0]})
    _, reward, terminated, _, _ = env.step([1, 1])
    assert reward > -5.0
    assert not terminated


def test_the_wrappers_are_known_by_name():
    assert rldf_gym.__version__
    assert dict(REWARDS) == {
        "multi_semantic": MultiSemanticReward,
        "partial_semantic": PartialSemanticReward,
        "clip": ClipReward,
    }
