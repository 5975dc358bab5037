"""Learning in vector environments: autoreset, callbacks, whole arrays, determinism and resume."""

import itertools
import signal

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium_names import CLIFF_WALKING
from hypothesis import given
from hypothesis import strategies as st
from semantic_gridworld import SemanticGridworld

from rldf_agents import LEARNERS, SARSA, AgentError, QLearning, RandomAgent, train
from rldf_agents.callbacks import Checkpoint, ProgressBar
from rldf_agents.protocols import Transition, Transitions
from rldf_agents.schedules import ConstantStepSize, VisitCountStepSize
from rldf_agents.seeding import episode_seed

MODES = list(AutoresetMode)
TEMPORAL_DIFFERENCE = [QLearning, SARSA]


class Clock(gym.Env):
    """Tells how long its episode lasts; every second episode terminates, the others are truncated.

    Its length is drawn at reset, so that it hangs from the episodes before; observation and info
    tell the time within the episode.
    """

    observation_space = spaces.Discrete(100)
    action_space = spaces.MultiDiscrete([3, 2])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.end = 0, int(self.np_random.integers(2, 7))
        return self.time, {"time": self.time, "begins": "yes"}

    def step(self, action):
        self.time += 1
        done = self.time == self.end
        reward = float(10 * action[0] + action[1])
        terminated = done and self.end % 2 == 0
        return self.time, reward, terminated, done and not terminated, {"time": self.time}


class Listener:
    """Keeps all it hears; ends the run at one step, or by Ctrl-C."""

    def __init__(self, last_step=None, interrupt_at=None):
        self.last_step, self.interrupt_at = last_step, interrupt_at
        self.steps, self.episodes, self.ended = [], [], False

    def on_training_start(self, learner, env, total_timesteps): ...

    def on_step(self, step):
        self.steps.append(step)
        if step.timestep == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        return step.timestep != self.last_step

    def on_episode_end(self, episode):
        self.episodes.append(episode)

    def on_training_end(self):
        self.ended = True


class OneByOne:
    """A learner that offers no more than single steps: what it learns is what it received."""

    name = "one_by_one"

    def __init__(self, envs):
        self._inner = RandomAgent(envs.single_observation_space, envs.single_action_space)
        self.reported = []

    def __getattr__(self, name):
        if name in ("select_actions", "update_all"):
            raise AttributeError(name)
        return getattr(self._inner, name)

    def update(self, transition, sub_env=0):
        self.reported.append((sub_env, transition))
        self._inner.update(transition, sub_env)


def clocks(num_envs=3, mode=AutoresetMode.NEXT_STEP, **options):
    return SyncVectorEnv([Clock] * num_envs, autoreset_mode=mode, **options)


def lakes(num_envs=4, mode=AutoresetMode.NEXT_STEP):
    def lake():
        return gym.make("FrozenLake-v1", max_episode_steps=20)

    return SyncVectorEnv([lake] * num_envs, autoreset_mode=mode)


def fresh(learner, envs, **options):
    return learner(envs.single_observation_space, envs.single_action_space, **options)


def table(agent):
    return np.array([agent.action_values(s) for s in range(agent.observation_space.n)])


def alone(steps, seed):
    """What one sub-environment tells when it takes the actions of these steps by itself."""
    env = Clock()
    observation, _ = env.reset(seed=seed)
    for step in steps:
        action = step.transition.action
        following, reward, terminated, truncated, info = env.step(action)
        yield observation, reward, following, terminated, truncated, info
        observation = env.reset()[0] if terminated or truncated else following


