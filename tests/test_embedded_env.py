"""The environment as it ships: the embedded models draw and read."""

import doctest
import json
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

import rldf_gym.actions
import rldf_gym.rewards
import rldf_gym.wrappers
from rldf_gym.generation import GenerationError
from rldf_gym.goal import LowConfidenceWarning, LowSimilarityWarning, OutsideWarning, load_picture

PROGRAM = """
import json, sys
import gymnasium as gym
import rldf_gym

def walk(store):
    env = gym.make("RLDF-v0", store=store)
    env.reset(seed=0)
    for action in ([0, 1], [1, 1], [2, 1]):
        _, reward, _, _, info = env.step(action)
    env.close()
    return [reward, info["prompt"], info["generations"]]

if __name__ == "__main__":
    print(json.dumps([*walk(sys.argv[1]), "torch" in sys.modules]))
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """One store for all tests here, so that a picture is drawn once."""
    return tmp_path_factory.mktemp("embedded") / "store.sqlite"


@pytest.fixture
def env(store):
    env = gym.make("RLDF-v0", store=store)
    yield env
    env.close()


def test_the_shipped_target_is_read_without_a_guess(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error", LowConfidenceWarning)
        env = gym.make("RLDF-v0", store=store)
    goal = env.unwrapped.goal
    assert goal.low_confidence_axes == ()
    assert env.unwrapped.grammar.encode(goal.prompt).tolist() == goal.state.tolist()


def test_pictures_are_128_pixels_square_and_colourful(env):
    env.reset(seed=0)
    picture = env.render()
    assert picture.dtype == np.uint8
    assert picture.shape == (128, 128, 3)
    assert picture.std() > 10


def test_most_pictures_are_read_as_the_state_they_were_drawn_from(env):
    world = env.unwrapped.evaluator
    states = world.grammar.states()[7::20]
    readings = world.readings(states)
    right = [np.array_equal(r.values, s) for r, s in zip(readings, states, strict=True)]
    assert np.mean(right) >= 0.6


def test_a_goal_found_in_a_drawn_picture_is_mostly_its_state(env):
    world = env.unwrapped.evaluator
    state = env.unwrapped.goal.state
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowConfidenceWarning)
        env.reset(options={"target": world.picture(state)})
    assert np.count_nonzero(env.unwrapped.goal.state == state) >= 3


def test_the_checkers_have_nothing_to_say(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("RLDF-v0", store=store).unwrapped)
        check_env_of_sb3(gym.make("RLDF-v0", store=store))


@pytest.mark.parametrize("grammar", ["extended", "actions"])
def test_the_other_grammars_that_ship_are_drawn_and_read(grammar, store):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowConfidenceWarning)
        env = gym.make("RLDF-v0", grammar=grammar, store=store)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(env.action_space.sample())
    assert np.isfinite(reward)
    assert info["values"].shape == (env.unwrapped.grammar.n_axes,)


def test_an_empty_picture_is_read_as_well_as_it_can_be_with_a_warning(env):
    grey = np.full((300, 400, 3), 128, np.uint8)
    env.reset(seed=0)
    with pytest.warns(LowConfidenceWarning, match="guesses"):
        env.reset(options={"target": grey})
    assert env.unwrapped.goal.state in env.observation_space
    assert env.unwrapped.goal.low_confidence_axes


def stripes():
    return np.repeat(np.tile(np.repeat([0, 255], 16), 8)[None, :, None], 256, 0).repeat(3, 2)


@pytest.mark.parametrize(
    "picture",
    [np.random.default_rng(0).integers(0, 256, (256, 256, 3)), stripes()],
    ids=["noise", "stripes"],
)
def test_a_target_of_another_world_is_outside_with_a_warning(env, picture):
    with pytest.warns(OutsideWarning, match="--generator sd14"):
        _, info = env.reset(options={"target": picture.astype(np.uint8)})
    assert env.unwrapped.goal.outside
    assert env.unwrapped.goal.outside_score > 0
    assert info["outside"]


def test_a_grammar_without_the_words_for_a_target_is_said_to_lack_them(store, tmp_path):
    file = tmp_path / "pets.lark"
    file.write_text(
        'start: "a photo of one" noun "in" scene\nnoun: "dog" | "duck"\n'
        'scene: "kitchen" | "street"\n%ignore " "\n'
    )
    target = Path("benchmarks/targets/03.png")
    with pytest.warns(LowSimilarityWarning, match="similarity is only"):
        env = gym.make("RLDF-v0", grammar=file, store=store, target=target)
    assert not env.unwrapped.goal.described
    assert not env.unwrapped.goal.outside
    env.close()


@pytest.mark.parametrize(
    ("grammar", "step"),
    [
        ("base", 5),
        pytest.param("base", 1, marks=pytest.mark.slow),
        pytest.param("extended", 1, marks=pytest.mark.slow),
    ],
)
def test_no_target_of_the_benchmarks_is_outside(store, grammar, step):
    env = gym.make("RLDF-v0", grammar=grammar, store=store)
    for target in sorted(Path("benchmarks/targets").glob("*.png"))[::step]:
        env.reset(options={"target": target})
        goal = env.unwrapped.goal
        assert goal.described
        assert not goal.outside
        for chances, label in zip(goal.probabilities, goal.state, strict=True):
            assert chances.dtype == np.float32
            assert chances.sum() == pytest.approx(1, abs=1e-5)
            assert chances.argmax() == label
    env.close()


def test_the_vector_environment_has_the_same_goal(env, store):
    target = Path("benchmarks/targets/01.png")
    env.reset(options={"target": target})
    envs = gym.make_vec("RLDF-v0", num_envs=2, store=store, target=target)
    _, infos = envs.reset(seed=0)
    goal, other = env.unwrapped.goal, envs.unwrapped.goal
    assert goal.outside_score == other.outside_score
    assert infos["outside"].tolist() == [False, False]
    for chances, same in zip(goal.probabilities, other.probabilities, strict=True):
        np.testing.assert_array_equal(chances, same)
    envs.close()


def test_a_grammar_with_words_that_were_never_learned_is_rejected(tmp_path, store):
    file = tmp_path / "safari.lark"
    file.write_text('start: "a photo of one " noun\nnoun: "zebra" | "dog"\n')
    with pytest.raises(GenerationError, match="zebra"):
        gym.make("RLDF-v0", grammar=file, store=store)


def test_a_second_run_draws_nothing_and_imports_no_torch(tmp_path):
    store, names = str(tmp_path / "store.sqlite"), {"__name__": "program"}
    exec(PROGRAM, names)
    reward, prompt, generations = names["walk"](store)
    assert generations > 0
    command = [sys.executable, "-c", PROGRAM, store]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout.splitlines()[-1]) == [reward, prompt, 0, False]


@pytest.mark.parametrize("module", [rldf_gym.rewards, rldf_gym.wrappers])
def test_the_examples_in_the_docstrings_run(module, store, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(store))
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_the_shipped_target_is_a_picture():
    assert load_picture().ndim == 3
