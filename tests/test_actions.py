import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import InvalidAction
from hypothesis import given
from hypothesis import strategies as st
from painted_world import painted_arguments

from rldf_gym.actions import (
    DOWN,
    UP,
    AxisMode,
    JointMode,
    make_action_mode,
)
from rldf_gym.errors import RLDFError
from rldf_gym.wrappers import FlattenAction, VectorFlattenAction


@given(st.integers(0, 3), st.sampled_from([DOWN, UP]))
def test_axis_mode_moves_one_axis(axis, direction):
    moves = AxisMode(4).decode(np.array([axis, direction]))
    assert list(moves) == [(axis, 1 if direction == UP else -1)]


def test_joint_mode_moves_every_axis_that_does_not_stay():
    moves = JointMode(4).decode(np.array([0, 1, 2, 1]))
    assert list(moves) == [(0, -1), (2, 1)]


@pytest.mark.parametrize("mode", [AxisMode(4), JointMode(4)])
def test_every_action_of_the_space_is_understood(mode):
    for _ in range(200):
        list(mode.decode(mode.space.sample()))


@pytest.mark.parametrize("mode", [AxisMode(2), JointMode(2)])
@pytest.mark.parametrize(
    "action",
    [[0, 3], [2, 3], [-1, 0], [0], [0, 1, 0], 1, None, "up", [0.0, 1.0], [True, False], [[0, 1]]],
    ids=str,
)
def test_what_is_outside_the_space_is_refused_with_the_space(mode, action):
    with pytest.raises(InvalidAction, match="MultiDiscrete"):
        list(mode.decode(action))


@pytest.mark.parametrize("mode", [AxisMode(4), JointMode(4)])
def test_changes_of_many_actions_are_the_moves_of_each(mode):
    mode.space.seed(0)
    actions = np.stack([mode.space.sample() for _ in range(200)])
    changes = mode.decode_batch(actions)
    assert changes.dtype == np.int64
    for action, change in zip(actions, changes, strict=True):
        assert [(axis, by) for axis, by in enumerate(change.tolist()) if by] == list(
            mode.decode(action)
        )


@pytest.mark.parametrize("mode", [AxisMode(2), JointMode(2)])
@pytest.mark.parametrize(
    "actions",
    [[[0, 0], [0, 3]], [[2, 3]], [[-1, 0]], [[0], [0]], [0, 0], None, [["up", "up"]], [[0.0, 1.0]]],
    ids=str,
)
def test_many_actions_are_refused_if_one_is_outside_the_space(mode, actions):
    with pytest.raises(InvalidAction, match="MultiDiscrete"):
        mode.decode_batch(actions)


def test_an_unknown_mode_is_refused_with_the_known_ones():
    with pytest.raises(RLDFError, match="'diagonal'; known: axis, joint"):
        make_action_mode("diagonal", 4)


@pytest.mark.parametrize("mode", ["axis", "joint"])
def test_flattened_actions_number_all_actions_once(mode):
    env = gym.make("RLDF-v0", action_mode=mode, **painted_arguments())
    flat = FlattenAction(env)
    actions = [tuple(flat.action(number).tolist()) for number in range(flat.action_space.n)]
    assert len(set(actions)) == len(actions) == np.prod(env.action_space.nvec)
    assert all(np.array(action) in env.action_space for action in actions)


def test_a_flattened_environment_steps_by_number():
    env = FlattenAction(gym.make("RLDF-v0", **painted_arguments()))
    env.reset(seed=0, options={"state": [0, 0, 0, 0]})
    assert env.step(1)[0].tolist() == [1, 0, 0, 0]


def test_a_flattened_environment_can_be_made_again_from_its_spec():
    env = FlattenAction(gym.make("RLDF-v0", **painted_arguments()))
    assert gym.make(env.spec).action_space == spaces.Discrete(8)


@pytest.mark.parametrize("number", [-1, 8, 0.5, None])
def test_a_number_without_an_action_is_refused(number):
    env = FlattenAction(gym.make("RLDF-v0", **painted_arguments()))
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"Discrete\(8\)"):
        env.step(number)


def test_only_multidiscrete_spaces_are_flattened():
    with pytest.raises(RLDFError, match=r"Discrete\(2\)"):
        FlattenAction(gym.make("CartPole-v1"))


@pytest.mark.parametrize("mode", ["axis", "joint"])
def test_many_actions_are_numbered_as_single_ones_are(mode):
    env = FlattenAction(gym.make("RLDF-v0", action_mode=mode, **painted_arguments()))
    n_actions = int(env.action_space.n)
    envs = gym.make_vec("RLDF-v0", n_actions, action_mode=mode, **painted_arguments())
    envs = VectorFlattenAction(envs)
    assert envs.single_action_space == env.action_space
    assert envs.action_space == spaces.MultiDiscrete([n_actions] * n_actions)
    expected = [env.action(number).tolist() for number in range(n_actions)]
    assert envs.actions(np.arange(n_actions)).tolist() == expected


def test_a_flattened_vector_environment_steps_by_number():
    envs = VectorFlattenAction(gym.make_vec("RLDF-v0", 2, **painted_arguments()))
    envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    assert envs.step(np.array([1, 3]))[0].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]


@pytest.mark.parametrize("numbers", [[-1, 0], [0, 8], [0.5, 1.0], [0], 0, None], ids=str)
def test_numbers_without_an_action_are_refused(numbers):
    envs = VectorFlattenAction(gym.make_vec("RLDF-v0", 2, **painted_arguments()))
    envs.reset(seed=0)
    with pytest.raises(InvalidAction):
        envs.step(numbers)


def test_only_multidiscrete_actions_of_vector_environments_are_numbered():
    with pytest.raises(RLDFError, match="MultiDiscrete"):
        VectorFlattenAction(gym.make_vec("CartPole-v1", 2))
