"""Stable-Baselines3 on the vector environment, against its own vectorization of single ones."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from painted_world import PaintedGenerator, load_grammar, paint, painted_arguments
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from rldf_agents.errors import AgentError
from rldf_agents.sb3 import make_model
from rldf_agents.sb3_vec_env import SB3VecEnv
from rldf_gym.wrappers import VectorFlattenAction

BASE = load_grammar("base")
GOAL = [1, 5, 1, 3]
NOUN_UP, SCENE_DOWN = [1, 1], [3, 0]
SHARED_COUNTERS = {"generations", "states_seen"}


def make_gymnasium(num_envs: int = 3, **arguments) -> gym.vector.VectorEnv:
    return gym.make_vec(
        "RLDF-v0",
        num_envs,
        autoreset_mode=AutoresetMode.SAME_STEP,
        **{**painted_arguments(target=GOAL), **arguments},
    )


def make(num_envs: int = 3, **arguments) -> SB3VecEnv:
    return SB3VecEnv(make_gymnasium(num_envs, **arguments))


def plain(infos: list[dict]) -> list[dict]:
    """What sub-environments do not share, in comparable form."""
    comparable = [{k: v for k, v in info.items() if k not in SHARED_COUNTERS} for info in infos]
    arrays = np.ndarray
    return [
        {key: v.tolist() if isinstance(v, arrays) else v for key, v in info.items()}
        for info in comparable
    ]


@pytest.mark.parametrize("arguments", [{}, {"reward": "clip"}, {"action_mode": "joint"}], ids=str)
def test_it_walks_as_sb3s_own_vectorization_does(arguments):
    arguments = painted_arguments(target=GOAL) | {"max_episode_steps": 7} | arguments
    envs = make(3, **arguments)
    twins = DummyVecEnv([lambda: gym.make("RLDF-v0", **arguments)] * 3)
    assert envs.observation_space == twins.observation_space
    assert envs.action_space == twins.action_space
    envs.seed(5)
    twins.seed(5)
    observations, expected = envs.reset(), twins.reset()
    assert np.array_equal(observations, expected)
    assert observations.dtype == expected.dtype
    random = np.random.default_rng(0)
    sizes = envs.action_space.nvec
    for _ in range(40):
        actions = random.integers(0, sizes, (3, len(sizes)))
        result, expected = envs.step(actions), twins.step(actions)
        for one, other in zip(result[:3], expected[:3], strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        assert plain(result[3]) == plain(expected[3])
        assert plain(envs.reset_infos) == plain(twins.reset_infos)


def test_what_is_missing_is_drawn_in_one_batch():
    generator = PaintedGenerator(BASE)
    envs = make(3, generator=generator)
    envs.set_options({"state": np.array([[0, 0, 0, 0], [0, 1, 0, 0], [0, 2, 0, 0]])})
    envs.reset()
    envs.step(np.array([NOUN_UP] * 3))
    assert [len(batch) for batch in generator.calls] == [3, 1]


def test_the_last_observation_of_an_episode_is_kept():
    envs = make(2)
    envs.set_options({"state": [1, 4, 1, 3]})
    envs.reset()
    observations, _, dones, infos = envs.step(np.array([NOUN_UP, SCENE_DOWN]))
    assert dones.tolist() == [True, False]
    assert infos[0]["terminal_observation"].tolist() == GOAL
    assert infos[0]["at_goal"]
    assert not infos[0]["TimeLimit.truncated"]
    assert observations[0].tolist() != GOAL
    assert "terminal_observation" not in infos[1]


def test_an_episode_that_is_cut_off_says_so():
    envs = make(2, max_episode_steps=1)
    envs.set_options({"state": [1, 4, 1, 3]})
    envs.reset()
    *_, dones, infos = envs.step(np.array([NOUN_UP, SCENE_DOWN]))
    assert dones.tolist() == [True, True]
    assert [info["TimeLimit.truncated"] for info in infos] == [False, True]


def test_seeds_and_options_serve_one_reset():
    envs = make(3)
    envs.seed(5)
    first = envs.reset()
    second = envs.reset()
    envs.seed(5)
    assert np.array_equal(envs.reset(), first)
    assert np.array_equal(envs.reset(), second)
    envs.set_options({"state": GOAL})
    assert envs.reset().tolist() == [GOAL] * 3
    assert envs.reset().tolist() != [GOAL] * 3


def test_options_for_each_are_rejected_with_the_fix():
    with pytest.raises(AgentError, match=r"'state': states"):
        make(2).set_options([{"state": GOAL}, {}])


def test_attributes_are_those_of_the_vector_environment():
    envs = SB3VecEnv(VectorFlattenAction(make_gymnasium(3)))
    assert [goal.state.tolist() for goal in envs.get_attr("goal")] == [GOAL] * 3
    assert envs.get_attr("render_mode", indices=1) == [None]
    assert len(envs.get_attr("goal", indices=[0, 2])) == 2
    assert envs.has_attr("grammar")
    assert not envs.has_attr("gravity")
    envs.set_attr("stop_at", None)
    assert envs.get_attr("stop_at") == [None] * 3


def test_what_is_shared_cannot_be_set_for_some():
    with pytest.raises(AgentError, match="'stop_at'"):
        make(3).set_attr("stop_at", None, indices=[0])


def test_methods_of_single_sub_environments_are_rejected():
    with pytest.raises(AgentError, match="'hello'"):
        make(3).env_method("hello")


def test_maskable_ppo_gets_the_mask_of_each_sub_environment():
    envs = make(3, action_mode="jump")
    envs.set_options({"state": [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]})
    envs.reset()
    masks = get_action_masks(envs)
    assert masks.shape == (3, 23)
    assert masks[:, :4].tolist() == [[0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]
    make_model("maskable_ppo", envs, seed=0).learn(100)


def test_sub_environments_have_no_wrappers_of_their_own():
    assert make(3).env_is_wrapped(Monitor) == [False] * 3
    assert make(3).env_is_wrapped(Monitor, indices=[0]) == [False]


def test_it_renders_the_pictures_side_by_side():
    envs = make(2, render_mode="rgb_array")
    envs.set_options({"state": GOAL})
    envs.reset()
    assert np.array_equal(envs.get_images(), [paint(BASE, GOAL)] * 2)
    assert envs.render().shape[2] == 3


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_another_autoreset_mode_is_rejected_with_the_fix(mode):
    envs = gym.make_vec("RLDF-v0", 2, autoreset_mode=mode, **painted_arguments())
    with pytest.raises(AgentError, match="autoreset_mode='SameStep'"):
        SB3VecEnv(envs)


def test_statistics_of_episodes_come_from_sb3s_monitor():
    envs = VecMonitor(make(2, max_episode_steps=3, reward="partial_semantic"))
    envs.set_options({"state": [0, 0, 0, 0]})
    envs.reset()
    for _ in range(3):
        *_, infos = envs.step(np.array([NOUN_UP] * 2))
    assert [(info["episode"]["r"], info["episode"]["l"]) for info in infos] == [(-3.0, 3)] * 2


def test_statistics_of_episodes_come_from_gymnasiums_wrapper_too():
    counted = RecordEpisodeStatistics(make_gymnasium(2, max_episode_steps=3, stop_at=None))
    envs = SB3VecEnv(counted)
    envs.reset()
    steps = [envs.step(np.array([NOUN_UP, SCENE_DOWN])) for _ in range(4)]
    assert [["episode" in info for info in infos] for *_, infos in steps] == [
        *[[False, False]] * 2,
        [True, True],
        [False, False],
    ]
    rewards = np.sum([rewards for _, rewards, *_ in steps[:3]], axis=0)
    ended = steps[2][3]
    assert [info["episode"]["r"] for info in ended] == rewards.tolist()
    assert [info["episode"]["l"] for info in ended] == [3, 3]
    assert ended[0]["prompt"] == BASE.decode(ended[0]["terminal_observation"])


def test_ppo_trains_and_is_evaluated():
    envs = VecMonitor(make(4))
    model = PPO("MlpPolicy", envs, n_steps=16, batch_size=32, seed=0, device="cpu")
    model.learn(128)
    assert model.num_timesteps == 128
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, _ = evaluate_policy(model, envs, n_eval_episodes=4)
    assert np.isfinite(mean)


def test_dqn_trains_on_numbered_actions():
    envs = VecMonitor(SB3VecEnv(VectorFlattenAction(make_gymnasium(4))))
    model = DQN("MlpPolicy", envs, learning_starts=16, buffer_size=500, seed=0, device="cpu")
    model.learn(128)
    assert model.replay_buffer.pos * 4 == 128


def test_training_is_the_same_under_the_same_seed():
    def train() -> dict:
        envs = VecMonitor(make(3))
        return (
            PPO("MlpPolicy", envs, n_steps=16, batch_size=24, seed=3, device="cpu")
            .learn(96)
            .policy.state_dict()
        )

    one, other = train(), train()
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_sb3s_wrappers_work_around_it():
    envs = VecNormalize(make(2), norm_obs=False)
    envs.reset()
    assert envs.step(np.array([NOUN_UP] * 2))[1].shape == (2,)


def test_closing_it_closes_the_vector_environment():
    envs = make(2)
    envs.close()
    assert envs.envs.closed
