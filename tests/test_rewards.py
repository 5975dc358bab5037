from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_world import (
    PaintedClip,
    PaintedGenerator,
    paint,
    painted_arguments,
    painted_perception,
    painted_world,
)

from rldf_gym import rewards as rewards_module
from rldf_gym.goal import Goal, infer_goal
from rldf_gym.grammar import compile_grammar, load_grammar
from rldf_gym.perception import Readings
from rldf_gym.rewards import (
    REWARDS,
    RewardError,
    UnrecognisedPenalty,
    clip,
    coarse_gain,
    fine_gain,
    multi_semantic,
    nothing_recognised,
    partial_semantic,
    register_reward,
)
from rldf_gym.wrappers import ReadingReward, VectorReadingReward

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


def goal_of(state, grammar=BASE) -> Goal:
    world = painted_world(grammar)
    return infer_goal(world, paint(world.grammar, state))


def readings_of(*values, grammar=BASE) -> Readings:
    """Readings of images that were read as these values, with full confidence."""
    clip_model = painted_perception(grammar).clip
    embeddings = np.stack([clip_model._embed(each) for each in values])
    return Readings(np.array(values), np.ones(np.shape(values), np.float32), embeddings)


EXAMPLES = readings_of([1, 5, 1, 3], [1, 6, 0, 0], [1, 5, 0, 0], [1, 6, 0, 3])


def test_multi_semantic_is_equation_2():
    assert multi_semantic(EXAMPLES, goal_of(GOAL)).tolist() == [4.0, -1.0, 1.0, 1.0]


def test_multi_semantic_takes_the_papers_constants():
    rewards = multi_semantic(EXAMPLES, goal_of(GOAL), c=2.0, c_s=10.0)
    assert rewards.tolist() == [16.0, -10.0, -6.0, 10.0]


def test_partial_semantic_is_equation_5():
    assert partial_semantic(EXAMPLES, goal_of(GOAL), c_s=0.5).tolist() == [0.5, -0.5, -0.5, 0.5]


def test_clip_is_equation_6():
    assert clip(EXAMPLES, goal_of(GOAL)) == pytest.approx([1.0, 0.25, 0.5, 0.5])


def test_clip_is_least_where_there_is_no_image():
    nothing = replace(EXAMPLES, embedding=np.zeros_like(EXAMPLES.embedding))
    assert clip(nothing, goal_of(GOAL)).tolist() == [-1.0] * 4


@pytest.mark.parametrize("name", REWARDS)
def test_a_registered_reward_is_a_float32_for_every_image(name):
    rewards = REWARDS[name](EXAMPLES, goal_of(GOAL))
    assert (rewards.dtype, rewards.shape) == (np.float32, (4,))


def test_distance_to_the_goal_is_no_part_of_a_reward():
    near, far = [1, 4, 1, 3], [1, 0, 1, 3]
    assert fine_gain(near, GOAL, BASE) == fine_gain(far, GOAL, BASE)


def test_nothing_is_recognised_where_all_is_unread_or_unsure():
    unread, unsure, sure = [-1] * 4, [0, 3, -1, -1], [0, 3, -1, 2]
    values = np.array([unread, unsure, sure])
    confidence = np.array([[0] * 4, [0.6, 0.4, 0, 0], [0.6, 0.4, 0, 0.6]], np.float32)
    readings = Readings(values, confidence, np.zeros((3, 2), np.float32))
    assert nothing_recognised(readings, BASE).tolist() == [True, True, False]


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
    env = gym.make("RLDF-v0", reward="multi_semantic", **painted_arguments(target=GOAL))
    again = env.spec.make(reward="clip")
    again.reset(seed=0, options={"state": [0, 5, 1, 3]})
    assert again.step([3, 1])[1] == pytest.approx(0.5)


def prefers_cars(readings: Readings, goal: Goal) -> np.ndarray:
    """A reward from outside the package."""
    return np.where(readings.values[:, 1] == 9, 3.0, goal.state[1])


