"""Linear Q-learning and linear SARSA: one-hot features per axis, directed exploration."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from semantic_gridworld import SemanticGridworld, random_goals

from rldf_agents import AgentError, LinearQLearning, LinearSARSA, QLearning
from rldf_agents.protocols import Transition
from rldf_agents.schedules import LinearEpsilon, VisitCountStepSize

FOUR, TWO = spaces.Discrete(4), spaces.Discrete(2)
GRID = spaces.MultiDiscrete([2, 3])
LINEAR = [LinearQLearning, LinearSARSA]

every_learner = pytest.mark.parametrize("learner", LINEAR)


def step(state, action, reward, next_state, *, terminated=False, truncated=False):
    return Transition(state, action, reward, next_state, terminated, truncated)


def at(*labels):
    return np.array(labels)


class UntilGoal:
    """Ends the run at the goal."""

    reached = False

    def on_training_start(self, learner, env, total_timesteps): ...

    def on_step(self, step):
        self.reached = step.info["at_goal"]
        return not self.reached

    def on_episode_end(self, episode): ...

    def on_training_end(self): ...


@every_learner
class TestFeatures:
    def test_what_one_state_teaches_holds_half_in_a_state_that_shares_one_of_two_axes(
        self, learner
    ):
        agent = learner(GRID, TWO, step_size=1.0)
        agent.update(step(at(0, 0), 1, 8.0, at(0, 1), terminated=True))
        assert agent.action_values(at(0, 0)).tolist() == [0.0, 8.0]
        assert agent.action_values(at(0, 2)).tolist() == [0.0, 4.0]
        assert agent.action_values(at(1, 0)).tolist() == [0.0, 4.0]
        assert agent.action_values(at(1, 2)).tolist() == [0.0, 0.0]

    @given(alpha=st.floats(0.01, 1.0), target=st.floats(-100, 100), n_axes=st.integers(1, 5))
    def test_a_step_moves_the_value_by_alpha_times_its_error_however_many_axes_there_are(
        self, learner, alpha, target, n_axes
    ):
        space = spaces.MultiDiscrete([3] * n_axes)
        agent = learner(space, TWO, step_size=alpha, initial_value=2.0)
        here = np.zeros(n_axes, dtype=np.int64)
        agent.update(step(here, 0, target, here, terminated=True))
        assert agent.action_values(here)[0] == pytest.approx(2.0 + alpha * (target - 2.0))

    def test_rewards_that_add_up_over_axes_are_learned_exactly_from_few_states(self, learner):
        agent = learner(GRID, spaces.Discrete(1), step_size=0.5)
        seen = [at(0, 0), at(1, 0), at(0, 1), at(0, 2)]
        for _ in range(400):
            for state in seen:
                reward = 10.0 * state[0] + state[1]
                agent.update(step(state, 0, reward, state, terminated=True))
        assert agent.action_values(at(1, 2))[0] == pytest.approx(12.0)

    def test_a_visit_count_step_size_counts_the_updates_of_the_least_known_feature(self, learner):
        agent = learner(GRID, TWO, step_size=VisitCountStepSize(1.0))
        for reward in (1.0, 2.0, 6.0):
            agent.update(step(at(0, 0), 0, reward, at(0, 0), terminated=True))
        assert agent.action_values(at(0, 0))[0] == pytest.approx(3.0)
        agent.update(step(at(0, 1), 0, 9.0, at(0, 0), terminated=True))
        assert agent.action_values(at(0, 1))[0] == pytest.approx(9.0)

    def test_a_million_states_take_no_more_than_their_axes(self, learner, tmp_path):
        agent = learner(spaces.MultiDiscrete([10] * 6), spaces.MultiDiscrete([6, 2]))
        assert agent.save(tmp_path / "agent").stat().st_size < 30_000

    def test_more_weights_than_fit_are_rejected_with_their_size(self, learner):
        with pytest.raises(AgentError, match=r"up to 100,000,000 weights.*1,000,000,000"):
            learner(spaces.Discrete(10**7), spaces.Discrete(100))


class TestTargets:
    def test_q_learning_takes_the_highest_next_value(self):
        agent = LinearQLearning(FOUR, TWO, gamma=0.5, step_size=1.0)
        agent.update(step(1, 1, 8.0, 2, terminated=True))
        agent.update(step(0, 0, 1.0, 1))
        assert agent.action_values(0)[0] == 1.0 + 0.5 * 8.0

    def test_sarsa_takes_the_value_of_the_action_that_it_then_takes(self):
        agent = LinearSARSA(FOUR, TWO, gamma=0.5, epsilon=1.0, step_size=1.0)
        agent.start_run(seed=0)
        agent.update(step(1, 0, 4.0, 2, terminated=True))
        agent.update(step(1, 1, 8.0, 2, terminated=True))
        taken = set()
        for sub_env in (0, 1) * 10:
            agent.update(step(0, 0, 0.0, 1), sub_env)
            action = int(agent.select_action(1, sub_env))
            assert agent.action_values(0)[0] == 0.5 * agent.action_values(1)[action]
            taken.add(action)
        assert taken == {0, 1}

    def test_sarsa_does_not_keep_the_action_that_was_drawn_at_a_truncation(self):
        agent = LinearSARSA(FOUR, TWO, epsilon=1.0)
        agent.start_run(seed=0)
        agent.update(step(0, 0, 1.0, 1, truncated=True))
        assert {int(agent.select_action(1)) for _ in range(20)} == {0, 1}

    def test_sarsa_keeps_the_chosen_action_of_each_sub_environment_to_itself(self):
        agent = LinearSARSA(FOUR, spaces.Discrete(1000), epsilon=1.0)
        agent.start_run(seed=0)
        for sub_env in (0, 1):
            agent.update(step(0, 0, 0.0, 1), sub_env)
        first, second = (int(agent.select_action(1, sub_env)) for sub_env in (0, 1))
        assert first != second
        assert int(agent.select_action(1, 0)) == first

    @every_learner
    def test_a_terminal_state_is_worth_nothing_and_a_truncated_one_is_bootstrapped(self, learner):
        agent = learner(FOUR, TWO, gamma=0.5, step_size=1.0, initial_value=10.0)
        agent.update(step(0, 0, 1.0, 1, terminated=True))
        agent.update(step(2, 0, 1.0, 1, truncated=True))
        assert agent.action_values(0)[0] == 1.0
        assert agent.action_values(2)[0] == 1.0 + 0.5 * 10.0

    def test_on_one_axis_it_is_q_learning_on_a_table(self):
        env = gym.make("FrozenLake-v1", is_slippery=False)
        settings = {"gamma": 0.9, "step_size": 0.5, "initial_value": 20.0}
        linear, table = (
            learner(env.observation_space, env.action_space, **settings)
            for learner in (LinearQLearning, QLearning)
        )
        random = np.random.default_rng(0)
        for _ in range(500):
            state, action, following = random.integers(16), random.integers(4), random.integers(16)
            transition = step(
                state, action, random.random(), following, terminated=random.random() < 0.1
            )
            linear.update(transition)
            table.update(transition)
        for state in range(16):
            assert linear.action_values(state) == pytest.approx(table.action_values(state))


@every_learner
class TestExploration:
    def test_among_equal_values_the_action_least_often_tried_is_taken(self, learner):
        agent = learner(GRID, spaces.Discrete(3), epsilon=0.0, bonus=1.0)
        agent.start_run(seed=0)
        for action in (0, 0, 1):
            agent.update(step(at(0, 0), action, 0.0, at(1, 2), terminated=True))
        assert {int(agent.select_action(at(0, 0))) for _ in range(20)} == {2}
        agent.update(step(at(0, 0), 2, 0.0, at(1, 2), terminated=True))
        agent.update(step(at(0, 0), 2, 0.0, at(1, 2), terminated=True))
        assert {int(agent.select_action(at(0, 0))) for _ in range(20)} == {1}

    def test_the_bonus_is_weighed_against_the_value(self, learner):
        chosen = {}
        for bonus in (1.0, 100.0):
            agent = learner(FOUR, TWO, epsilon=0.0, step_size=1.0, bonus=bonus)
            agent.start_run(seed=0)
            agent.update(step(0, 1, 5.0, 1, terminated=True))
            chosen[bonus] = int(agent.select_action(0))
        assert chosen == {1.0: 1, 100.0: 0}

    @pytest.mark.parametrize(("value", "chosen"), [(0.25, 0), (0.35, 1)])
    def test_the_bonus_is_the_same_however_many_axes_there_are(self, learner, value, chosen):
        agent = learner(GRID, TWO, epsilon=0.0, step_size=1.0, bonus=1.0)
        agent.start_run(seed=0)
        agent.update(step(at(0, 0), 1, value, at(0, 1), terminated=True))
        # 1 for the action never tried, 2^-1/2 = 0.71 and its value for the one tried once.
        assert int(agent.select_action(at(0, 0))) == chosen

    def test_predicting_deterministically_leaves_the_bonus_out(self, learner):
        agent = learner(FOUR, TWO, epsilon=1.0, step_size=1.0, bonus=100.0)
        agent.update(step(0, 1, 5.0, 1, terminated=True))
        assert {int(agent.predict(0, deterministic=True)[0]) for _ in range(20)} == {1}

    def test_equally_good_actions_are_taken_equally_often(self, learner):
        agent = learner(FOUR, spaces.Discrete(4), epsilon=0.0)
        agent.start_run(seed=0)
        counts = np.bincount([int(agent.select_action(0)) for _ in range(4000)], minlength=4)
        assert counts == pytest.approx([1000] * 4, abs=120)

    def test_epsilon_follows_its_schedule_over_the_steps_of_the_run(self, learner):
        agent = learner(FOUR, TWO, epsilon=LinearEpsilon(1.0, 0.0, 3), bonus=0.0)
        agent.start_run(seed=0)
        agent.update(step(0, 1, 1.0, 1, terminated=True))
        assert {int(agent.select_action(0)) for _ in range(50)} == {0, 1}
        for _ in range(2):
            agent.update(step(0, 1, 1.0, 1, terminated=True))
        assert {int(agent.select_action(0)) for _ in range(50)} == {1}

    @pytest.mark.parametrize("misread", [0.0, 0.05])
    def test_the_defaults_find_nine_of_ten_targets_within_a_thousand_steps(self, learner, misread):
        reached = []
        for seed, goal in enumerate(random_goals(20)):
            grid = SemanticGridworld(goal, misread, reading_seed=seed)
            env = gym.wrappers.TimeLimit(grid, max_episode_steps=100)
            until = UntilGoal()
            agent = learner(env.observation_space, env.action_space)
            agent.learn(env, 1000, seed=seed, callbacks=[until])
            reached.append(until.reached)
        assert np.mean(reached) >= 0.9


@every_learner
class TestBadInput:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"gamma": 1.1}, r"gamma is 1\.1"),
            ({"epsilon": -0.1}, r"epsilon is -0\.1"),
            ({"step_size": 1.5}, r"alpha is 1\.5"),
            ({"initial_value": float("inf")}, "initial value is inf"),
            ({"bonus": -1.0}, r"bonus is -1\.0"),
        ],
    )
    def test_a_setting_out_of_range_is_rejected(self, learner, setting, message):
        with pytest.raises(AgentError, match=message):
            learner(FOUR, TWO, **setting)

    def test_a_reward_that_is_no_number_is_rejected_and_not_learned(self, learner):
        agent = learner(FOUR, TWO)
        with pytest.raises(AgentError, match="reward of nan"):
            agent.update(step(0, 0, float("nan"), 1, terminated=True))
        assert np.isfinite(agent.action_values(0)).all()

    def test_settings_and_values_come_back_from_a_file(self, learner, tmp_path):
        agent = learner(
            GRID,
            TWO,
            gamma=0.3,
            epsilon=LinearEpsilon(1.0, 0.1, 50),
            step_size=VisitCountStepSize(0.8),
            initial_value=-2.0,
            bonus=3.0,
        )
        for _ in range(5):
            agent.update(step(at(0, 1), 1, 3.0, at(1, 1)))
        loaded = learner.load(agent.save(tmp_path / "agent"))
        for twin in (agent, loaded):
            twin.update(step(at(0, 1), 1, 3.0, at(1, 1), terminated=True))
        assert loaded.save(tmp_path / "a").read_bytes() == agent.save(tmp_path / "b").read_bytes()
