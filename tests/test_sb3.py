"""Stable-Baselines3 models on RLDF-v0, and what callbacks of this package hear of them."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from painted_world import painted_arguments
from stable_baselines3 import DQN
from stable_baselines3.common.vec_env import DummyVecEnv

import rldf_gym
from rldf_agents import AgentError
from rldf_agents.callbacks import Checkpoint, ProgressBar
from rldf_agents.sb3 import PRESETS, CallbackBridge, make_model
from rldf_agents.statistics import StatisticsRecorder
from rldf_gym.wrappers import FlattenAction

gym.register_envs(rldf_gym)

STEPS = 192
EVERY_MODEL = pytest.mark.parametrize("name", PRESETS)


def make_env(**arguments):
    return gym.make("RLDF-v0", max_episode_steps=20, **painted_arguments(), **arguments)


class Listener:
    """Remembers what it heard; ends the run after so many steps."""

    def __init__(self, last_step=None):
        self.steps, self.episodes, self.ends, self.last_step = [], [], 0, last_step

    def on_step(self, step):
        self.steps.append(step)
        return step.timestep != self.last_step

    def on_episode_end(self, episode):
        self.episodes.append(episode)

    def on_training_end(self):
        self.ends += 1


@EVERY_MODEL
def test_a_model_learns_on_the_environment_as_it_is(name):
    env = make_env()
    model = make_model(name, env, seed=0)
    recorder = StatisticsRecorder()
    model.learn(STEPS, callback=CallbackBridge([recorder]))
    assert recorder.statistics().steps == STEPS
    action, _ = model.predict(env.reset(seed=0)[0], deterministic=True)
    assert model.action_space.contains(np.asarray(action))


@pytest.mark.parametrize("mode", ["jump", "tree"])
def test_maskable_ppo_takes_only_actions_that_change_the_state(mode):
    listener = Listener()
    model = make_model("maskable_ppo", make_env(action_mode=mode), seed=0)
    model.learn(STEPS, callback=CallbackBridge([listener]))
    steps = [step.transition for step in listener.steps]
    assert len(steps) == STEPS
    assert all((step.observation != step.next_observation).any() for step in steps)


@EVERY_MODEL
def test_the_same_seed_gives_the_same_run_and_the_same_network(name):
    runs = []
    for _ in range(2):
        recorder = StatisticsRecorder()
        model = make_model(name, make_env(), seed=3)
        model.learn(STEPS, callback=CallbackBridge([recorder]))
        weights = [weight.detach().numpy() for weight in model.policy.parameters()]
        runs.append((recorder.records, weights))
    (records, weights), (same_records, same_weights) = runs
    assert records == same_records
    assert all(np.array_equal(*pair) for pair in zip(weights, same_weights, strict=True))


@EVERY_MODEL
def test_a_loaded_model_acts_as_the_saved_one(name, tmp_path):
    env = make_env()
    model = make_model(name, env, seed=0)
    model.learn(STEPS)
    model.save(tmp_path / "model")
    loaded = PRESETS[name].algorithm.load(tmp_path / "model")
    states = np.array([env.observation_space.sample() for _ in range(50)])
    expected, found = (m.predict(states, deterministic=True)[0] for m in (model, loaded))
    assert np.array_equal(expected, found)


@pytest.mark.parametrize("name", ["dqn", "qr_dqn"])
def test_actions_are_numbered_for_models_that_need_it(name):
    assert make_model(name, make_env()).action_space == spaces.Discrete(8)


def test_discrete_actions_are_left_as_they_are():
    env = gym.make("FrozenLake-v1")
    assert make_model("dqn", env).action_space == env.action_space


def test_arguments_replace_those_of_the_preset():
    model = make_model("ppo", make_env(), gamma=0.5, policy_kwargs={"net_arch": [16]})
    assert model.gamma == 0.5
    assert model.n_steps == PRESETS["ppo"].arguments["n_steps"]
    assert model.policy.net_arch == [16]


def test_making_a_model_leaves_its_preset_as_it_was():
    before = dict(PRESETS["qr_dqn"].arguments["policy_kwargs"])
    make_model("qr_dqn", make_env())
    assert PRESETS["qr_dqn"].arguments["policy_kwargs"] == before


def test_an_unknown_model_is_rejected_with_the_known_ones():
    with pytest.raises(AgentError, match="'sac'; known: dqn, qr_dqn, ppo, maskable_ppo, a2c"):
        make_model("sac", make_env())


def test_vector_environments_that_sb3_cannot_take_are_rejected_with_the_fix():
    with pytest.raises(AgentError, match=r"wrap it in rldf_agents\.sb3_vec_env\.SB3VecEnv"):
        make_model("ppo", gym.vector.SyncVectorEnv([make_env]))
    with pytest.raises(AgentError, match=r"dqn takes numbered actions.*FlattenAction"):
        make_model("dqn", DummyVecEnv([make_env]))
    flat = DummyVecEnv([lambda: FlattenAction(make_env())])
    assert make_model("dqn", flat).action_space == spaces.Discrete(8)


def test_every_transition_is_reported_as_the_environment_made_it():
    listener = Listener()
    model = make_model("dqn", make_env(), seed=0)
    model.learn(100, callback=CallbackBridge([listener]))
    replay = FlattenAction(make_env(reward="multi_semantic"))
    episode = -1
    for number, step in enumerate(listener.steps, start=1):
        if step.episode != episode:
            replay.reset(options={"state": step.transition.observation})
            episode = step.episode
        transition = step.transition
        after, reward, terminated, truncated, info = replay.step(int(transition.action))
        assert np.array_equal(transition.next_observation, after)
        assert transition.reward == reward
        assert (transition.terminated, transition.truncated) == (terminated, truncated)
        assert step.info["prompt"] == info["prompt"]
        assert step.timestep == number


def test_episodes_are_reported_with_length_return_and_end():
    listener = Listener()
    make_model("dqn", make_env(), seed=0).learn(100, callback=CallbackBridge([listener]))
    assert [episode.number for episode in listener.episodes] == list(range(len(listener.episodes)))
    for episode in listener.episodes:
        steps = [step for step in listener.steps if step.episode == episode.number]
        assert episode.length == len(steps)
        assert episode.total_reward == pytest.approx(sum(s.transition.reward for s in steps))
        assert episode.terminated == steps[-1].transition.terminated
        assert episode.terminated or episode.length == 20


def test_sub_environments_have_episodes_of_their_own():
    listener = Listener()
    envs = DummyVecEnv([make_env, make_env, make_env])
    make_model("a2c", envs, seed=0, n_steps=8).learn(96, callback=CallbackBridge([listener]))
    assert [step.sub_env for step in listener.steps] == [0, 1, 2] * 32
    assert [step.timestep for step in listener.steps] == list(range(1, 97))
    episodes = {step.episode: step.sub_env for step in listener.steps}
    assert all(step.sub_env == episodes[step.episode] for step in listener.steps)


def test_a_listener_ends_the_run():
    listener = Listener(last_step=10)
    model = make_model("ppo", make_env(), seed=0)
    model.learn(STEPS, callback=CallbackBridge([listener]))
    assert (model.num_timesteps, len(listener.steps)) == (10, 10)


def test_training_may_go_on_in_parts():
    listener = Listener()
    bridge = CallbackBridge([listener])
    model = make_model("dqn", make_env(), seed=0)
    model.learn(30, callback=bridge)
    model.learn(30, callback=bridge, reset_num_timesteps=False)
    assert [step.timestep for step in listener.steps] == list(range(1, 61))
    assert all(e.terminated or e.length == 20 for e in listener.episodes)
    assert listener.ends == 2


def test_a_run_that_starts_again_starts_with_new_episodes():
    listener = Listener()
    bridge = CallbackBridge([listener])
    model = make_model("dqn", make_env(), seed=0)
    model.learn(30, callback=bridge)
    model.learn(30, callback=bridge)
    starts = [step for step in listener.steps if step.timestep == 1]
    assert [step.episode for step in starts] == [0, 0]


def test_a_bridge_may_join_a_run_in_the_middle_of_an_episode():
    late = Listener()
    model = make_model("dqn", make_env(), seed=0)
    model.learn(30)
    model.learn(30, callback=CallbackBridge([late]), reset_num_timesteps=False)
    assert [step.timestep for step in late.steps] == list(range(31, 61))
    assert [episode.number for episode in late.episodes] == list(range(len(late.episodes)))


def test_a_loaded_model_goes_on_with_new_episodes(tmp_path):
    listener = Listener()
    bridge = CallbackBridge([listener])
    model = make_model("dqn", make_env(), seed=0)
    model.learn(30, callback=bridge)
    model.save(tmp_path / "model")
    listener.steps.clear()
    listener.episodes.clear()
    loaded = DQN.load(tmp_path / "model", env=FlattenAction(make_env()))
    loaded.learn(30, callback=bridge, reset_num_timesteps=False)
    assert [step.timestep for step in listener.steps] == list(range(31, 61))
    assert listener.steps[0].episode == 0
    assert all(e.terminated or e.length == 20 for e in listener.episodes)


def test_the_search_is_logged_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = make_model("a2c", make_env(), seed=0, tensorboard_log=str(tmp_path))
    model.learn(STEPS, callback=CallbackBridge([]), log_interval=2, tb_log_name="search")
    log = EventAccumulator(str(tmp_path / "search_1")).Reload()
    seen = [event.value for event in log.Scalars("search/states_seen")]
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] >= 1
    assert {"search/distance", "search/fine", "search/coarse"} <= set(log.Tags()["scalars"])


@pytest.mark.parametrize("name", ["dqn", "a2c"])
def test_what_is_logged_is_the_last_step_before_the_log(name, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    listener = Listener()
    model = make_model(name, make_env(), seed=0, tensorboard_log=str(tmp_path))
    bridge = CallbackBridge([listener])
    model.learn(STEPS, callback=bridge, log_interval=1, tb_log_name="search")
    log = EventAccumulator(str(tmp_path / "search_1")).Reload()
    for key in ("distance", "states_seen"):
        events = log.Scalars(f"search/{key}")
        assert len(events) > 5
        assert [event.value for event in events] == [
            listener.steps[event.step - 1].info[key] for event in events
        ]


def test_the_progress_bar_of_sb3_runs_beside_the_bridge(capsys):
    make_model("a2c", make_env(), seed=0).learn(
        16, callback=CallbackBridge([Listener()]), progress_bar=True
    )
    assert "16/16" in "".join(capsys.readouterr())


@pytest.mark.parametrize("listener", [ProgressBar(), Checkpoint("learner.safetensors")])
def test_callbacks_that_need_a_learner_of_ours_are_rejected(listener):
    with pytest.raises(AgentError, match=f"{type(listener).__name__} needs a learner"):
        CallbackBridge([listener])


def test_a_model_whose_observations_are_no_labels_is_rejected():
    model = DQN("MultiInputPolicy", _WithDictObservations(), learning_starts=1)
    with pytest.raises(AgentError, match=r"observations are Dict"):
        model.learn(2, callback=CallbackBridge([]))


class _WithDictObservations(gym.Env):
    observation_space = spaces.Dict({"state": spaces.Discrete(2)})
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return {"state": 0}, {}

    def step(self, action):
        return {"state": 1}, 0.0, False, False, {}
