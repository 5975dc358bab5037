import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import InvalidAction
from hypothesis import given
from hypothesis import strategies as st
from painted_world import painted_arguments
from scipy.sparse.csgraph import connected_components, shortest_path

from rldf_gym.actions import (
    DOWN,
    UP,
    AxisMode,
    JointMode,
    JumpMode,
    TreeMode,
    make_action_mode,
)
from rldf_gym.errors import RLDFError
from rldf_gym.grammar import compile_grammar, load_grammar
from rldf_gym.wrappers import FlattenAction, VectorFlattenAction

NESTED = compile_grammar(
    'start: "a photo of " noun " in " scene\n'
    'noun: animal | "car" | food\nanimal: "dog" | bird | "cat"\nbird: "duck" | "hen"\n'
    'food: "apple" | "pear"\nscene: ["snow"]\n',
    "nested",
)
GRAMMARS = [NESTED, load_grammar("base"), load_grammar("imagenet"), load_grammar("domains/botany")]
MODES = {"axis": AxisMode, "joint": JointMode, "jump": JumpMode, "tree": TreeMode}
every_mode = pytest.mark.parametrize("mode", [make(NESTED.axes) for make in MODES.values()])


def moved(mode, action, state):
    """Where an action leads."""
    one, other = mode.apply(np.array([action, action]), np.array([state, state])).tolist()
    assert one == other
    return one


def states_of(grammar):
    return st.tuples(*(st.integers(0, size - 1) for size in grammar.nvec.tolist()))


@given(st.integers(0, 1), st.sampled_from([DOWN, UP]), states_of(NESTED))
def test_axis_mode_moves_one_axis_and_stays_at_its_ends(axis, direction, state):
    there = moved(AxisMode(NESTED.axes), np.array([axis, direction]), state)
    by = 1 if direction == UP else -1
    assert there[axis] == min(max(state[axis] + by, 0), NESTED.nvec[axis] - 1)
    assert there[1 - axis] == state[1 - axis]


def test_joint_mode_moves_every_axis_that_does_not_stay():
    assert moved(JointMode(NESTED.axes), np.array([0, 2]), (3, 0)) == [2, 1]
    assert moved(JointMode(NESTED.axes), np.array([1, 2]), (3, 1)) == [3, 1]


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.name)
@given(st.data())
def test_jumps_lead_to_any_state_in_as_many_actions_as_there_are_axes(grammar, data):
    mode = JumpMode(grammar.axes)
    state, goal = (list(data.draw(states_of(grammar))) for _ in range(2))
    starts = np.cumsum([0, *grammar.nvec[:-1]])
    for action in (starts + goal).tolist():
        state = moved(mode, action, state)
    assert state == goal


def test_a_jump_sets_one_axis_to_the_value_that_its_number_says():
    mode = JumpMode(NESTED.axes)
    assert mode.space == spaces.Discrete(9)
    assert [moved(mode, number, (2, 1)) for number in (0, 6, 7)] == [[0, 1], [6, 1], [2, 0]]


@pytest.mark.parametrize("mode", ["jump", "tree"])
@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.name)
@given(st.data())
def test_the_mask_has_exactly_the_actions_that_change_the_state(mode, grammar, data):
    state = data.draw(states_of(grammar))
    actions = make_action_mode(mode, grammar.axes)
    [mask] = actions.masks(np.array([state]))
    assert mask.dtype == np.int8
    n = len(mask)
    there = actions.apply(np.arange(n), np.tile(np.array(state), (n, 1)))
    assert mask.tolist() == (there != state).any(axis=1).tolist()
    assert mask.any()
    assert actions.space.sample(mask) in np.flatnonzero(mask)


@pytest.mark.parametrize("mode", ["axis", "joint"])
def test_no_choice_of_a_component_is_excluded(mode):
    actions = make_action_mode(mode, NESTED.axes)
    masks = actions.masks(np.zeros((3, 2), np.int64))
    assert masks.tolist() == [[1] * actions.space.nvec.sum()] * 3
    env = gym.make("RLDF-v0", action_mode=mode, **painted_arguments())
    assert "action_mask" not in env.reset(seed=0)[1]


