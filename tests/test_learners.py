"""Q-learning, SARSA and the random agent."""

import json
import os

import gymnasium as gym
import numpy as np
import pytest
import safetensors.numpy
from gymnasium import spaces
from gymnasium_names import CLIFF_WALKING
from hypothesis import given
from hypothesis import strategies as st
from semantic_gridworld import SemanticGridworld, random_goals

from rldf_agents import (
    LEARNERS,
    SARSA,
    AgentError,
    LinearQLearning,
    QLearning,
    RandomAgent,
    train,
)
from rldf_agents.learners.saved_file import decode, encode
from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import Transition
from rldf_agents.schedules import ConstantEpsilon, LinearEpsilon, VisitCountStepSize
from rldf_agents.statistics import StatisticsRecorder

FOUR, TWO = spaces.Discrete(4), spaces.Discrete(2)
TEMPORAL_DIFFERENCE = [QLearning, SARSA]

NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False))
PAIRS = st.tuples(st.integers(), st.integers())
SAVED = st.recursive(
    st.one_of(NUMBERS, st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.integers(), PAIRS), inner, max_size=4),
    ),
)


@st.composite
def discrete_spaces(draw):
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    starts = [draw(st.integers(-5, 5)) for _ in sizes]
    kind = draw(st.sampled_from(["one", "row", "column"]))
    if kind == "one":
        return spaces.Discrete(sizes[0], start=starts[0])
    if kind == "row":
        return spaces.MultiDiscrete(sizes, start=starts)
    return spaces.MultiDiscrete([[n] for n in sizes], start=[[s] for s in starts])


def step(state, action, reward, next_state, *, terminated=False, truncated=False):
    return Transition(state, action, reward, next_state, terminated, truncated)


class TestSpaces:
    @given(discrete_spaces())
    def test_every_index_is_a_label_of_the_space_and_back(self, space):
        index = SpaceIndex(space, "action")
        for number in range(index.size):
            assert space.contains(index.value(number))
            assert index.index(index.value(number)) == number

    @given(discrete_spaces())
    def test_many_labels_are_numbered_as_each_alone(self, space):
        index = SpaceIndex(space, "action")
        indices = np.arange(index.size)[::-1]
        together = index.values(indices)
        assert [space.contains(label) for label in together] == [True] * index.size
        assert np.array_equal(index.indices(together), indices)

    @pytest.mark.parametrize("bad", [-6, 2**40])
    @given(space=discrete_spaces())
    def test_one_label_outside_the_space_among_many_is_named(self, space, bad):
        index = SpaceIndex(space, "action")
        many = index.values(np.zeros(3, dtype=np.int64)).copy()
        many[1] = bad
        with pytest.raises(AgentError, match=rf"(?s)action .*{bad}.* is not in the space"):
            index.indices(many)

    def test_a_space_too_large_to_be_listed_is_numbered_all_the_same(self):
        index = SpaceIndex(spaces.MultiDiscrete([1000] * 6, start=[3] * 6), "observation")
        last = np.full(6, 1002)
        assert index.index(last) == 10**18 - 1
        assert index.value(10**18 - 1).tolist() == last.tolist()
        assert index.indices(np.stack([last, last])).tolist() == [10**18 - 1] * 2

    def test_numbers_with_a_fraction_are_rejected(self):
        index = SpaceIndex(spaces.MultiDiscrete([2, 2]), "observation")
        with pytest.raises(AgentError, match="is not in the space"):
            index.index(np.array([0.5, 1.0]))
        with pytest.raises(AgentError, match="is not in the space"):
            index.indices(np.array([[0.5, 1.0]]))

    @given(discrete_spaces())
    def test_a_saved_space_comes_back_equal(self, space):
        assert decode(encode(space)) == space

    def test_joint_labels_are_numbered_in_c_order(self):
        index = SpaceIndex(spaces.MultiDiscrete([4, 2]), "action")
        assert index.index(np.array([3, 1])) == 7
        assert index.index(np.array([1, 0])) == 2

    @pytest.mark.parametrize("label", [np.array([2, 0]), np.array([0, -1]), np.array([0])])
    def test_a_label_outside_the_space_is_rejected(self, label):
        with pytest.raises(AgentError, match=r"observation .* is not in the space"):
            SpaceIndex(spaces.MultiDiscrete([2, 2]), "observation").index(label)

    def test_more_states_than_can_be_numbered_are_rejected(self):
        with pytest.raises(AgentError, match=r"has 1\.0e\+20 elements"):
            QLearning(spaces.MultiDiscrete([10] * 20), TWO)

    @pytest.mark.parametrize("learner", LEARNERS.values())
    def test_learners_work_on_spaces_that_do_not_start_at_zero(self, learner):
        observations = spaces.MultiDiscrete([2, 3], start=[5, -1])
        agent = learner(observations, spaces.Discrete(3, start=7))
        here, there = np.array([5, -1]), np.array([6, 1])
        action = agent.select_action(here)
        assert agent.action_space.contains(action)
        agent.update(step(here, action, 1.0, there))
        assert agent.action_space.contains(agent.predict(there, deterministic=True)[0])


