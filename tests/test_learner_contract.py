"""What every learner keeps to, those included that are added later."""

import inspect

import gymnasium as gym
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium_names import CLIFF_WALKING, TAXI
from semantic_gridworld import SemanticGridworld

from rldf_agents import LEARNERS, AgentError, train
from rldf_agents.callbacks import Checkpoint, ProgressBar
from rldf_agents.learners import DiscreteLearner, register_learner

STEPS = 400
AXES = "axes"
"""The search problem, with MultiDiscrete spaces; the others are Gymnasium's, with Discrete ones."""

ENVIRONMENTS = [AXES, "FrozenLake-v1", CLIFF_WALKING, TAXI]

every_learner = pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)


class Stripped(gym.Env):
    """Another environment with all that a learner must not look at taken away.

    Only ``reset``, ``step`` and the two spaces are left; whatever else is asked for is an error.
    """

    ALLOWED = ("reset", "step", "observation_space", "action_space")

    def __init__(self, env):
        self._inner = env
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def __getattribute__(self, name):
        if name in Stripped.ALLOWED or name in ("_inner", "__class__", "__dict__"):
            return super().__getattribute__(name)
        raise AssertionError(f"somebody looked behind the Gymnasium API, at {name}")

    def reset(self, *, seed=None, options=None):
        return self._inner.reset(seed=seed, options=options)[0], {}

    def step(self, action):
        return (*self._inner.step(action)[:4], {})


class StrippedVector(VectorEnv):
    """The same for vector environments; their number and autoreset mode are part of the API."""

    SPACES = ("single_observation_space", "single_action_space")
    ALLOWED = ("reset", "step", *SPACES, "num_envs", "metadata")

    def __init__(self, envs):
        self._inner = envs
        self.num_envs, self.metadata = envs.num_envs, {**envs.metadata}
        self.single_observation_space = envs.single_observation_space
        self.single_action_space = envs.single_action_space

    def __getattribute__(self, name):
        if name in StrippedVector.ALLOWED or name in ("_inner", "__class__", "__dict__"):
            return super().__getattribute__(name)
        raise AssertionError(f"somebody looked behind the Gymnasium API, at {name}")

    def reset(self, *, seed=None, options=None):
        return self._inner.reset(seed=seed, options=options)[0], {}

    def step(self, actions):
        *result, infos = self._inner.step(actions)
        return (*result, {name: infos[name] for name in ("final_obs",) if name in infos})


def make(name):
    if name == AXES:
        grid = SemanticGridworld(goal=(1, 3, 2, 5), misread=0.05)
        return gym.wrappers.TimeLimit(grid, max_episode_steps=50)
    return gym.make(name, max_episode_steps=50)


def make_vector(name=AXES, num_envs=3, mode=AutoresetMode.NEXT_STEP):
    return SyncVectorEnv([lambda: make(name)] * num_envs, autoreset_mode=mode)


def fresh(learner, name=AXES):
    env = make(name)
    return learner(env.observation_space, env.action_space)


def content(agent, folder):
    """All that a learner knows, as the bytes of its file."""
    return agent.save(folder / "content").read_bytes()


@every_learner
class TestNobodyCheats:
    def test_it_learns_the_same_where_nothing_is_left_but_the_gymnasium_api(
        self, learner, tmp_path
    ):
        agents = [fresh(learner) for _ in range(2)]
        for agent, env in zip(agents, (make(AXES), Stripped(make(AXES))), strict=True):
            train(agent, env, STEPS, seed=1)
        assert content(agents[0], tmp_path) == content(agents[1], tmp_path)

    @pytest.mark.parametrize("mode", AutoresetMode)
    def test_so_it_does_in_a_vector_environment(self, learner, mode, tmp_path):
        agents = [fresh(learner) for _ in range(2)]
        whole, stripped = make_vector(mode=mode), StrippedVector(make_vector(mode=mode))
        for agent, envs in zip(agents, (whole, stripped), strict=True):
            train(agent, envs, STEPS, seed=1)
        assert content(agents[0], tmp_path) == content(agents[1], tmp_path)