@pytest.mark.parametrize("mode", MODES)
class TestAutoreset:
    @pytest.mark.parametrize("copy", [True, False])
    def test_every_sub_environment_reports_the_steps_that_it_would_take_alone(self, mode, copy):
        envs, listener = clocks(mode=mode, copy=copy), Listener()
        fresh(RandomAgent, envs).learn(envs, 300, seed=4, callbacks=[listener])
        for sub_env in range(envs.num_envs):
            steps = [step for step in listener.steps if step.sub_env == sub_env]
            expected = list(alone(steps, episode_seed(4, 0) + sub_env))
            reported = [
                (t.observation, t.reward, t.next_observation, t.terminated, t.truncated, s.info)
                for s in steps
                for t in [s.transition]
            ]
            assert len(reported) > 80
            assert reported == expected

    def test_a_learner_without_array_methods_receives_the_same_steps(self, mode):
        envs, listener = clocks(mode=mode), Listener()
        agent = OneByOne(envs)
        train(agent, envs, 200, seed=1, callbacks=[listener])
        reported = [(step.sub_env, step.transition) for step in listener.steps]
        assert [(i, *map(str, t)) for i, t in agent.reported] == [
            (i, *map(str, t)) for i, t in reported
        ]
        assert agent.progress.timesteps == len(reported)

    def test_no_step_leads_from_one_episode_into_the_next(self, mode):
        envs, listener = clocks(mode=mode), Listener()
        fresh(RandomAgent, envs).learn(envs, 300, seed=0, callbacks=[listener])
        for step in listener.steps:
            assert step.transition.next_observation == step.transition.observation + 1

    def test_episodes_report_their_own_length_return_and_number(self, mode):
        envs, listener = clocks(mode=mode), Listener()
        agent = fresh(RandomAgent, envs)
        agent.learn(envs, 300, seed=0, callbacks=[listener])
        assert agent.progress.episodes == len(listener.episodes) > 50
        for episode in listener.episodes:
            steps = [s.transition for s in listener.steps if s.episode == episode.number]
            assert episode.length == len(steps)
            assert episode.total_reward == sum(step.reward for step in steps)
            assert episode.terminated == steps[-1].terminated
        begun = [s.episode for s in listener.steps if s.transition.observation == 0]
        assert sorted(begun) == list(range(len(begun)))


class TestLoop:
    @pytest.mark.parametrize("learner", [QLearning, SARSA, RandomAgent])
    @pytest.mark.parametrize("mode", MODES)
    def test_all_steps_of_all_sub_environments_count(self, learner, mode):
        envs, listener = clocks(num_envs=4, mode=mode), Listener()
        agent = fresh(learner, envs)
        agent.learn(envs, 101, seed=0, callbacks=[listener])
        assert 101 <= agent.progress.timesteps <= 104
        steps = [step.timestep for step in listener.steps]
        assert steps == list(range(1, agent.progress.timesteps + 1))

    def test_one_sub_environment_learns_like_a_single_environment_up_to_the_first_reset(self):
        envs = SyncVectorEnv([lambda: SemanticGridworld(goal=(1, 3, 2, 5))])
        single = SemanticGridworld(goal=(1, 3, 2, 5))
        agents = [QLearning(single.observation_space, single.action_space) for _ in range(2)]
        reported = []
        for agent, env in zip(agents, (single, envs), strict=True):
            listener = Listener()
            agent.learn(env, 12, seed=0, callbacks=[listener])
            reported.append(
                [(*s.transition.observation, *s.transition.action) for s in listener.steps]
            )
        assert reported[0] == reported[1]

    def test_a_callback_that_returns_false_ends_the_run_after_the_step_of_all(self):
        envs = clocks(mode=AutoresetMode.SAME_STEP)
        listener, other = Listener(last_step=7), Listener()
        agent = fresh(RandomAgent, envs)
        agent.learn(envs, 100, seed=0, callbacks=[listener, other])
        assert agent.progress.timesteps == len(listener.steps) == len(other.steps) == 9
        assert listener.ended
        assert other.ended

    def test_the_progress_bar_and_checkpoints_work_here_too(self, tmp_path, capsys):
        envs = clocks()
        callbacks = [ProgressBar(), Checkpoint(tmp_path / "run", every_steps=10)]
        fresh(QLearning, envs).learn(envs, 40, seed=0, callbacks=callbacks)
        assert "42step" in capsys.readouterr().err
        assert QLearning.load(tmp_path / "run", envs).progress.timesteps == 42

    def test_gymnasiums_own_vector_environments_work(self):
        envs = gym.make_vec(CLIFF_WALKING, num_envs=2, vectorization_mode="async")
        agent = fresh(QLearning, envs)
        agent.learn(envs, 100, seed=0)
        envs.close()
        assert agent.progress.timesteps == 100

    def test_other_spaces_than_the_learners_are_rejected_by_name(self):
        agent = QLearning(spaces.Discrete(16), spaces.Discrete(5))
        with pytest.raises(AgentError, match=r"action_space Discrete\(5\).*has Discrete\(4\)"):
            agent.learn(lakes(), 10, seed=0)

    def test_spaces_that_change_between_two_calls_are_rejected(self):
        envs = lakes()
        agent = fresh(QLearning, envs)
        agent.learn(envs, 10, seed=0)
        envs.single_observation_space = spaces.Discrete(17)
        with pytest.raises(AgentError, match=r"Discrete\(16\), the environment has Discrete\(17\)"):
            agent.learn(envs, 20, seed=0)

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_an_observation_outside_the_space_is_named(self, learner):
        class Runaway(Clock):
            def step(self, action):
                return 500, 0.0, False, False, {}

        envs = SyncVectorEnv([Clock, Runaway])
        with pytest.raises(AgentError, match="observation 500 is not in the space Discrete"):
            fresh(learner, envs).learn(envs, 10, seed=0)

    def test_an_environment_that_does_not_say_how_it_resets_is_rejected(self):
        envs = clocks()
        del envs.metadata["autoreset_mode"]
        with pytest.raises(AgentError, match=r"metadata\['autoreset_mode'\] is None"):
            fresh(QLearning, envs).learn(envs, 10, seed=0)


