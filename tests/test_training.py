"""The training loop, its callbacks, determinism and resume."""

import signal
import threading

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium_names import CLIFF_WALKING
from hypothesis import given, settings
from hypothesis import strategies as st
from semantic_gridworld import SemanticGridworld

from rldf_agents import SARSA, AgentError, QLearning, RandomAgent, train
from rldf_agents.callbacks import Checkpoint, ProgressBar
from rldf_agents.seeding import episode_seed

ENVIRONMENTS = ["FrozenLake-v1", CLIFF_WALKING]
TEMPORAL_DIFFERENCE = [QLearning, SARSA]


class Listener:
    """Keeps all it hears; ends the run at one step, one episode, or by Ctrl-C at one step."""

    def __init__(self, last_step=None, last_episode=None, interrupt_at=None):
        self.last_step, self.last_episode = last_step, last_episode
        self.interrupt_at = interrupt_at
        self.heard, self.steps, self.episodes = [], [], []

    def on_training_start(self, learner, env, total_timesteps):
        self.heard.append("training start")

    def on_step(self, step):
        self.heard.append("step")
        self.steps.append(step)
        if step.timestep == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
        return step.timestep != self.last_step

    def on_episode_end(self, episode):
        self.heard.append("episode end")
        self.episodes.append(episode)
        return episode.number != self.last_episode

    def on_training_end(self):
        self.heard.append("training end")


class ResetSeeds(gym.Wrapper):
    """Keeps the seeds it was reset with."""

    def __init__(self, env):
        super().__init__(env)
        self.seeds = []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        return self.env.reset(seed=seed, options=options)