class TestQLearning:
    def test_it_moves_towards_reward_plus_the_discounted_best_next_value(self):
        agent = QLearning(FOUR, TWO, gamma=0.5, step_size=0.5, initial_value=0.0)
        agent.update(step(1, 1, 8.0, 2, terminated=True))
        agent.update(step(0, 0, 1.0, 1))
        assert agent.action_values(1).tolist() == [0.0, 4.0]
        assert agent.action_values(0).tolist() == [0.5 * (1.0 + 0.5 * 4.0), 0.0]


class TestSARSA:
    def test_it_moves_towards_the_value_of_the_action_that_it_then_takes(self):
        agent = SARSA(FOUR, TWO, gamma=0.5, epsilon=1.0, step_size=1.0, initial_value=0.0)
        agent.start_run(seed=0)
        agent.update(step(1, 0, 4.0, 2, terminated=True))
        agent.update(step(1, 1, 8.0, 2, terminated=True))
        taken = []
        for _ in range(20):
            agent.update(step(0, 0, 0.0, 1))
            taken.append(int(agent.select_action(1)))
            assert agent.action_values(0)[0] == 0.5 * agent.action_values(1)[taken[-1]]
        assert set(taken) == {0, 1}

    def test_the_action_drawn_at_a_truncation_is_bootstrapped_from_but_not_kept(self):
        agent = SARSA(FOUR, TWO, gamma=0.5, epsilon=1.0, step_size=1.0, initial_value=2.0)
        agent.start_run(seed=0)
        agent.update(step(0, 0, 1.0, 1, truncated=True))
        assert agent.action_values(0)[0] == 1.0 + 0.5 * 2.0
        assert {int(agent.select_action(1)) for _ in range(20)} == {0, 1}

    def test_each_sub_environment_takes_the_action_that_was_drawn_for_it(self):
        agent = SARSA(FOUR, spaces.Discrete(1000), epsilon=1.0)
        agent.start_run(seed=0)
        for sub_env in range(3):
            agent.update(step(0, 0, 0.0, 1), sub_env)
        taken = [[int(agent.select_action(1, i)) for i in range(3)] for _ in range(2)]
        assert taken[0] == taken[1]
        assert len(set(taken[0])) == 3
        agent.update(step(1, 0, 0.0, 2, terminated=True), 1)
        again = [int(agent.select_action(1, i)) for i in range(3)]
        assert [again[0], again[2]] == [taken[0][0], taken[0][2]]
        assert again[1] != taken[0][1]