class TestResume:
    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    @pytest.mark.parametrize("mode", MODES)
    def test_a_resumed_run_keeps_what_was_learned_and_starts_new_episodes(
        self, tmp_path, learner, mode
    ):
        first = fresh(learner, lakes(mode=mode))
        first.learn(lakes(mode=mode), 333, seed=7)
        resumed = learner.load(first.save(tmp_path / "run"), lakes(mode=mode))
        assert np.array_equal(table(resumed), table(first))
        done, episodes, listener = first.progress.timesteps, first.progress.episodes, Listener()
        resumed.learn(lakes(mode=mode), 400, seed=7, callbacks=[listener])
        assert [s.timestep for s in listener.steps] == list(
            range(done + 1, done + 1 + len(listener.steps))
        )
        assert [s.episode for s in listener.steps[:4]] == [episodes + i for i in range(4)]
        assert [s.transition.observation for s in listener.steps[:4]] == [0] * 4

    @pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
    def test_the_same_cuts_give_the_same_run(self, learner, tmp_path):
        contents = []
        for _ in range(2):
            agent = fresh(learner, clocks())
            for steps in (7, 30, 90):
                agent.learn(clocks(), steps, seed=3)
            contents.append(agent.save(tmp_path / "run").read_bytes())
        assert contents[0] == contents[1]

    @pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
    def test_the_file_does_not_grow_with_the_run(self, learner, tmp_path):
        agent, sizes = fresh(learner, clocks(1)), []
        for steps in (4_000, 8_000):
            agent.learn(clocks(1), steps, seed=0)
            sizes.append(agent.save(tmp_path / "run").stat().st_size)
        assert (agent.progress.actions, agent.progress.observation) == ([], None)
        assert sizes[1] < 1.2 * sizes[0]

    def test_ctrl_c_completes_the_step_of_all_and_saves(self, tmp_path):
        callbacks = [Listener(interrupt_at=301), Checkpoint(tmp_path / "run")]
        with pytest.raises(KeyboardInterrupt):
            fresh(SARSA, lakes()).learn(lakes(), 600, seed=2, callbacks=callbacks)
        resumed = SARSA.load(tmp_path / "run")
        assert 301 <= resumed.progress.timesteps <= 304
        resumed.learn(lakes(), 600, seed=2)
        assert 600 <= resumed.progress.timesteps <= 603

    def test_a_run_may_change_between_single_and_vector_environments(self):
        agent = fresh(QLearning, clocks())
        agent.learn(clocks(), 40, seed=0)
        agent.learn(Clock(), 60, seed=0)
        agent.learn(clocks(5, AutoresetMode.SAME_STEP), 80, seed=0)
        assert agent.progress.timesteps >= 80
        assert agent.progress.actions == []

    def test_the_same_seed_gives_the_same_table_and_another_seed_another(self):
        agents = [fresh(QLearning, lakes()) for _ in range(3)]
        for agent, seed in zip(agents, (0, 0, 1), strict=True):
            agent.learn(lakes(), 1000, seed=seed)
        assert np.array_equal(table(agents[0]), table(agents[1]))
        assert not np.array_equal(table(agents[0]), table(agents[2]))