def test_moves_in_a_tree_go_between_the_parts_of_a_group_and_arrive_at_the_first_word():
    """((dog, (duck, hen), cat), car, (apple, pear)): two actions for each of three levels."""
    assert NESTED.axes[0].tree == ((0, (1, 2), 3), 4, (5, 6))
    mode = TreeMode(NESTED.axes)
    assert mode.space == spaces.Discrete(8)
    ups = [[moved(mode, action, (word, 0))[0] for word in range(7)] for action in (1, 3, 5)]
    assert ups == [[4, 4, 4, 4, 5, 5, 6], [1, 3, 3, 3, 4, 6, 6], [0, 2, 2, 3, 4, 5, 6]]
    downs = [[moved(mode, action, (word, 0))[0] for word in range(7)] for action in (0, 2, 4)]
    assert downs == [[0, 1, 2, 3, 0, 4, 4], [0, 0, 0, 1, 4, 5, 5], [0, 1, 1, 3, 4, 5, 6]]
    assert moved(mode, 7, (2, 0)) == [2, 1]


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.name)
@given(st.data())
def test_a_move_in_a_tree_to_a_group_is_undone_by_the_opposite_one(grammar, data):
    mode = TreeMode(grammar.axes)
    state = list(data.draw(states_of(grammar)))
    action = data.draw(st.integers(0, int(mode.space.n) - 1))
    there = moved(mode, action, state)
    if there != state:  # it arrived at the first word of a part: from there the way back is exact
        back = moved(mode, action ^ 1, there)
        assert moved(mode, action, back) == there


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.name)
def test_moves_in_a_tree_lead_from_every_word_to_every_other(grammar):
    mode = TreeMode(grammar.axes)
    for axis, size in enumerate(grammar.nvec.tolist()):
        ways = np.zeros((size, size), bool)
        states = np.zeros((size, grammar.n_axes), np.int64)
        states[:, axis] = np.arange(size)
        for action in range(int(mode.space.n)):
            there = mode.apply(np.full(size, action), states)[:, axis]
            ways[states[:, axis], there] = True
        assert connected_components(ways, directed=True, connection="strong")[0] == 1


@pytest.mark.parametrize(("name", "most"), [("world", 8), ("imagenet", 7)])
def test_a_wide_axis_is_a_dozen_moves_wide_in_its_tree(name, most):
    noun = load_grammar(name).axis("noun")
    mode, words = TreeMode([noun]), np.arange(len(noun))[:, np.newaxis]
    moves = range(int(mode.space.n))
    there = [mode.apply(np.full(len(noun), move), words)[:, 0] for move in moves]
    ways = np.zeros((len(noun),) * 2, bool)
    for targets in there:
        ways[words[:, 0], targets] = True
    steps = shortest_path(ways, unweighted=True, indices=words[::20, 0])
    assert most - 2 < steps.mean() < most
    assert steps.max() < 40


@every_mode
def test_every_action_of_the_space_is_understood(mode):
    mode.space.seed(0)
    for _ in range(200):
        assert np.array(moved(mode, mode.space.sample(), (3, 1))) in NESTED.observation_space


OUTSIDE = {
    "MultiDiscrete": [[0, 3], [2, 3], [-1, 0], [0], [0, 1, 0], 1, [[0, 1]], [True, False]],
    "Discrete": [-1, 9, [0], [0, 1], True],
}


@every_mode
def test_what_is_outside_the_space_is_rejected_with_the_space(mode):
    kind = type(mode.space).__name__
    for action in (*OUTSIDE[kind], None, "up", 0.5):
        with pytest.raises(InvalidAction, match=kind):
            mode.apply([action] if action is not None else None, np.zeros((1, 2), np.int64))


@every_mode
def test_as_many_actions_as_states_are_needed(mode):
    with pytest.raises(InvalidAction, match="Discrete"):
        mode.apply([mode.space.sample()] * 3, np.zeros((2, 2), np.int64))


def test_an_unknown_mode_is_rejected_with_the_known_ones():
    with pytest.raises(RLDFError, match="'diagonal'; known: axis, joint, jump, tree"):
        make_action_mode("diagonal", NESTED.axes)


@pytest.mark.parametrize("mode", ["jump", "tree"])
def test_numbered_actions_stay_as_they_are_when_flattened(mode):
    env = gym.make("RLDF-Flat-v0", action_mode=mode, **painted_arguments())
    assert env.action_space == env.unwrapped.action_space
    env.reset(seed=0, options={"state": [0, 0, 0, 0]})
    assert env.step(1)[4]["prompt"].startswith("a photo of many")
    envs = VectorFlattenAction(gym.make_vec("RLDF-v0", 2, action_mode=mode, **painted_arguments()))
    envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    assert envs.step(np.array([1, 1]))[0].tolist() == [[1, 0, 0, 0]] * 2


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
def test_a_number_without_an_action_is_rejected(number):
    env = FlattenAction(gym.make("RLDF-v0", **painted_arguments()))
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match=r"Discrete\(8\)"):
        env.step(number)


def test_continuous_actions_are_not_flattened():
    with pytest.raises(RLDFError, match=r"this space is Box"):
        FlattenAction(gym.make("Pendulum-v1"))


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
def test_numbers_without_an_action_are_rejected(numbers):
    envs = VectorFlattenAction(gym.make_vec("RLDF-v0", 2, **painted_arguments()))
    envs.reset(seed=0)
    with pytest.raises(InvalidAction):
        envs.step(numbers)


def test_continuous_actions_of_vector_environments_are_not_numbered():
    with pytest.raises(RLDFError, match="MultiDiscrete"):
        VectorFlattenAction(gym.make_vec("Pendulum-v1", 2))


@pytest.mark.parametrize("mode", MODES)
def test_numbered_actions_have_a_mask_of_their_own_size(mode):
    env = gym.make("RLDF-Flat-v0", action_mode=mode, **painted_arguments())
    env.reset(seed=0)
    mask = env.get_wrapper_attr("action_masks")()
    assert mask.shape == (env.action_space.n,)
    assert mask.any()
    assert mask.all() == (mode in ("axis", "joint"))