@every_learner
class TestDeterminism:
    @pytest.mark.parametrize("name", ENVIRONMENTS)
    def test_the_same_seed_gives_the_same_file_bit_for_bit(self, learner, name, tmp_path):
        agents = [fresh(learner, name) for _ in range(2)]
        for agent in agents:
            agent.learn(make(name), STEPS, seed=5)
        assert agents[0].progress.timesteps == STEPS
        assert content(agents[0], tmp_path) == content(agents[1], tmp_path)

    def test_another_seed_gives_another_run(self, learner, tmp_path):
        agents = [fresh(learner) for _ in range(2)]
        for seed, agent in enumerate(agents):
            agent.learn(make(AXES), STEPS, seed=seed)
        assert content(agents[0], tmp_path) != content(agents[1], tmp_path)

    @pytest.mark.parametrize("name", ENVIRONMENTS)
    @pytest.mark.parametrize("cut", [1, 3, 77])
    def test_a_run_resumed_in_the_middle_of_an_episode_ends_like_an_uninterrupted_one(
        self, learner, name, cut, tmp_path
    ):
        whole, first = fresh(learner, name), fresh(learner, name)
        whole.learn(make(name), STEPS, seed=7)
        first.learn(make(name), cut, seed=7)
        resumed = learner.load(first.save(tmp_path / "run"), make(name))
        resumed.learn(make(name), STEPS, seed=7)
        assert content(resumed, tmp_path) == content(whole, tmp_path)

    @pytest.mark.parametrize("mode", AutoresetMode)
    @pytest.mark.parametrize("name", [AXES, "FrozenLake-v1"])
    def test_in_a_vector_environment_a_loaded_learner_continues_like_the_saved_one(
        self, learner, mode, name, tmp_path
    ):
        first = fresh(learner, name)
        first.learn(make_vector(name, mode=mode), 77, seed=7)
        loaded = learner.load(first.save(tmp_path / "run"), make_vector(name, mode=mode))
        for agent in (first, loaded):
            agent.learn(make_vector(name, mode=mode), STEPS, seed=7)
            assert STEPS <= agent.progress.timesteps < STEPS + 3
        assert content(first, tmp_path) == content(loaded, tmp_path)

    def test_predicting_does_not_change_the_training(self, learner, tmp_path):
        class Onlooker:
            def on_training_start(self, learner, env, total_timesteps):
                self.learner = learner

            def on_step(self, step):
                for deterministic in (True, False):
                    self.learner.predict(step.transition.next_observation, deterministic)

            def on_episode_end(self, episode): ...

            def on_training_end(self): ...

        agents = [fresh(learner) for _ in range(2)]
        for agent, callbacks in zip(agents, ([], [Onlooker()]), strict=True):
            agent.learn(make(AXES), STEPS, seed=3, callbacks=callbacks)
        assert content(agents[0], tmp_path) == content(agents[1], tmp_path)


@every_learner
class TestSpaces:
    @pytest.mark.parametrize("name", ENVIRONMENTS)
    def test_it_takes_and_predicts_actions_of_the_space(self, learner, name):
        agent, env = fresh(learner, name), make(name)
        agent.learn(env, 100, seed=0)
        observation = env.reset(seed=0)[0]
        assert env.action_space.contains(agent.select_action(observation))
        for deterministic in (True, False):
            assert env.action_space.contains(agent.predict(observation, deterministic)[0])

    def test_boxes_are_rejected_by_name(self, learner):
        box, four = spaces.Box(0.0, 1.0, (2,)), spaces.Discrete(4)
        with pytest.raises(AgentError, match=r"observation space is Box.*Discrete"):
            learner(box, four)
        with pytest.raises(AgentError, match="action space is Box"):
            learner(four, box)

    def test_an_environment_with_other_spaces_is_rejected(self, learner):
        agent = fresh(learner, "FrozenLake-v1")
        for env in (make(CLIFF_WALKING), make_vector(CLIFF_WALKING)):
            with pytest.raises(AgentError, match=r"Discrete\(16\), the environment has Discrete"):
                agent.learn(env, 10, seed=0)

    def test_a_file_made_for_other_spaces_is_rejected_and_the_difference_named(
        self, learner, tmp_path
    ):
        path = fresh(learner, "FrozenLake-v1").save(tmp_path / "agent")
        for env in (make(CLIFF_WALKING), make_vector(CLIFF_WALKING)):
            with pytest.raises(AgentError) as refusal:
                learner.load(path, env)
            message = str(refusal.value)
            assert "observation_space Discrete(16), the environment has Discrete(48)" in message
            assert "action_space" not in message

    def test_it_is_registered_under_the_name_that_its_files_bear(self, learner, tmp_path):
        path = fresh(learner).save(tmp_path / "agent")
        assert LEARNERS[learner.name] is learner
        for other in set(LEARNERS.values()) - {learner}:
            with pytest.raises(AgentError, match=f"holds a {learner.name} learner"):
                other.load(path)