class TestTemporalDifference:
    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_a_terminal_state_is_worth_nothing(self, learner):
        agent = learner(FOUR, TWO, gamma=0.9, step_size=1.0, initial_value=10.0)
        agent.update(step(0, 0, 1.0, 1, terminated=True))
        assert agent.action_values(0)[0] == 1.0

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_a_truncated_episode_is_bootstrapped(self, learner):
        agent = learner(FOUR, TWO, gamma=0.9, step_size=1.0, initial_value=10.0)
        agent.update(step(0, 0, 1.0, 1, truncated=True))
        assert agent.action_values(0)[0] == 10.0

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_terminal_wins_where_a_step_is_both_terminal_and_truncated(self, learner):
        agent = learner(FOUR, TWO, gamma=0.9, step_size=1.0, initial_value=10.0)
        agent.update(step(0, 0, 1.0, 1, terminated=True, truncated=True))
        assert agent.action_values(0)[0] == 1.0

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_the_visit_count_step_size_averages_the_targets_of_each_pair(self, learner):
        agent = learner(FOUR, TWO, step_size=VisitCountStepSize(1.0), initial_value=50.0)
        for reward in (1.0, 2.0, 6.0):
            agent.update(step(0, 1, reward, 1, terminated=True))
        assert agent.action_values(0) == pytest.approx([50.0, 3.0])

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_equally_good_actions_are_taken_equally_often(self, learner):
        agent = learner(FOUR, spaces.Discrete(4), epsilon=0.0, step_size=1.0, initial_value=1.0)
        agent.start_run(seed=0)
        agent.update(step(0, 2, 0.0, 1, terminated=True))
        counts = np.bincount([int(agent.select_action(0)) for _ in range(3000)], minlength=4)
        assert counts[2] == 0
        assert counts[[0, 1, 3]] == pytest.approx([1000] * 3, abs=100)

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_epsilon_is_the_share_of_uniformly_random_actions(self, learner):
        agent = learner(FOUR, TWO, epsilon=0.4, step_size=1.0, initial_value=0.0)
        agent.start_run(seed=0)
        agent.update(step(0, 1, 1.0, 1, terminated=True))
        share = np.mean([int(agent.select_action(0)) == 0 for _ in range(5000)])
        assert share == pytest.approx(0.2, abs=0.02)

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_epsilon_follows_its_schedule_over_the_steps_of_the_run(self, learner):
        agent = learner(FOUR, TWO, epsilon=LinearEpsilon(1.0, 0.0, 3), initial_value=0.0)
        agent.start_run(seed=0)
        for _ in range(3):
            agent.update(step(0, 1, 1.0, 1, terminated=True))
        assert {int(agent.select_action(0)) for _ in range(50)} == {1}

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_a_reward_that_is_no_number_is_rejected_and_not_learned(self, learner):
        agent = learner(FOUR, TWO)
        with pytest.raises(AgentError, match="reward of nan"):
            agent.update(step(0, 0, float("nan"), 1, terminated=True))
        assert np.isfinite(agent.action_values(0)).all()

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"gamma": 1.1}, r"gamma is 1\.1"),
            ({"epsilon": -0.1}, r"epsilon is -0\.1"),
            ({"step_size": 1.5}, r"alpha is 1\.5"),
            ({"step_size": 0.0}, r"alpha is 0\.0"),
            ({"initial_value": float("inf")}, "initial value is inf"),
        ],
    )
    def test_a_setting_out_of_range_is_rejected(self, learner, setting, message):
        with pytest.raises(AgentError, match=message):
            learner(FOUR, TWO, **setting)

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_it_learns_to_walk_past_the_cliff(self, learner):
        env = gym.make(CLIFF_WALKING, max_episode_steps=200)
        agent = learner(
            env.observation_space,
            env.action_space,
            gamma=1.0,
            epsilon=LinearEpsilon(0.2, 0.0, 15_000),
            initial_value=0.0,
        )
        train(agent, env, 20_000, seed=0)
        observation, total_reward, done = env.reset(seed=0)[0], 0.0, False
        while not done:
            action = agent.predict(observation, deterministic=True)[0]
            observation, reward, terminated, truncated, _ = env.step(action)
            total_reward, done = total_reward + float(reward), terminated or truncated
        assert total_reward >= (-13 if learner is QLearning else -17)

    @pytest.mark.parametrize("misread", [0.0, 0.05])
    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_the_defaults_find_nine_of_ten_targets_within_two_thousand_steps(
        self, learner, misread
    ):
        class UntilGoal:
            def on_training_start(self, learner, env, total_timesteps): ...

            def on_step(self, step):
                return not step.info["at_goal"]

            def on_episode_end(self, episode): ...

            def on_training_end(self): ...

        reached = []
        for seed, goal in enumerate(random_goals(60)):
            grid = SemanticGridworld(goal, misread, reading_seed=seed)
            env = gym.wrappers.TimeLimit(grid, max_episode_steps=100)
            recorder = StatisticsRecorder()
            agent = learner(env.observation_space, env.action_space)
            agent.learn(env, 2000, seed=seed, callbacks=[recorder, UntilGoal()])
            reached.append(recorder.statistics().times_reached == 1)
        assert np.mean(reached) >= 0.9