N_STATES, N_ACTIONS = 4, 3
STEP_SIZES = st.sampled_from([ConstantStepSize(0.3), ConstantStepSize(1.0), VisitCountStepSize()])


@st.composite
def vector_steps(draw, n_envs=5):
    """Steps in which some pairs of state and action repeat."""
    n = draw(st.integers(1, n_envs))
    of_states = st.lists(st.integers(0, N_STATES - 1), min_size=n, max_size=n)
    of_actions = st.lists(st.integers(0, N_ACTIONS - 1), min_size=n, max_size=n)
    of_rewards = st.lists(st.integers(-5, 5).map(float), min_size=n, max_size=n)
    of_flags = st.lists(st.booleans(), min_size=n, max_size=n)
    sub_envs = draw(st.permutations(range(n_envs)))[:n]
    return Transitions(
        np.array(sorted(sub_envs)),
        np.array(draw(of_states)),
        np.array(draw(of_actions)),
        np.array(draw(of_rewards)),
        np.array(draw(of_states)),
        np.array(draw(of_flags)),
        np.array(draw(of_flags)),
    )


class PlainTable:
    """The textbook, one pair after the other, with targets from before the step."""

    def __init__(self, step_size, initial_value):
        pairs = list(itertools.product(range(N_STATES), range(N_ACTIONS)))
        self.values = dict.fromkeys(pairs, initial_value)
        self.counts = dict.fromkeys(pairs, 0)
        self._step_size = step_size

    def best(self, state):
        return max(self.values[state, action] for action in range(N_ACTIONS))

    def improve(self, pairs, targets):
        for pair, target in zip(pairs, targets, strict=True):
            self.counts[pair] += 1
            alpha = self._step_size(self.counts[pair])
            self.values[pair] += alpha * (target - self.values[pair])

    def rows(self):
        return np.array(list(self.values.values())).reshape(N_STATES, N_ACTIONS)