@pytest.mark.parametrize("reward", [prefers_cars, f"{__name__}:prefers_cars"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_any_function_can_be_the_reward(reward, wrapped):
    arguments = painted_arguments(target=GOAL) | ({} if wrapped else {"reward": reward})
    env = gym.make("RLDF-v0", **arguments)
    envs = gym.make_vec("RLDF-v0", 2, **arguments)
    syncs = gym.make_vec("RLDF-v0", 2, vectorization_mode="sync", **arguments)
    if wrapped:
        env = ReadingReward(env, reward)
        envs, syncs = VectorReadingReward(envs, reward), VectorReadingReward(syncs, reward)
    env.reset(seed=0, options={"state": [0, 8, 0, 0]})
    assert [env.step([1, 1])[1], env.step([1, 0])[1]] == [3.0, 5.0]
    for each in (envs, syncs):
        each.reset(seed=0, options={"state": [0, 8, 0, 0]})
        assert each.step(np.array([[1, 1], [1, 0]]))[1].tolist() == [3.0, 5.0]


def test_a_registered_reward_is_known_by_name(monkeypatch):
    monkeypatch.setattr(rewards_module, "REWARDS", dict(REWARDS))
    register_reward("prefers_cars")(prefers_cars)
    env = gym.make("RLDF-v0", reward="prefers_cars", **painted_arguments())
    env.reset(seed=0, options={"state": [0, 8, 0, 0]})
    assert env.step([1, 1])[1] == 3.0


@pytest.mark.parametrize(
    ("reward", "complaint"),
    [
        (lambda readings, _: np.zeros((len(readings), 4)), r"<lambda>.*float64 \[1, 4\] for 1 im"),
        (lambda *_: 1.0, r"<lambda>.*float64 \[\] for 1 images"),
        (lambda *_: ["much"], r"<lambda>.*returned <U4"),
        (
            lambda readings, _: np.full(len(readings), np.nan),
            r"<lambda>.*nan for the image",
        ),
        ("cosine", "'cosine'.*known: multi_semantic, partial_semantic, clip"),
        ("no.such.module:fn", "ModuleNotFoundError: No module named 'no'"),
        ("rldf_gym.rewards:DEFAULT_REWARD", "the reward is 'multi_semantic'"),
        (5, "the reward is 5"),
    ],
)
@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_a_reward_that_cannot_be_used_is_named(make, reward, complaint):
    with pytest.raises(RewardError, match=complaint):
        make("RLDF-v0", reward=reward, **painted_arguments(target=GOAL))


def test_a_reward_that_fails_later_leaves_the_environment_where_it_was():
    def fails_at_cars(readings, _):
        return np.where(readings.values[:, 1] == 9, np.nan, 0)

    env = gym.make("RLDF-v0", reward=fails_at_cars, **painted_arguments(target=GOAL))
    env.reset(seed=0, options={"state": [0, 8, 0, 0]})
    with pytest.raises(RewardError, match=r"fails_at_cars.*nan for .* \[0, 9, 0, 0\]"):
        env.step([1, 1])
    assert env.step([1, 0])[0].tolist() == [0, 7, 0, 0]


def test_partial_semantic_is_rejected_where_there_is_no_scene():
    grammar = compile_grammar(
        'start: "a photo of " frequency " " noun " and " density " people"\n'
        'frequency: "one" | "many"\nnoun: "dog" | "car"\ndensity: "no" | "many"\n',
        "sceneless",
    )
    arguments = painted_arguments(target=GOAL) | {"grammar": grammar}
    perception = arguments["perception"]
    arguments["perception"] = type(perception)(PaintedClip(grammar))
    arguments["target"] = paint(grammar, [0, 0, 0])
    with pytest.raises(RewardError, match="'sceneless' has none"):
        gym.make("RLDF-v0", reward="partial_semantic", **arguments)


def blank_world(**arguments):
    """A world where "one dog and no people in park" comes out blank."""
    env_arguments = painted_arguments(target=[0, 5, 1, 0])
    blank = {"a photo of one dog and no people in park": [-1, -1, -1, -1]}
    env_arguments["generator"] = PaintedGenerator(BASE, blank)
    perception = painted_perception(BASE)
    # A blank picture has no people in it for certain: leave that to CLIP, which is unsure.
    env_arguments["perception"] = type(perception)(perception.clip)
    return gym.make("RLDF-v0", **env_arguments, **arguments)


STOPS = ("goal_state", "unrecognised")


def test_a_picture_in_which_nothing_is_recognised_can_cost_and_end_the_episode():
    env = blank_world(reward=UnrecognisedPenalty("multi_semantic", penalty=5.0), stop_at=STOPS)
    bare = blank_world()
    for each in (env, bare):
        each.reset(seed=0, options={"state": [0, 4, 0, 0]})
    _, reward, terminated, _, _ = env.step([1, 1])
    _, bare_reward, bare_terminated, _, _ = bare.step([1, 1])
    assert reward == bare_reward - 5.0
    assert terminated
    assert not bare_terminated


def test_a_picture_in_which_something_is_recognised_costs_nothing():
    env = blank_world(reward=UnrecognisedPenalty(penalty=5.0), stop_at=STOPS)
    env.reset(seed=0, options={"state": [0, 3, 0, 0]})
    _, reward, terminated, _, _ = env.step([1, 1])
    assert reward > -5.0
    assert not terminated


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [({"reward": "fame"}, "'fame'"), ({"penalty": -1}, "-1"), ({"penalty": np.nan}, "nan")],
    ids=str,
)
def test_a_penalty_that_cannot_be_used_is_named(arguments, complaint):
    with pytest.raises(RewardError, match=complaint):
        UnrecognisedPenalty(**arguments)