class TwoMethods:
    """As short as a learner from outside may be: repeats the action that last paid."""

    learn = train

    def __init__(self, observation_space, action_space):
        self.actions, self.best, self.rewards = action_space, {}, []

    def select_action(self, observation, sub_env=0):
        return self.best.get(str(observation), self.actions.sample())

    def update(self, transition, sub_env=0):
        self.rewards.append(transition.reward)
        if transition.reward > 0:
            self.best[str(transition.observation)] = transition.action

    def predict(self, observation, deterministic=False):
        return self.select_action(observation), None


class Ends:
    def __init__(self):
        self.started, self.steps, self.episodes = [], [], []

    def on_training_start(self, learner, env, total_timesteps):
        self.started.append(learner)

    def on_step(self, step):
        self.steps.append(step)
        return step.timestep != 240

    def on_episode_end(self, episode):
        self.episodes.append(episode)

    def on_training_end(self): ...


class TestLearnersFromOutside:
    @pytest.mark.parametrize("env", [make(AXES), make_vector()], ids=["single", "vector"])
    def test_two_methods_are_enough_to_be_trained(self, env, capsys):
        space = make(AXES)
        agent, callback = TwoMethods(space.observation_space, space.action_space), Ends()
        agent.learn(env, STEPS, seed=0, callbacks=[callback, ProgressBar()])
        assert callback.started == [agent]
        assert [step.timestep for step in callback.steps[:240]] == list(range(1, 241))
        assert 240 <= len(agent.rewards) < 243
        assert {episode.number for episode in callback.episodes[:3]} == {0, 1, 2}
        assert "/400" in capsys.readouterr().err

    def test_checkpoints_need_a_learner_that_can_be_saved(self, tmp_path):
        env = make(AXES)
        agent = TwoMethods(env.observation_space, env.action_space)
        with pytest.raises(AgentError, match=r"TwoMethods cannot be saved.*ResumableLearner"):
            agent.learn(env, 10, callbacks=[Checkpoint(tmp_path / "agent")])

    def test_a_name_can_be_registered_once(self):
        class Other(DiscreteLearner):
            name = "q_learning"

        with pytest.raises(AgentError, match="there is a learner named 'q_learning' already"):
            register_learner(Other)

    def test_an_unknown_setting_is_named_with_the_known_ones(self):
        env = make(AXES)
        spaces = env.observation_space, env.action_space
        with pytest.raises(AgentError, match=r"sarsa has no setting 'gama'; known: gamma, epsilon"):
            LEARNERS["sarsa"](*spaces, gama=0.5)
        with pytest.raises(AgentError, match=r"random has no setting 'gamma'; known: none"):
            LEARNERS["random"](*spaces, gamma=0.5)

    @every_learner
    def test_settings_are_the_keyword_arguments_of_the_signature(self, learner):
        parameters = inspect.signature(learner).parameters
        settings = vars(fresh(learner).settings)
        assert list(parameters) == ["observation_space", "action_space", *settings]
