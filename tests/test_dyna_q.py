"""Dyna-Q: its model, its sweeps and where it looks first."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from semantic_gridworld import SemanticGridworld, random_goals
from stripped_env import StrippedEnv

from rldf_agents import AgentError, DynaQ, QLearning, train
from rldf_agents.learners.prioritised_sweeping import PrioritisedSweeping, PriorityQueue
from rldf_agents.protocols import Transition
from rldf_agents.schedules import LinearEpsilon

CHAIN, TWO = spaces.Discrete(4), spaces.Discrete(2)
LEFT, RIGHT = 0, 1


def step(state, action, reward, next_state, *, terminated=False, truncated=False):
    return Transition(state, action, reward, next_state, terminated, truncated)


def walk_the_chain(agent):
    """From 0 right to 3, which ends the episode with reward 8."""
    agent.update(step(0, RIGHT, 0.0, 1))
    agent.update(step(1, RIGHT, 0.0, 2))
    agent.update(step(2, RIGHT, 8.0, 3, terminated=True))


def sweeping_on(n_states, threshold=0.0):
    sweeping = PrioritisedSweeping(gamma=0.5, threshold=threshold)
    sweeping.values = {state: [0.0, 0.0] for state in range(n_states)}
    return sweeping


class TestTheModel:
    def test_it_holds_the_last_outcome_and_forgets_where_the_earlier_one_led(self):
        model = sweeping_on(6)
        model.observe((0, 1), (1.0, 2, False))
        model.observe((0, 1), (3.0, 5, False))
        assert model.outcomes == {(0, 1): (3.0, 5, False)}
        assert model.predecessors == {2: {}, 5: {(0, 1): None}}

    def test_a_terminal_outcome_leads_nowhere(self):
        model = sweeping_on(3)
        model.observe((0, 1), (1.0, 2, False))
        model.observe((0, 1), (1.0, 2, True))
        assert model.predecessors == {2: {}}


class TestTheQueue:
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5))))
    def test_it_hands_out_every_pair_once_the_highest_priority_first_then_by_number(self, pushes):
        queue, highest = PriorityQueue(), {}
        for state, action, priority in pushes:
            queue.push((state, action), float(priority))
            highest[state, action] = max(priority, highest.get((state, action), 0))
        popped = [queue.pop() for _ in range(len(queue.priorities))]
        assert popped == sorted(highest, key=lambda pair: (-highest[pair], pair))

    def test_pushing_one_pair_over_and_over_keeps_one_entry(self):
        queue = PriorityQueue()
        for priority in range(10_000):
            queue.push((0, 0), float(priority))
        assert len(queue.priorities) == 1
        assert len(queue.heap) < 2_000


class TestSweeping:
    def test_a_surprise_runs_backwards_along_the_chain_most_urgent_first(self):
        sweeping = sweeping_on(4)
        for state in range(2):
            sweeping.observe((state, RIGHT), (0.0, state + 1, False))
        sweeping.observe((2, RIGHT), (8.0, 3, True))
        sweeping.observe((2, LEFT), (1.0, 3, True))
        expected = [(2, 8.0), (1, 4.0), (0, 2.0)]
        for state, value in expected:
            assert sweeping.plan(1) == 1
            assert sweeping.values[state][RIGHT] == value
        assert sweeping.values[2][LEFT] == 0.0
        assert sweeping.plan(10) == 1
        assert sweeping.values[2][LEFT] == 1.0

    def test_changes_up_to_the_threshold_are_left_alone(self):
        sweeping = sweeping_on(4, threshold=2.0)
        sweeping.observe((1, RIGHT), (0.0, 2, False))
        sweeping.observe((2, RIGHT), (4.0, 3, True))
        assert sweeping.plan(10) == 1
        assert sweeping.values[2][RIGHT] == 4.0
        assert sweeping.values[1][RIGHT] == 0.0


class TestDynaQ:
    def test_one_walk_down_the_chain_teaches_the_whole_way(self):
        agent = DynaQ(CHAIN, TWO, gamma=0.5, optimism=0.0)
        walk_the_chain(agent)
        assert [agent.action_values(state)[RIGHT] for state in range(3)] == [2.0, 4.0, 8.0]

    def test_an_untried_action_promises_what_its_state_paid_and_the_optimism_for_ever(self):
        agent = DynaQ(CHAIN, TWO, gamma=0.5, optimism=1.0)
        agent.update(step(0, RIGHT, 3.0, 1))
        assert agent.action_values(1).tolist() == [8.0, 8.0]
        assert agent.action_values(0).tolist() == [2.0, 3.0 + 0.5 * 8.0]

    def test_a_state_where_an_episode_begins_promises_the_highest_reward_so_far(self):
        agent = DynaQ(CHAIN, TWO, gamma=0.5, optimism=1.0)
        agent.update(step(0, RIGHT, 3.0, 1, truncated=True))
        agent.select_action(2)
        assert agent.action_values(2).tolist() == [8.0, 8.0]

    def test_a_terminal_state_is_worth_nothing_and_a_truncated_one_is(self):
        for ending, value in (("terminated", 1.0), ("truncated", 1.0 + 0.5 * 4.0)):
            agent = DynaQ(CHAIN, TWO, gamma=0.5)
            agent.update(step(0, LEFT, 1.0, 1, **{ending: True}))
            assert agent.action_values(0)[LEFT] == value

    def test_among_equal_promises_it_goes_on_with_the_last_action(self):
        agent = DynaQ(spaces.Discrete(50), spaces.Discrete(20), epsilon=0.0)
        for state in range(30):
            agent.update(step(state, 7, 1.0, state + 1))
            assert agent.select_action(state + 1) == 7

    def test_it_turns_from_an_action_that_made_things_worse_to_one_that_last_made_them_better(self):
        agent = DynaQ(spaces.Discrete(50), spaces.Discrete(20), epsilon=0.0)
        agent.update(step(0, 0, 0.0, 1))
        agent.update(step(1, 3, 2.0, 2))
        agent.update(step(2, 5, 1.0, 3))
        assert agent.select_action(3) == 3

    def test_every_sub_environment_goes_on_with_its_own_action(self):
        agent = DynaQ(spaces.Discrete(50), spaces.Discrete(20), epsilon=0.0)
        agent.update(step(0, 7, 1.0, 1), 0)
        agent.update(step(20, 9, 1.0, 21), 1)
        assert agent.select_action(1, 0) == 7
        assert agent.select_action(21, 1) == 9

    def test_the_first_action_of_an_episode_does_not_go_on_with_the_last_one(self):
        agent = DynaQ(spaces.Discrete(50), spaces.Discrete(20), epsilon=0.0)
        agent.start_run(seed=0)
        chosen = set()
        for state in range(0, 20, 2):
            agent.update(step(state, 7, 1.0, state + 1, truncated=True))
            chosen.add(int(agent.select_action(40)))
        assert len(chosen) > 3

    def test_its_values_are_those_of_value_iteration_once_everything_was_tried(self):
        env = gym.make("FrozenLake-v1", is_slippery=False)
        agent = DynaQ(env.observation_space, env.action_space, epsilon=0.5, threshold=0.0)
        train(agent, env, 3_000, seed=0)
        optimal = action_values_of(env.unwrapped.P, gamma=0.9)
        values = np.array([agent.action_values(state) for state in range(16)])
        tried = [s for s in range(16) if env.unwrapped.desc.ravel()[s] not in (b"H", b"G")]
        assert values[tried] == pytest.approx(optimal[tried], abs=1e-9)

    def test_it_survives_dynamics_that_are_not_deterministic(self):
        env = gym.make("FrozenLake-v1", is_slippery=True)
        agent = DynaQ(env.observation_space, env.action_space, epsilon=0.1)
        train(agent, env, 2_000, seed=0)
        values = np.array([agent.action_values(state) for state in range(16)])
        assert np.isfinite(values).all()
        # Promises aside, no more than the goal's reward is there to be had.
        assert values.max() <= (1.0 + 1.0) / (1.0 - 0.9)

    def test_it_finds_targets_with_a_quarter_of_the_pictures_that_q_learning_draws(self):
        costs = {
            learner: [states_to_goal(learner, goal, seed) for seed, goal in enumerate(GOALS)]
            for learner in (DynaQ, QLearning)
        }
        assert np.median(costs[DynaQ]) <= 40
        assert np.median(costs[DynaQ]) <= np.median(costs[QLearning]) / 4

    def test_a_sparse_table_behaves_like_a_dense_one(self, tmp_path):
        sparse = DynaQ(spaces.MultiDiscrete([1000] * 6), TWO, gamma=0.5, optimism=0.0)
        dense = DynaQ(spaces.Discrete(3), TWO, gamma=0.5, optimism=0.0)
        places = [np.full(6, value) for value in (0, 500, 999)]
        for here, reward in ((0, 1.0), (1, 4.0)):
            for agent, states in ((sparse, places), (dense, range(3))):
                agent.update(step(states[here], RIGHT, reward, states[here + 1]))
        loaded = DynaQ.load(sparse.save(tmp_path / "sparse"))
        for state, place in enumerate(places):
            assert sparse.action_values(place).tolist() == dense.action_values(state).tolist()
            assert loaded.action_values(place).tolist() == dense.action_values(state).tolist()

    def test_a_reward_that_is_no_number_is_rejected_and_not_learned(self):
        agent = DynaQ(CHAIN, TWO)
        with pytest.raises(AgentError, match="a reward of nan"):
            agent.update(step(0, LEFT, float("nan"), 1))
        assert agent.action_values(1).tolist() == [0.0, 0.0]

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"gamma": 1.0}, r"gamma is 1\.0: .*\[0, 1\)"),
            ({"gamma": -0.1}, r"gamma is -0\.1"),
            ({"epsilon": -0.1}, r"epsilon is -0\.1"),
            ({"optimism": -1.0}, r"optimism is -1\.0"),
            ({"optimism": float("nan")}, "optimism is nan"),
            ({"threshold": float("inf")}, "threshold is inf"),
            ({"planning_updates": 0}, "planning_updates is 0"),
        ],
    )
    def test_a_setting_out_of_range_is_rejected(self, setting, message):
        with pytest.raises(AgentError, match=message):
            DynaQ(CHAIN, TWO, **setting)


class TestResuming:
    @pytest.mark.parametrize("stop", [1, 37, 160])
    def test_a_run_saved_on_its_way_goes_on_as_if_it_had_not_stopped(self, stop, tmp_path):
        files = []
        for stops in ([240], [stop, 240]):
            agent = DynaQ(*spaces_of(GOALS[0]), planning_updates=1, epsilon=0.2)
            for timesteps in stops:
                env = grid(GOALS[0])
                train(agent, env, timesteps, seed=5)
                path = agent.save(tmp_path / "agent")
                agent = DynaQ.load(path, env)
            files.append(path.read_bytes())
        assert files[0] == files[1]

    def test_the_test_above_stops_with_updates_waiting_in_the_queue(self):
        agent = DynaQ(*spaces_of(GOALS[0]), planning_updates=1, epsilon=0.2)
        train(agent, grid(GOALS[0]), 160, seed=5)
        assert len(agent._sweeping.queue.priorities) > 0

    def test_it_sees_neither_info_nor_what_is_behind_the_environment(self, tmp_path):
        files = []
        for env in (grid(GOALS[0]), StrippedEnv(grid(GOALS[0]))):
            agent = DynaQ(env.observation_space, env.action_space)
            train(agent, env, 240, seed=5)
            files.append(agent.save(tmp_path / "agent").read_bytes())
        assert files[0] == files[1]

    def test_settings_come_back(self, tmp_path):
        agent = DynaQ(
            CHAIN,
            TWO,
            gamma=0.3,
            epsilon=LinearEpsilon(1.0, 0.1, 50),
            optimism=2.0,
            planning_updates=3,
            threshold=0.5,
        )
        assert DynaQ.load(agent.save(tmp_path / "agent")).settings == agent.settings


GOALS = random_goals(30)


def grid(goal):
    return gym.wrappers.TimeLimit(SemanticGridworld(goal, misread=0.05), max_episode_steps=100)


def spaces_of(goal):
    env = grid(goal)
    return env.observation_space, env.action_space


def states_to_goal(learner, goal, seed):
    """Distinct states up to the goal; 480, all there are, if it is not reached in 2,000 steps."""

    class UntilGoal:
        states = 480

        def on_training_start(self, learner, env, total_timesteps): ...

        def on_step(self, step):
            if step.info["at_goal"]:
                self.states = step.info["states_seen"]
            return not step.info["at_goal"]

        def on_episode_end(self, episode): ...

        def on_training_end(self): ...

    watch = UntilGoal()
    train(learner(*spaces_of(goal)), grid(goal), 2_000, seed, [watch])
    return watch.states


def action_values_of(dynamics, gamma):
    """Q* by value iteration on a table of Gymnasium's toy text environments."""
    values = np.zeros((len(dynamics), len(dynamics[0])))
    for _ in range(1_000):
        for state, actions in dynamics.items():
            for action, [(_, following, reward, terminal)] in actions.items():
                future = 0.0 if terminal else gamma * values[following].max()
                values[state, action] = reward + future
    return values