class Corridor(gym.Env):
    """Its observation is always the same array, changed in place."""

    observation_space = spaces.MultiDiscrete([10])
    action_space = spaces.Discrete(2)

    def __init__(self):
        self.place = np.zeros(1, dtype=np.int64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place[:] = 0
        return self.place, {}

    def step(self, action):
        self.place[:] = np.clip(self.place + (1 if action else -1), 0, 9)
        return self.place, 0.0, False, False, {}


def make(name):
    return gym.make(name, max_episode_steps=100)


def fresh(learner, env):
    return learner(env.observation_space, env.action_space)


def table(agent):
    return np.array([agent.action_values(s) for s in range(agent.observation_space.n)])


class TestLoop:
    def test_it_takes_exactly_the_steps_asked_for(self):
        env = make("FrozenLake-v1")
        agent = fresh(QLearning, env)
        train(agent, env, 137, seed=0)
        assert agent.progress.timesteps == 137

    def test_every_episode_is_reset_with_a_seed_of_its_own(self):
        env = ResetSeeds(make("FrozenLake-v1"))
        train(fresh(RandomAgent, env), env, 200, seed=5)
        assert env.seeds == [episode_seed(5, episode) for episode in range(len(env.seeds))]
        assert len(set(env.seeds)) == len(env.seeds) > 5

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_the_same_seed_gives_the_same_table_and_another_seed_another(self, learner):
        env = make("FrozenLake-v1")
        agents = [fresh(learner, env) for _ in range(3)]
        for agent, seed in zip(agents, (0, 0, 1), strict=True):
            agent.learn(env, 1000, seed=seed)
        assert np.array_equal(table(agents[0]), table(agents[1]))
        assert not np.array_equal(table(agents[0]), table(agents[2]))

    def test_another_seed_begins_another_run_and_keeps_what_was_learned(self):
        env = make("FrozenLake-v1")
        agent = fresh(QLearning, env)
        agent.learn(env, 500, seed=0)
        learned = table(agent)
        agent.learn(env, 0, seed=1)
        assert (agent.progress.seed, agent.progress.timesteps) == (1, 0)
        assert np.array_equal(table(agent), learned)

    def test_without_a_seed_one_is_drawn_and_kept(self):
        env = make("FrozenLake-v1")
        agent = fresh(RandomAgent, env)
        agent.learn(env, 10)
        seed = agent.progress.seed
        agent.learn(env, 20)
        assert (agent.progress.seed, agent.progress.timesteps) == (seed, 20)

    def test_other_spaces_than_the_learners_are_rejected_by_name(self):
        agent = QLearning(spaces.Discrete(16), spaces.Discrete(5))
        with pytest.raises(AgentError, match=r"action_space Discrete\(5\).*has Discrete\(4\)"):
            agent.learn(make("FrozenLake-v1"), 10, seed=0)

    def test_spaces_that_change_between_two_calls_are_rejected(self):
        env = make("FrozenLake-v1")
        agent = fresh(QLearning, env)
        agent.learn(env, 10, seed=0)
        env.observation_space = spaces.Discrete(17)
        with pytest.raises(AgentError, match=r"Discrete\(16\), the environment has Discrete\(17\)"):
            agent.learn(env, 20, seed=0)

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_an_observation_outside_the_space_is_named(self, learner):
        class Grown(SemanticGridworld):
            def step(self, action):
                return np.array([0, 0, 0, 8]), 0.0, False, False, {}

        env = Grown(goal=(0, 0, 0, 0))
        with pytest.raises(AgentError, match=r"observation \[0 0 0 8\] is not in the space"):
            fresh(learner, env).learn(env, 10, seed=0)

    @pytest.mark.parametrize(
        ("total_timesteps", "seed", "message"),
        [(-1, 0, "total_timesteps is -1"), (10, -1, "seed is -1")],
    )
    def test_negative_numbers_are_rejected(self, total_timesteps, seed, message):
        env = make("FrozenLake-v1")
        with pytest.raises(AgentError, match=message):
            fresh(QLearning, env).learn(env, total_timesteps, seed=seed)

    def test_an_environment_may_go_on_using_its_own_array(self):
        listener = Listener()
        env = Corridor()
        train(fresh(QLearning, env), env, 50, seed=0, callbacks=[listener])
        for step in listener.steps:
            place, action, _, next_place, *_ = step.transition
            assert next_place == np.clip(place + (1 if action else -1), 0, 9)


class TestCallbacks:
    def test_they_receive_start_steps_ends_of_episodes_and_end_in_this_order(self):
        env = make("FrozenLake-v1")
        listener = Listener()
        train(fresh(RandomAgent, env), env, 60, seed=0, callbacks=[listener])
        assert listener.heard[0] == "training start"
        assert listener.heard[-1] == "training end"
        assert [step.timestep for step in listener.steps] == list(range(1, 61))
        ends = [e.length for e in listener.episodes]
        done = [s for s in listener.steps if s.transition.terminated or s.transition.truncated]
        assert [step.timestep for step in done] == np.cumsum(ends).tolist()
        assert [e.number for e in listener.episodes] == list(range(len(done)))

    def test_an_episode_reports_its_return(self):
        env = make(CLIFF_WALKING)
        listener = Listener()
        train(fresh(RandomAgent, env), env, 250, seed=0, callbacks=[listener])
        rewards = [s.transition.reward for s in listener.steps if s.episode == 0]
        assert listener.episodes[0].total_reward == sum(rewards)
        assert listener.episodes[0].length == len(rewards)

    def test_one_that_returns_false_at_a_step_ends_the_run_after_it(self):
        env = make("FrozenLake-v1")
        agent, listener, other = fresh(RandomAgent, env), Listener(last_step=7), Listener()
        train(agent, env, 100, seed=0, callbacks=[listener, other])
        assert agent.progress.timesteps == len(listener.steps) == len(other.steps) == 7
        assert listener.heard[-1] == other.heard[-1] == "training end"

    def test_false_may_be_the_answer_of_a_numpy_comparison(self):
        class Impatient(Listener):
            def on_step(self, step):
                return np.int64(step.timestep) < 7

        env = make("FrozenLake-v1")
        agent = fresh(RandomAgent, env)
        train(agent, env, 100, seed=0, callbacks=[Impatient()])
        assert agent.progress.timesteps == 7

    def test_one_that_returns_false_at_the_end_of_an_episode_ends_the_run_there(self):
        env = make("FrozenLake-v1")
        agent = fresh(RandomAgent, env)
        train(agent, env, 1000, seed=0, callbacks=[Listener(last_episode=2)])
        assert agent.progress.episodes == 3

    def test_the_progress_bar_counts_the_steps(self, capsys):
        env = make("FrozenLake-v1")
        train(fresh(RandomAgent, env), env, 40, seed=0, callbacks=[ProgressBar()])
        assert "40/40" in capsys.readouterr().err

    def test_checkpoints_are_written_as_often_as_asked_and_at_the_end(self, tmp_path):
        env = make("FrozenLake-v1")
        checkpoint = Checkpoint(tmp_path / "run", every_steps=30)
        seen = []

        class Reader(Listener):
            def on_step(self, step):
                path = tmp_path / "run.safetensors"
                seen.append(QLearning.load(path).progress.timesteps if path.exists() else 0)

        train(fresh(QLearning, env), env, 70, seed=0, callbacks=[checkpoint, Reader()])
        assert seen == [0] * 29 + [30] * 30 + [60] * 11
        assert QLearning.load(tmp_path / "run").progress.timesteps == 70

    def test_checkpoints_can_be_written_every_few_episodes(self, tmp_path):
        env = make("FrozenLake-v1")
        checkpoint = Checkpoint(tmp_path / "run", every_episodes=2)
        episodes = []

        class Reader(Listener):
            def on_episode_end(self, episode):
                path = tmp_path / "run.safetensors"
                episodes.append(QLearning.load(path).progress.episodes if path.exists() else 0)
                return episode.number < 4

        train(fresh(QLearning, env), env, 10_000, seed=0, callbacks=[checkpoint, Reader()])
        assert episodes == [0, 2, 2, 4, 4]

    @pytest.mark.parametrize("interval", [{"every_steps": 0}, {"every_episodes": -1}])
    def test_an_impossible_interval_is_rejected(self, tmp_path, interval):
        with pytest.raises(AgentError, match="at least 1"):
            Checkpoint(tmp_path / "run", **interval)


class TestResume:
    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    @pytest.mark.parametrize("name", ENVIRONMENTS)
    @pytest.mark.parametrize("cut", [1, 333, 1000])
    def test_a_run_resumed_from_a_file_ends_with_the_table_of_an_uninterrupted_one(
        self, tmp_path, name, learner, cut
    ):
        whole = fresh(learner, make(name))
        whole.learn(make(name), 2000, seed=7)
        first = fresh(learner, make(name))
        first.learn(make(name), cut, seed=7, callbacks=[Checkpoint(tmp_path / "run")])
        resumed = learner.load(tmp_path / "run", make(name))
        resumed.learn(make(name), 2000, seed=7)
        assert np.array_equal(table(resumed), table(whole))
        assert resumed.progress.timesteps == whole.progress.timesteps == 2000
        assert resumed.progress.episodes == whole.progress.episodes

    @settings(max_examples=20, deadline=None)
    @given(cuts=st.lists(st.integers(0, 400), max_size=4), learner=st.sampled_from([0, 1]))
    def test_a_run_may_be_cut_anywhere_and_any_number_of_times(self, cuts, learner):
        kind = TEMPORAL_DIFFERENCE[learner]
        env = make("FrozenLake-v1")
        whole, parts = fresh(kind, env), fresh(kind, env)
        whole.learn(env, 400, seed=3)
        for steps in [*sorted(cuts), 400]:
            parts.learn(env, steps, seed=3)
        assert np.array_equal(table(parts), table(whole))

    @pytest.mark.parametrize("learner", TEMPORAL_DIFFERENCE)
    def test_ctrl_c_completes_the_step_saves_and_can_be_resumed_exactly(self, tmp_path, learner):
        env = make(CLIFF_WALKING)
        whole = fresh(learner, env)
        whole.learn(env, 1500, seed=2)
        callbacks = [Listener(interrupt_at=777), Checkpoint(tmp_path / "run")]
        with pytest.raises(KeyboardInterrupt):
            fresh(learner, env).learn(env, 1500, seed=2, callbacks=callbacks)
        assert callbacks[0].heard[-1] == "training end"
        resumed = learner.load(tmp_path / "run", env)
        assert resumed.progress.timesteps == 777
        resumed.learn(env, 1500, seed=2)
        assert np.array_equal(table(resumed), table(whole))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_training_works_outside_the_main_thread_too(self):
        env = make("FrozenLake-v1")
        agent = fresh(QLearning, env)
        thread = threading.Thread(target=agent.learn, args=(env, 100), kwargs={"seed": 0})
        thread.start()
        thread.join()
        assert agent.progress.timesteps == 100

    def test_the_steps_repeated_on_resume_are_not_reported_to_callbacks_again(self):
        env = make(CLIFF_WALKING)
        agent, listener = fresh(QLearning, env), Listener()
        agent.learn(env, 50, seed=0)
        agent.learn(env, 100, callbacks=[listener])
        assert [step.timestep for step in listener.steps] == list(range(51, 101))
        assert listener.episodes[0].length == 100

    def test_an_environment_that_does_not_repeat_itself_is_reported(self):
        class Wayward(SemanticGridworld):
            def reset(self, *, seed=None, options=None):
                return super().reset(seed=None, options=options)

        env = Wayward(goal=(0, 0, 0, 0))
        agent = fresh(QLearning, env)
        agent.learn(env, 5, seed=0)
        listener = Listener()
        with pytest.warns(RuntimeWarning, match="episode 0 did not repeat itself"):
            agent.learn(env, 20, seed=0, callbacks=[listener])
        assert agent.progress.timesteps == 20
        since = 15 - sum(episode.length for episode in listener.episodes)
        assert len(agent.progress.actions) == since
