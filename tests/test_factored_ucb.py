"""FactoredUCB and its parts: reward model, effects of actions, graph, plans, and the search."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium_names import CLIFF_WALKING
from hypothesis import given
from hypothesis import strategies as st
from semantic_gridworld import SemanticGridworld, random_goals

from rldf_agents import AgentError, FactoredUCB
from rldf_agents.learners.action_effects import ActionEffects
from rldf_agents.learners.additive_reward import AdditiveReward
from rldf_agents.learners.explored_graph import ExploredGraph
from rldf_agents.learners.goal_paths import first_step, goal_groups
from rldf_agents.protocols import Transition

LEFT, RIGHT = 0, 1
LINE = spaces.Discrete(5)
TWO = spaces.Discrete(2)
SMALL = st.lists(st.integers(1, 4), min_size=1, max_size=3)


def step(state, action, reward, next_state, *, terminated=False, truncated=False):
    return Transition(state, action, reward, next_state, terminated, truncated)


class Clipped(gym.Env):
    """A grid with one action for every axis and direction, or one move on every axis at once.

    Pays the number of labels that are right, and ends at the goal.
    """

    def __init__(self, goal, sizes, mode):
        self.observation_space = spaces.MultiDiscrete(sizes)
        n = len(sizes)
        self.action_space = {
            "axis": spaces.MultiDiscrete([n, 2]),
            "flat": spaces.Discrete(2 * n),
            "joint": spaces.MultiDiscrete([3] * n),
        }[mode]
        self.goal, self.sizes, self.mode = np.array(goal), np.array(sizes), mode
        self.seen = set()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.goal
        while np.array_equal(self.state, self.goal):
            self.state = self.np_random.integers(self.sizes)
        self.seen.add(tuple(self.state.tolist()))
        return self.state.copy(), {}

    def step(self, action):
        move = np.zeros_like(self.state)
        if self.mode == "joint":
            move = action - 1
        else:
            axis, up = action if self.mode == "axis" else divmod(int(action), 2)
            move[axis] = 2 * up - 1
        self.state = np.clip(self.state + move, 0, self.sizes - 1)
        self.seen.add(tuple(self.state.tolist()))
        right = self.state == self.goal
        return self.state.copy(), float(right.sum()), bool(right.all()), False, {}


class UntilGoal:
    """Ends the run at the first terminal state."""

    def on_training_start(self, learner, env, total_timesteps): ...

    def on_step(self, step):
        return not step.transition.terminated

    def on_episode_end(self, episode): ...

    def on_training_end(self): ...


def states_until_goal(env, seed, total_timesteps=3000):
    agent = FactoredUCB(env.observation_space, env.action_space)
    limited = gym.wrappers.TimeLimit(env, max_episode_steps=100)
    agent.learn(limited, total_timesteps, seed=seed, callbacks=[UntilGoal()])
    return agent


def walk(agent, env, observation, most=200):
    """Follow the deterministic policy; return the sum of rewards and whether it ended."""
    total = 0.0
    for _ in range(most):
        action = agent.predict(observation, deterministic=True)[0]
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        if terminated or truncated:
            return total, terminated
    return total, False


class TestTheRewardModel:
    def test_two_rewards_on_one_axis_give_the_posterior_worked_out_by_hand(self):
        # Effects a, b, c ~ N(0, 1), a flat offset, noise variance 1/2. Rewards 1 for a, 0 for b:
        # their difference is 1 with variance 1 a half each, prior variance 2, so it shrinks to
        # 2 / (2 + 1) = 2/3; by symmetry a = 1/3, b = -1/3, and c keeps its prior.
        model = AdditiveReward([3], noise=0.5)
        model.observe([0], 1.0)
        model.observe([1], 0.0)
        assert model.effects()[0] == pytest.approx([1 / 3, -1 / 3, 0.0], abs=1e-5)

    @given(
        sizes=SMALL,
        seed=st.integers(0, 2**32 - 1),
        n=st.integers(1, 12),
        noise=st.floats(0.05, 2.0),
    )
    def test_it_is_ridge_regression_kept_up_to_date(self, sizes, seed, n, noise):
        random = np.random.default_rng(seed)
        positions, rewards = random.integers(sizes, size=(n, len(sizes))), random.normal(size=n)
        model = AdditiveReward(sizes, noise)
        features = np.zeros((n, sum(sizes) + 1))
        for row, (position, reward) in enumerate(zip(positions, rewards, strict=True)):
            model.observe(position, reward)
            features[row, np.cumsum([0, *sizes[:-1]]) + position] = 1.0
            features[row, -1] = 1.0
        prior = np.diag([1.0] * sum(sizes) + [1e-6])
        normal = features.T @ features + noise * prior
        expected = np.linalg.solve(normal, features.T @ rewards)[:-1]
        assert np.concatenate(model.effects()) == pytest.approx(expected, abs=1e-4)

    def test_the_bound_exceeds_the_mean_and_comes_down_where_rewards_were_seen(self):
        model = AdditiveReward([3, 2], noise=0.1)
        before = model.deviations()
        for value in (0, 1, 0, 1):
            model.observe([value, 0], 1.0)
        after = model.deviations()
        assert (after <= before + 1e-9).all()
        assert (after[:2] < 0.9 * after[2]).all()
        for mean, bound in zip(model.effects(), model.upper_bounds(0.5), strict=True):
            assert (bound > mean).all()

    @given(factor=st.floats(0.01, 100), shift=st.floats(-50, 50))
    def test_bounds_scale_with_the_rewards_and_ignore_what_all_states_pay(self, factor, shift):
        plain, scaled = AdditiveReward([3, 2], 0.1), AdditiveReward([3, 2], 0.1)
        for position, reward in (([0, 0], 1.0), ([1, 0], 3.0), ([2, 1], 2.0), ([0, 1], 0.0)):
            plain.observe(position, reward)
            scaled.observe(position, factor * (reward + shift))
        for a, b in zip(plain.upper_bounds(1.0), scaled.upper_bounds(1.0), strict=True):
            assert b == pytest.approx(factor * a, abs=1e-3 * factor)

    def test_one_value_that_looks_worse_than_most_is_not_written_off(self):
        model = AdditiveReward([6, 2], noise=0.1)
        for value in range(6):
            model.observe([value, 0], -2.0 if value == 3 else 0.0)
        effects, bounds = model.effects()[0], model.upper_bounds(0.5)[0]
        assert effects[3] < effects[0] - 1.0
        assert bounds[3] == pytest.approx(bounds[0], abs=1e-6)


class TestTheEffectsOfActions:
    def test_of_axis_and_direction_one_try_teaches_all_the_other_direction_being_opposite(self):
        effects = ActionEffects([4, 4, 4], [3, 2])
        effects.observe(3, (1, 1, 1), (1, 2, 1))
        assert [effects.predict((1, 1, 0), action) for action in range(6)] == [
            (0, 1, 0),
            (2, 1, 0),
            (1, 0, 0),
            (1, 2, 0),
            (1, 1, 0),
            (1, 1, 1),
        ]

    def test_a_direction_that_is_not_opposite_is_believed_once_it_is_seen(self):
        effects = ActionEffects([9, 9], [2, 2])
        effects.observe(1, (1, 1), (2, 1))
        effects.observe(2, (1, 1), (1, 4))
        assert effects.predict((4, 4), 0) == (7, 4)

    def test_of_one_component_for_each_axis_every_component_is_learned_by_itself(self):
        effects = ActionEffects([5, 5], [3, 3])
        down_up, up_stay = 0 * 3 + 2, 2 * 3 + 1
        effects.observe(down_up, (2, 2), (1, 3))
        effects.observe(up_stay, (2, 2), (3, 2))
        assert effects.predict((2, 2), 2 * 3 + 2) == (3, 3)
        assert effects.predict((2, 2), 0 * 3 + 1) == (1, 2)

    def test_an_end_that_stops_an_axis_says_nothing_of_its_component(self):
        effects = ActionEffects([5, 5], [3, 3])
        effects.observe(2 * 3 + 2, (4, 2), (4, 3))
        assert effects.predict((2, 2), 2 * 3 + 2) is None
        effects.observe(2 * 3 + 0, (2, 2), (3, 1))
        assert effects.predict((2, 2), 2 * 3 + 2) == (3, 3)

    def test_a_hypothesis_that_is_contradicted_is_given_up_for_what_each_action_did(self):
        effects = ActionEffects([4, 4], [2, 2])
        effects.observe(1, (1, 1), (1, 2))
        assert not effects.regular or effects.predict((1, 1), 1) == (1, 2)
        effects.observe(3, (1, 1), (3, 3))
        effects.observe(1, (1, 1), (1, 2))
        assert effects.predict((0, 0), 1) == (0, 1)
        assert effects.predict((0, 0), 3) == (2, 2)
        assert effects.predict((0, 0), 2) is None

    def test_without_structure_the_most_frequent_movement_is_predicted(self):
        effects = ActionEffects([10], [2])
        for before, after in ((0, 0), (2, 7), (3, 4), (6, 7)):
            effects.observe(0, (before,), (after,))
        assert effects.predict((4,), 0) == (5,)
        assert effects.predict((9,), 0) == (9,)
        assert effects.idle == [1, 0]

    @given(data=st.data(), sizes=st.lists(st.integers(2, 4), min_size=2, max_size=3))
    def test_on_a_clipped_grid_predictions_are_right_whatever_was_tried(self, data, sizes):
        mode = data.draw(st.sampled_from(["axis", "flat", "joint"]))
        env = Clipped([0] * len(sizes), sizes, mode)
        action_sizes = (
            [int(env.action_space.n)] if mode == "flat" else env.action_space.nvec.tolist()
        )
        effects = ActionEffects(sizes, action_sizes)
        n_actions = int(np.prod(action_sizes))
        random = np.random.default_rng(data.draw(st.integers(0, 1000)))
        for _ in range(data.draw(st.integers(1, 40))):
            env.state = random.integers(sizes)
            before, action = tuple(env.state.tolist()), int(random.integers(n_actions))
            label = action if mode == "flat" else np.unravel_index(action, action_sizes)
            after = tuple(env.step(np.array(label))[0].tolist())
            predicted = effects.predict(before, action)
            assert predicted is None or predicted == after
            effects.observe(action, before, after)


class TestTheGraph:
    def test_the_frontier_is_where_untried_actions_should_lead(self):
        graph = ExploredGraph([5], [2])
        graph.record((2, RIGHT), 3, terminated=False)
        assert graph.frontier == {4: {(3, RIGHT): None}}
        graph.record((3, LEFT), 2, terminated=False)
        assert graph.frontier == {4: {(3, RIGHT): None}, 1: {(2, LEFT): None}}

    def test_what_an_action_did_counts_more_than_what_it_should_do(self):
        graph = ExploredGraph([5], [2])
        graph.record((2, RIGHT), 3, terminated=False)
        graph.record((3, RIGHT), 0, terminated=False)
        assert graph.successor(3, RIGHT) == 0
        assert 4 not in graph.frontier
        assert graph.paths(2).actions(0) == [RIGHT, RIGHT]

    def test_no_way_leads_on_from_a_terminal_state(self):
        graph = ExploredGraph([5], [2])
        graph.record((0, RIGHT), 1, terminated=False)
        graph.record((1, RIGHT), 2, terminated=True)
        graph.meet(3)
        assert set(graph.paths(0).depths) == {0, 1, 2}

    def test_ends_worth_going_to_are_those_that_pay_no_less_than_the_average(self):
        graph = ExploredGraph([6], [2])
        for state, reward in enumerate((0.0, 5.0, 0.5, 0.0, 1.0)):
            graph.meet(state)
            graph.rewards[state] = reward
        for end in (0, 4):
            graph.terminals[end] = None
        assert goal_groups(graph) == [[1]]
        graph.rewards[4] = 2.0
        assert goal_groups(graph) == [[4], [1]]

    @given(st.integers(0, 4), st.integers(0, 4))
    def test_a_way_through_states_never_met_is_found_by_prediction(self, start, goal):
        graph = ExploredGraph([5, 9], [2, 2])
        graph.record((graph.index((0, 0)), 1), graph.index((1, 0)), terminated=False)
        graph.record((graph.index((1, 1)), 2), graph.index((1, 0)), terminated=False)
        here, there = graph.index((start, 2)), graph.index((goal, 7))
        action = first_step(graph, here, [there])
        assert action in ({3} | ({1} if goal > start else set()) | ({0} if goal < start else set()))


class TestTheSearch:
    @pytest.mark.parametrize("misread", [0.0, 0.03])
    def test_it_finds_every_target_of_480_states_within_fifty_and_half_within_twenty(self, misread):
        costs = []
        for seed, goal in enumerate(random_goals(40)):
            env = SemanticGridworld(goal, misread, reading_seed=seed)
            agent = states_until_goal(env, seed)
            assert agent.progress.episodes >= 1
            costs.append(env._info()["states_seen"])
        assert max(costs) <= 50
        assert np.median(costs) <= 20

    @pytest.mark.parametrize(("mode", "most"), [("axis", 60), ("flat", 75), ("joint", 75)])
    def test_it_finds_one_state_in_a_hundred_thousand_whatever_the_actions_are(self, mode, most):
        for seed in range(4):
            goal = np.random.default_rng(seed).integers(10, size=5)
            env = Clipped(goal, [10] * 5, mode)
            states_until_goal(env, seed)
            assert tuple(goal.tolist()) in env.seen
            assert len(env.seen) <= most

    def test_where_the_reward_is_flat_it_visits_every_state(self):
        class Silent(Clipped):
            def step(self, action):
                observation, _, terminated, truncated, info = super().step(action)
                return observation, 0.0, terminated, truncated, info

        env = Silent([2, 3], [4, 5], "axis")
        states_until_goal(env, seed=0)
        assert (2, 3) in env.seen

    def test_the_goal_once_found_is_walked_to_from_anywhere(self):
        goal = (1, 6, 0, 3)
        env = gym.wrappers.TimeLimit(SemanticGridworld(goal, 0.03), max_episode_steps=100)
        agent = FactoredUCB(env.observation_space, env.action_space)
        agent.learn(env, 500, seed=0)
        for seed in range(20):
            observation = env.reset(seed=seed)[0]
            distance = int(np.abs(observation - np.array(goal)).sum())
            assert walk(agent, env, observation, most=distance)[1]

    def test_in_training_it_returns_to_the_goal_again_and_again(self):
        env = gym.wrappers.TimeLimit(SemanticGridworld((1, 6, 0, 3)), max_episode_steps=100)
        agent = FactoredUCB(env.observation_space, env.action_space)
        agent.learn(env, 1000, seed=0)
        assert agent.progress.episodes >= 1000 / 20

    def test_the_best_reward_without_any_end_is_found_and_shown_by_predict(self):
        class Endless(Clipped):
            def step(self, action):
                return *super().step(action)[:2], False, False, {}

        env = Endless([1, 4, 2], [3, 6, 4], "axis")
        agent = FactoredUCB(env.observation_space, env.action_space)
        agent.learn(gym.wrappers.TimeLimit(env, 50), 200, seed=0)
        observation = env.reset(seed=1)[0]
        for _ in range(15):
            observation, reward, *_ = env.step(agent.predict(observation, deterministic=True)[0])
            if reward == 3.0:
                return
        pytest.fail("the best state was not reached")

    @pytest.mark.parametrize("map_name", ["4x4", "8x8"])
    def test_it_learns_a_shortest_way_over_the_frozen_lake(self, map_name):
        env = gym.make("FrozenLake-v1", is_slippery=False, map_name=map_name)
        agent = FactoredUCB(env.observation_space, env.action_space)
        agent.learn(env, 1500, seed=0)
        size = 2 * int(map_name[0]) - 2
        assert walk(agent, env, env.reset(seed=0)[0], most=size) == (1.0, True)

    def test_it_learns_the_shortest_way_past_the_cliff(self):
        env = gym.make(CLIFF_WALKING, max_episode_steps=200)
        agent = FactoredUCB(env.observation_space, env.action_space)
        agent.learn(env, 2000, seed=0)
        assert walk(agent, env, env.reset(seed=0)[0]) == (-13.0, True)

    def test_a_lake_that_is_slippery_does_not_stop_it(self):
        env = gym.make("FrozenLake-v1")
        agent = FactoredUCB(env.observation_space, env.action_space)
        agent.learn(env, 500, seed=0)
        assert agent.progress.timesteps == 500


class TestPlans:
    def test_it_passes_through_states_that_promise_little_to_one_that_promises_much(self):
        """Known from elsewhere on the grid: the way up axis 1 is poor, and its end is rich."""
        agent = FactoredUCB(spaces.MultiDiscrete([7, 7]), spaces.MultiDiscrete([2, 2]))
        effects = np.array([[0, -1, 0, 0, 0, 0, 0], [0, -3, -3, -3, -3, -3, 20]], dtype=float)
        along = [*((6, second) for second in (*range(7), *range(5, 2, -1))), (5, 3), (4, 3)]
        for here, there in itertools.pairwise([*along, (3, 3), (2, 3), (1, 3)]):
            axis = 0 if here[0] != there[0] else 1
            action = np.array([axis, int(there[axis] > here[axis])])
            reward = effects[0, there[0]] + effects[1, there[1]]
            agent.update(step(np.array(here), action, reward, np.array(there)))
        for seed in range(5):
            agent.start_run(seed)
            assert agent.select_action(np.array([0, 0])).tolist() == [1, 1]

    def test_it_looks_again_at_the_unrewarded_start_by_bumping_into_an_end(self):
        agent = FactoredUCB(spaces.MultiDiscrete([4, 4]), spaces.MultiDiscrete([2, 2]))
        agent.start_run(seed=0)
        up, down = np.array([0, 1]), np.array([1, 0])
        agent.update(step(np.array([1, 1]), up, 0.0, np.array([2, 1])))
        agent.update(step(np.array([2, 1]), down, 0.0, np.array([2, 0]), truncated=True))
        corner = np.array([0, 3])
        action = agent.select_action(corner)
        assert action.tolist() in ([0, 0], [1, 1])

    def test_sub_environments_share_what_is_learned_and_keep_their_own_plans(self):
        agent = FactoredUCB(LINE, TWO)
        agent.start_run(seed=0)
        for state in range(3):
            agent.update(step(state, RIGHT, 0.0, state + 1))
        agent.update(step(3, RIGHT, 5.0, 4, terminated=True))
        agent.update(step(1, LEFT, 0.0, 0))
        for first, second in ((0, 2), (1, 3)):
            for sub_env, state in ((0, first), (1, second)):
                assert agent.select_action(state, sub_env) == RIGHT
                end = state == 3
                agent.update(step(state, RIGHT, 5.0 * end, state + 1, terminated=end), sub_env)
        assert agent.progress.timesteps == 9


class TestBadInput:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"confidence": -0.1}, r"confidence is -0\.1"),
            ({"noise": 0.0}, r"noise is 0\.0"),
            ({"state_cost": float("nan")}, "state_cost is nan"),
            ({"step_cost": float("inf")}, "step_cost is inf"),
        ],
    )
    def test_a_setting_out_of_range_is_rejected(self, setting, message):
        with pytest.raises(AgentError, match=message):
            FactoredUCB(LINE, TWO, **setting)

    def test_a_reward_that_is_no_number_is_rejected_and_not_learned(self):
        agent = FactoredUCB(LINE, TWO)
        with pytest.raises(AgentError, match="reward of nan"):
            agent.update(step(0, RIGHT, float("nan"), 1))
        assert np.concatenate(agent.effects()).tolist() == [0.0] * 5

    def test_spaces_too_large_for_its_model_are_rejected_with_their_size(self):
        with pytest.raises(AgentError, match=r"up to 5,000 values .* have 6,000"):
            FactoredUCB(spaces.MultiDiscrete([3000, 3000]), TWO)
        with pytest.raises(AgentError, match=r"up to 100,000 actions, these spaces have 177,147"):
            FactoredUCB(LINE, spaces.MultiDiscrete([3] * 11))