class TestRandomAgent:
    def test_it_takes_every_joint_action_equally_often(self):
        agent = RandomAgent(FOUR, spaces.MultiDiscrete([4, 2]))
        agent.start_run(seed=0)
        taken = [agent.select_action(0) for _ in range(8000)]
        counts = np.bincount([2 * int(a) + int(b) for a, b in taken], minlength=8)
        assert counts == pytest.approx([1000] * 8, abs=120)


class TestTable:
    def test_too_many_actions_are_rejected(self):
        with pytest.raises(AgentError, match=r"takes up to 1,000,000 actions.*43,046,721"):
            QLearning(FOUR, spaces.MultiDiscrete([3] * 16))

    def test_a_table_of_10_to_the_18_states_is_saved_and_loaded(self, tmp_path):
        agent = QLearning(spaces.MultiDiscrete([1000] * 6), TWO, initial_value=0.0)
        here, there = np.arange(6), np.full(6, 999)
        agent.update(step(here, 0, 8.0, there))
        loaded = QLearning.load(agent.save(tmp_path / "sparse"))
        assert loaded.action_values(here).tolist() == [4.0, 0.0]
        assert loaded.action_values(there).tolist() == [0.0, 0.0]


class TestPredict:
    def test_deterministic_prediction_is_greedy(self):
        agent = QLearning(FOUR, TWO, epsilon=1.0, initial_value=0.0)
        agent.update(step(0, 1, 1.0, 1, terminated=True))
        assert {int(agent.predict(0, deterministic=True)[0]) for _ in range(20)} == {1}
        assert {int(agent.predict(0)[0]) for _ in range(50)} == {0, 1}

    @pytest.mark.parametrize("learner", LEARNERS.values())
    def test_predicting_leaves_the_random_numbers_of_training_alone(self, learner):
        actions = []
        for predictions in (0, 7):
            agent = learner(FOUR, spaces.Discrete(1000))
            agent.start_run(seed=3)
            for _ in range(predictions):
                agent.predict(0)
            actions.append([int(agent.select_action(0)) for _ in range(10)])
        assert actions[0] == actions[1]


