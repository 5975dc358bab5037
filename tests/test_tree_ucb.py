"""TreeUCB: what it concludes along trees of values, where it goes, and how few states it takes."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from rldf_agents import LEARNERS, AgentError, train
from rldf_agents.learners import TreeUCB
from rldf_agents.learners.axis_moves import FAR, SetValue, TreeSteps
from rldf_agents.learners.best_value_posterior import BestValuePosterior
from rldf_agents.learners.value_trees import bisection, tree_distances, tree_moves
from rldf_gym.actions import make_action_mode
from rldf_gym.grammar import Axis

TREE = ((0, 1, (2, 3)), 4, (5, 6, 7))
FLAT = (0, 1, 2)


def groups(n_groups, size):
    """As many groups of so many values each."""
    return tuple(tuple(range(g * size, (g + 1) * size)) for g in range(n_groups))


class Wide(gym.Env):
    """Axes with trees whose reward falls with the steps from a goal; misreads whole states."""

    def __init__(self, trees, goal, start, mode="jump", misread=0.0):
        sizes = [len(tree_distances(tree)) for tree in trees]
        self.observation_space = spaces.MultiDiscrete(sizes)
        axes = [FakeAxis(tree, size) for tree, size in zip(trees, sizes, strict=True)]
        self._mode = make_action_mode(mode, axes)
        self.action_space = self._mode.space
        self._distances = [tree_distances(tree) for tree in trees]
        self._goal, self._start, self._misread = goal, start, misread
        self.visited = {start}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array(self._start)
        return self.state.copy(), {}

    def step(self, action):
        self.state = self._mode.apply([action], self.state[np.newaxis])[0]
        state = tuple(self.state.tolist())
        self.visited.add(state)
        return self.state.copy(), self._reward(state), state == self._goal, False, {}

    def _reward(self, state):
        random = np.random.default_rng(state)
        shown = list(state)
        if random.random() < self._misread:
            axis = int(random.integers(len(shown)))
            shown[axis] = int(random.integers(len(self._distances[axis])))
        pairs = zip(self._distances, shown, self._goal, strict=True)
        return float(np.mean([1 / (1 + steps[value, best]) for steps, value, best in pairs]))


class FakeAxis(Axis):
    """An axis of numbers with a tree."""

    def __init__(self, tree, size):
        values = tuple(map(str, range(size)))
        super().__init__("axis", values, values, ((),) * size)
        self.__dict__["tree"] = tree


class StopAtGoal:
    def on_training_start(self, learner, env, total_timesteps): ...

    def on_step(self, step):
        return not step.transition.terminated

    def on_episode_end(self, episode): ...

    def on_training_end(self): ...


def search(env, trees, seed=0, steps=2000, **options):
    learner = TreeUCB(env.observation_space, env.action_space, trees=trees, **options)
    train(learner, env, steps, seed, [StopAtGoal()])
    return learner


class TestTrees:
    def test_siblings_are_two_steps_apart_and_cousins_more(self):
        steps = tree_distances(TREE)
        assert steps[0, 0] == 0
        assert steps[0, 1] == steps[2, 3] == 2
        assert steps[0, 2] == 3
        assert steps[0, 4] == 3
        assert steps[2, 5] == 5
        assert np.array_equal(steps, steps.T)

    def test_an_axis_without_a_tree_is_halved(self):
        assert bisection(0, 5) == ((0, 1), (2, (3, 4)))

    @pytest.mark.parametrize("tree", [TREE, FLAT, bisection(0, 9)])
    def test_moves_along_a_tree_are_those_of_the_action_mode(self, tree):
        size = len(tree_distances(tree))
        mode = make_action_mode("tree", [FakeAxis(tree, size)])
        rows = [row for level in tree_moves(tree, size) for row in level]
        assert mode.space.n == len(rows)
        for action, row in enumerate(rows):
            states = np.arange(size)[:, np.newaxis]
            assert mode.apply([action] * size, states)[:, 0].tolist() == row.tolist()

    @pytest.mark.parametrize(
        "trees", [(FLAT,), (FLAT, FLAT, FLAT), (FLAT, (1, 0, 2)), (FLAT, ((0, 1), 2, 3))]
    )
    def test_trees_that_are_not_those_of_the_axes_are_an_error(self, trees):
        with pytest.raises(AgentError, match="tree"):
            TreeUCB(spaces.MultiDiscrete([3, 3]), spaces.Discrete(6), trees=trees)


class TestMoves:
    def test_setting_a_value_is_one_step_to_every_value(self):
        steps, actions = SetValue([3, 4]).ways(1, 2)
        assert steps.tolist() == [1, 1, 0, 1]
        assert actions.tolist() == [3, 4, -1, 6]

    def test_along_a_tree_the_way_goes_up_and_down(self):
        moves = TreeSteps([FLAT, TREE], [3, 8])
        steps, actions = moves.ways(1, 0)
        assert steps.tolist() == [0, 1, 2, 3, 1, 2, 3, 4]
        position = (0, 0)
        for _ in range(int(steps[7])):
            action = int(moves.ways(1, position[1])[1][7])
            mode = make_action_mode("tree", [FakeAxis(FLAT, 3), FakeAxis(TREE, 8)])
            position = tuple(mode.apply([action], np.array([position]))[0].tolist())
        assert position == (0, 7)
        assert (steps < FAR).all()
        assert actions[0] == -1

    def test_actions_that_do_something_else_than_supposed_are_learned_instead(self):
        class Backwards(Wide):
            def step(self, action):
                axis, direction = divmod(int(action), 2)
                if axis < 2:
                    moved = self.state[axis] + 1 - 2 * direction
                    self.state[axis] = np.clip(moved, 0, 2)
                state = tuple(self.state.tolist())
                self.visited.add(state)
                return self.state.copy(), self._reward(state), state == self._goal, False, {}

        env = Backwards((FLAT, FLAT), (2, 0), (0, 2))
        search(env, (FLAT, FLAT), steps=200)
        assert (2, 0) in env.visited


class TestPosterior:
    def test_a_better_value_makes_its_group_likely_and_a_worse_one_unlikely(self):
        tree = groups(4, 5)
        posterior = BestValuePosterior([tree_distances(tree), tree_distances(FLAT)], misread=0.1)
        assert np.allclose(posterior.probabilities[0], 1 / 20)
        # The best value is 12, in the third group: 1/3 beside it, 1/5 elsewhere.
        for position, reward in [((0, 0), 0.2), ((0, 1), 0.87), ((5, 1), 0.87), ((10, 1), 1.0)]:
            posterior.observe(position, reward)
        assert posterior.probabilities[0][10:15].sum() > 0.9
        assert posterior.probabilities[0][10] < 0.1
        assert posterior.probabilities[1].argmax() == 1

    def test_scale_and_offset_of_the_rewards_do_not_matter(self):
        found = []
        for scale, offset in ((1.0, 0.0), (0.02, -7.0), (300.0, 50.0)):
            posterior = BestValuePosterior([tree_distances(groups(3, 4))] * 2, misread=0.1)
            for position, reward in [((0, 0), 0.4), ((0, 4), 0.53), ((8, 4), 0.4), ((0, 5), 1.2)]:
                posterior.observe(position, offset + scale * reward)
            found.append(np.concatenate(posterior.probabilities))
        assert np.allclose(found[0], found[1], atol=1e-3)
        assert np.allclose(found[0], found[2], atol=1e-3)


class TestSearch:
    @pytest.mark.parametrize("seed", range(3))
    def test_in_jump_mode_it_goes_down_the_groups(self, seed):
        trees = groups(15, 12), groups(6, 5), FLAT
        goal = tuple(np.random.default_rng(seed).integers([180, 30, 3]).tolist())
        env = Wide(trees, goal, start=(0, 0, 0))
        search(env, trees, seed)
        assert goal in env.visited
        assert len(env.visited) <= 45

    def test_misread_states_do_not_stop_it(self):
        trees = groups(10, 10), groups(6, 5), FLAT
        env = Wide(trees, (57, 13, 1), (0, 0, 0), misread=0.1)
        search(env, trees)
        assert (57, 13, 1) in env.visited
        assert len(env.visited) <= 60

    @pytest.mark.parametrize("mode", ["axis", "joint", "tree"])
    def test_it_finds_the_goal_with_other_moves(self, mode):
        trees = groups(3, 3), FLAT
        env = Wide(trees, (7, 2), (0, 0), mode)
        search(env, trees)
        assert (7, 2) in env.visited

    def test_without_trees_neighbours_count_as_alike(self):
        trees = (bisection(0, 64), bisection(0, 16))
        env = Wide(trees, (41, 6), (0, 0))
        search(env, None)
        assert len(env.visited) <= 30

    def test_the_best_known_value_is_predicted(self):
        trees = groups(5, 5), FLAT
        env = Wide(trees, (17, 2), (0, 0))
        learner = search(env, trees)
        state = np.array([3, 0])
        for _ in range(2):
            action, _ = learner.predict(state, deterministic=True)
            state = env._mode.apply([action], state[np.newaxis])[0]
        assert state.tolist() == [17, 2]
        assert [int(likely.argmax()) for likely in learner.best_values()] == [17, 2]

    def test_a_loaded_learner_knows_its_trees(self, tmp_path):
        trees = groups(5, 5), FLAT
        env = Wide(trees, (17, 2), (0, 0))
        learner = search(env, trees, steps=8)
        loaded = LEARNERS["tree_ucb"].load(learner.save(tmp_path / "learner"), env)
        assert loaded.settings == learner.settings
        for one, other in zip(loaded.best_values(), learner.best_values(), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(("name", "value"), [("confidence", -1.0), ("misread", 0.0)])
def test_settings_out_of_range_are_named(name, value):
    with pytest.raises(AgentError, match=name):
        TreeUCB(spaces.MultiDiscrete([3, 3]), spaces.Discrete(6), **{name: value})


def test_an_axis_may_have_too_many_values():
    with pytest.raises(AgentError, match="3,000 values on one axis"):
        TreeUCB(spaces.MultiDiscrete([3001, 2]), spaces.Discrete(3003))