class TestArrays:
    @given(steps=st.lists(vector_steps(), max_size=8), step_size=STEP_SIZES)
    def test_q_learning_takes_all_targets_from_before_the_step_and_learns_in_order(
        self, steps, step_size
    ):
        agent = QLearning(
            spaces.Discrete(N_STATES), spaces.Discrete(N_ACTIONS), gamma=0.5, step_size=step_size
        )
        plain = PlainTable(step_size, 20.0)
        for step in steps:
            agent.update_all(step)
            rows = [step.transition(row) for row in range(step.rewards.size)]
            targets = [
                t.reward + 0.5 * (0.0 if t.terminated else plain.best(t.next_observation))
                for t in rows
            ]
            plain.improve([(t.observation, t.action) for t in rows], targets)
        assert np.array_equal(table(agent), plain.rows())
        assert agent.progress.timesteps == sum(plain.counts.values())

    @given(steps=st.lists(vector_steps(), max_size=8), step_size=STEP_SIZES)
    def test_sarsa_takes_the_actions_that_it_then_plays_from_before_the_step(
        self, steps, step_size
    ):
        agent = SARSA(
            spaces.Discrete(N_STATES),
            spaces.Discrete(N_ACTIONS),
            gamma=0.5,
            epsilon=1.0,
            step_size=step_size,
        )
        agent.start_run(seed=0)
        plain = PlainTable(step_size, 20.0)
        for step in steps:
            agent.update_all(step)
            played = agent.select_actions(step.next_observations, step.sub_envs)
            rows = [step.transition(row) for row in range(step.rewards.size)]
            known = [t.terminated or not t.truncated for t in rows]
            if not all(known):  # what was drawn at a truncation is not played
                return
            targets = [
                t.reward + 0.5 * (0.0 if t.terminated else plain.values[t.next_observation, a])
                for t, a in zip(rows, played.tolist(), strict=True)
            ]
            plain.improve([(t.observation, t.action) for t in rows], targets)
            assert np.array_equal(table(agent), plain.rows())

    def test_sarsa_does_not_keep_the_action_that_was_drawn_at_a_truncation(self):
        agent = SARSA(spaces.Discrete(2), spaces.Discrete(2), epsilon=1.0)
        agent.start_run(seed=0)
        zeros, no, yes = np.zeros(2, dtype=np.int64), np.zeros(2, bool), np.ones(2, bool)
        agent.update_all(Transitions(np.arange(2), zeros, zeros, np.zeros(2), zeros, no, yes))
        drawn = [agent.select_actions(zeros, np.arange(2)).tolist() for _ in range(20)]
        assert {actions[0] for actions in drawn} == {actions[1] for actions in drawn} == {0, 1}

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    @pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
    @given(steps=st.lists(vector_steps(), max_size=3), seed=st.integers(0, 99))
    def test_actions_chosen_together_are_those_chosen_one_by_one(
        self, learner, epsilon, steps, seed
    ):
        twins = []
        for _ in range(2):
            agent = learner(spaces.Discrete(N_STATES), spaces.Discrete(N_ACTIONS), epsilon=epsilon)
            agent.start_run(seed)
            for step in steps:
                agent.update_all(step)
            twins.append(agent)
        sub_envs = np.arange(5, 45)
        observations = sub_envs % N_STATES
        together = twins[0].select_actions(observations, sub_envs)
        one_by_one = [
            twins[1].select_action(*pair) for pair in zip(observations, sub_envs, strict=True)
        ]
        assert together.tolist() == one_by_one

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_equally_good_actions_are_taken_equally_often(self, learner):
        agent = learner(spaces.Discrete(4), spaces.Discrete(4), epsilon=0.0, initial_value=1.0)
        agent.start_run(seed=0)
        agent.update(Transition(0, 2, -9.0, 1, True, False))
        everywhere = agent.select_actions(np.zeros(3000, dtype=np.int64), np.arange(3000))
        counts = np.bincount(everywhere, minlength=4)
        assert counts[2] == 0
        assert counts[[0, 1, 3]] == pytest.approx([1000] * 3, abs=100)

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_a_reward_that_is_no_number_is_rejected_and_nothing_is_learned(self, learner):
        agent = learner(spaces.Discrete(4), spaces.Discrete(2))
        flags = np.zeros(2, dtype=bool)
        step = Transitions(
            np.arange(2),
            np.array([0, 1]),
            np.array([0, 1]),
            np.array([1.0, np.nan]),
            np.array([1, 2]),
            flags,
            flags,
        )
        before = table(agent)
        with pytest.raises(AgentError, match="reward of nan"):
            agent.update_all(step)
        assert np.array_equal(table(agent), before)

    def test_sub_environments_find_the_goal_together(self):
        def make():
            grid = SemanticGridworld(goal=(1, 3, 2, 5))
            return gym.wrappers.TimeLimit(grid, max_episode_steps=100)

        reached = {}
        for learner in (QLearning, RandomAgent):
            envs, listener = SyncVectorEnv([make] * 8), Listener()
            fresh(learner, envs).learn(envs, 8000, seed=0, callbacks=[listener])
            reached[learner] = sum(episode.terminated for episode in listener.episodes)
        print(reached)
        assert reached[QLearning] > 3 * reached[RandomAgent]