class TestSaving:
    @given(SAVED)
    def test_containers_come_back_as_they_were(self, value):
        assert decode(json.loads(json.dumps(encode(value)))) == value

    @pytest.mark.parametrize("learner", LEARNERS.values())
    def test_a_loaded_learner_goes_on_like_the_saved_one(self, learner, tmp_path):
        env = gym.make("FrozenLake-v1")
        agent = learner(env.observation_space, env.action_space)
        agent.learn(env, 100, seed=0)
        loaded = learner.load(agent.save(tmp_path / "agent"), env)
        assert loaded.progress == agent.progress
        observation = env.reset(seed=0)[0]
        for _ in range(20):
            assert loaded.select_action(observation) == agent.select_action(observation)

    @pytest.mark.parametrize("learner", LEARNERS.values())
    def test_a_loaded_learner_draws_the_same_predictions_every_time(self, learner, tmp_path):
        env = gym.make("FrozenLake-v1")
        agent = learner(env.observation_space, env.action_space)
        agent.learn(env, 100, seed=0)
        path = agent.save(tmp_path / "agent")
        loaded = [learner.load(path) for _ in range(2)]
        predicted = [[one.predict(0)[0] for _ in range(40)] for one in loaded]
        assert predicted[0] == predicted[1]

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_settings_and_values_come_back(self, learner, tmp_path):
        agent = learner(
            FOUR,
            TWO,
            gamma=0.3,
            epsilon=LinearEpsilon(1.0, 0.1, 50),
            step_size=VisitCountStepSize(0.8),
            initial_value=-2.0,
        )
        for _ in range(5):
            agent.update(step(0, 1, 3.0, 1))
        loaded = learner.load(agent.save(tmp_path / "agent"))
        for twin in (agent, loaded):
            twin.update(step(0, 1, 3.0, 1, terminated=True))
        assert loaded.action_values(0).tolist() == agent.action_values(0).tolist()

    def test_the_file_is_plain_safetensors_under_the_given_name(self, tmp_path):
        path = LinearQLearning(FOUR, TWO, initial_value=5.0).save(tmp_path / "new" / "agent.v1")
        assert path == tmp_path / "new" / "agent.v1.safetensors"
        assert safetensors.numpy.load_file(path)["_weights"].tolist() == [[5.0, 5.0]] * 4
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_a_file_of_another_learner_is_rejected(self, tmp_path):
        path = SARSA(FOUR, TWO).save(tmp_path / "agent")
        with pytest.raises(AgentError, match="holds a sarsa learner"):
            QLearning.load(path)

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(AgentError, match=r"no saved learner at .*nowhere\.safetensors"):
            QLearning.load(tmp_path / "nowhere")

    @pytest.mark.parametrize("keep", [0, 7, 100, -8])
    def test_a_damaged_file_is_rejected(self, tmp_path, keep):
        path = QLearning(FOUR, TWO).save(tmp_path / "agent")
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(AgentError, match="damaged or is not a saved learner"):
            QLearning.load(path)

    def test_a_file_of_another_format_is_rejected_and_both_are_named(self, tmp_path):
        path = QLearning(FOUR, TWO).save(tmp_path / "agent")
        path.write_bytes(path.read_bytes().replace(b'\\"version\\": 4', b'\\"version\\": 7'))
        with pytest.raises(AgentError, match="has format 7, this version reads 4"):
            QLearning.load(path)

    def test_another_safetensors_file_is_rejected(self, tmp_path):
        path = tmp_path / "weights.safetensors"
        safetensors.numpy.save_file({"values": np.zeros((4, 2))}, path)
        with pytest.raises(AgentError, match="is not a saved learner"):
            QLearning.load(path)

    def test_a_failed_save_leaves_the_old_file_and_nothing_else(self, tmp_path, monkeypatch):
        agent = QLearning(FOUR, TWO)
        path = agent.save(tmp_path / "agent")
        before = path.read_bytes()

        def no_space(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", no_space)
        agent.update(step(0, 1, 1.0, 1))
        with pytest.raises(OSError, match="No space left"):
            agent.save(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_a_schedule_that_cannot_be_saved_is_rejected(self, tmp_path):
        agent = QLearning(FOUR, TWO, epsilon=lambda timestep: 0.1)
        with pytest.raises(AgentError, match="cannot be saved"):
            agent.save(tmp_path / "agent")
        assert not any(tmp_path.iterdir())

    def test_numbers_of_numpy_are_saved_like_pythons(self, tmp_path):
        saved = []
        for integer, real in ((int, float), (np.int64, np.float32)):
            agent = QLearning(
                FOUR,
                TWO,
                gamma=real(0.5),
                epsilon=real(0.25),
                step_size=real(0.5),
                initial_value=integer(3),
            )
            agent.start_run(seed=integer(4))
            path = agent.save(tmp_path / "agent")
            saved.append(path.read_bytes())
            assert QLearning.load(path).progress.seed == 4
        assert saved[0] == saved[1]

    def test_a_number_for_epsilon_means_a_constant_schedule(self, tmp_path):
        saved = []
        for epsilon in (0.3, ConstantEpsilon(0.3)):
            agent = QLearning(FOUR, TWO, epsilon=epsilon)
            agent.start_run(seed=0)
            saved.append(agent.save(tmp_path / "agent").read_bytes())
        assert saved[0] == saved[1]
