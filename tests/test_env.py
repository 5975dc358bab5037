import functools
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded, UnsupportedMode
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st
from painted_world import PaintedGenerator, load_grammar, paint, painted_arguments
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

import rldf_gym
from rldf_gym.actions import DOWN, UP
from rldf_gym.env import RLDFEnv
from rldf_gym.errors import RLDFError
from rldf_gym.goal import TargetError
from rldf_gym.grammar import GrammarError

BASE = load_grammar("base")
GOAL = [1, 5, 1, 3]
FREQUENCY, NOUN, DENSITY, SCENE = range(4)
ARGUMENTS = [
    {},
    {"reward": None},
    {"reward": "partial_semantic"},
    {"reward": "clip"},
    {"action_mode": "joint"},
    {"action_mode": "jump"},
    {"action_mode": "tree"},
    {"stop_at": "match"},
    {"stop_at": None},
    {"render_mode": "rgb_array"},
    {"render_mode": "ansi"},
]


def make(**arguments) -> gym.Env:
    return gym.make("RLDF-v0", **{**painted_arguments(target=GOAL), **arguments})


@functools.cache
def shared_env(action_mode: str) -> gym.Env:
    """One environment for many examples, each of which resets it."""
    return make(reward=None, action_mode=action_mode)


@pytest.fixture
def env() -> gym.Env:
    return make()


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_gymnasiums_checker_has_nothing_to_say(arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(make(**arguments).unwrapped)


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_stable_baselines_checker_has_nothing_to_say(arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env_of_sb3(make(**arguments), skip_render_check=False)
        check_env_of_sb3(make(**arguments).unwrapped, skip_render_check=False)


def test_a_whole_episode_passes_gymnasiums_passive_checker():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = make(stop_at=None, disable_env_checker=False)
        env.reset(seed=0)
        truncated = False
        while not truncated:
            truncated = env.step(env.action_space.sample())[3]
            env.render()


def test_the_environment_is_made_by_name(env):
    assert isinstance(env.unwrapped, RLDFEnv)
    assert env.unwrapped.goal.state.tolist() == GOAL
    assert env.unwrapped.goal.prompt == "a photo of many dog and one people in beach"
    assert env.unwrapped.grammar is BASE or env.unwrapped.grammar.axes == BASE.axes
    assert env.spec.max_episode_steps == 100


def test_spaces_are_the_grammars(env):
    assert env.observation_space == BASE.observation_space
    assert env.action_space == gym.spaces.MultiDiscrete([4, 2])
    assert make(action_mode="joint").action_space == gym.spaces.MultiDiscrete([3] * 4)


@given(st.integers(0, 479).map(BASE.state), st.integers(0, 3), st.sampled_from([DOWN, UP]))
def test_a_step_moves_one_label_and_stays_inside(state, axis, direction):
    env = shared_env("axis")
    env.reset(options={"state": state})
    observation, *_, info = env.step([axis, direction])
    expected = state.copy()
    expected[axis] = np.clip(state[axis] + (1 if direction == UP else -1), 0, BASE.nvec[axis] - 1)
    assert observation.tolist() == expected.tolist()
    assert info["prompt"] == BASE.decode(expected)


@given(
    st.integers(0, 479).map(BASE.state),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
)
def test_a_joint_step_moves_every_label_and_stays_inside(state, action):
    env = shared_env("joint")
    env.reset(options={"state": state})
    observation, *_ = env.step(action)
    assert observation.tolist() == np.clip(state + np.array(action) - 1, 0, BASE.nvec - 1).tolist()


def test_starts_are_spread_evenly_over_all_states_but_the_goal(env):
    starts = [BASE.index(env.reset(seed=None if n else 0)[0]) for n in range(4000)]
    counts = np.bincount(starts, minlength=BASE.n_states)
    assert counts[BASE.index(GOAL)] == 0
    assert np.count_nonzero(counts) == BASE.n_states - 1
    assert counts.max() < 30  # 8.4 on average


def test_a_seed_decides_the_starts(env):
    first = [env.reset(seed=3)[0].tolist(), env.reset()[0].tolist()]
    again = [env.reset(seed=3)[0].tolist(), env.reset()[0].tolist()]
    assert first == again


def test_the_episode_ends_at_the_goal(env):
    env.reset(options={"state": [0, 5, 1, 3]})
    _, _, terminated, truncated, info = env.step([FREQUENCY, UP])
    assert terminated
    assert not truncated
    assert info["at_goal"]
    assert info["distance"] == 0


def test_the_episode_goes_on_after_the_goal_if_asked_to():
    env = make(stop_at=None)
    env.reset(options={"state": [0, 5, 1, 3]})
    _, _, terminated, _, info = env.step([FREQUENCY, UP])
    assert not terminated
    assert info["at_goal"]


def test_the_goal_is_a_state_and_not_a_lucky_picture():
    generator = PaintedGenerator(BASE, {"a photo of one dog and one people in beach": GOAL})
    env = make(generator=generator)
    env.reset(options={"state": [0, 5, 0, 3]})
    _, _, terminated, _, info = env.step([DENSITY, UP])
    assert not terminated
    assert not info["at_goal"]
    assert (info["fine"], info["coarse"]) == (3, 1)


def test_an_episode_can_end_at_a_picture_that_reads_as_the_target():
    lucky = "a photo of one dog and one people in beach"
    mistakes = {lucky: GOAL, BASE.decode(GOAL): [1, 4, 1, 3]}
    env = make(stop_at="match", generator=PaintedGenerator(BASE, mistakes))
    env.reset(options={"state": [0, 5, 1, 3]})
    _, _, terminated, _, info = env.step([FREQUENCY, UP])
    assert info["at_goal"]
    assert not info["matches"]
    assert not terminated
    _, _, terminated, _, info = env.step([FREQUENCY, DOWN])
    assert not info["at_goal"]
    assert info["matches"]
    assert terminated


def test_an_episode_is_truncated_after_its_steps():
    env = make(max_episode_steps=3, stop_at=None)
    env.reset(seed=0)
    assert [env.step([FREQUENCY, UP])[3] for _ in range(3)] == [False, False, True]


def test_info_holds_what_is_read_and_how_far_the_goal_is(env):
    _, info = env.reset(options={"state": [1, 5, 0, 1]})
    assert set(info) == {
        "prompt",
        "values",
        "confidence",
        "embedding",
        "fine",
        "coarse",
        "distance",
        "matches",
        "at_goal",
        "outside",
        "generations",
        "states_seen",
    }
    assert info["prompt"] == "a photo of many dog and no people in farm"
    assert info["values"].tolist() == [1, 5, 0, 1]
    assert (info["fine"], info["coarse"], info["distance"]) == (2, 0, 3)


def test_info_counts_pictures_drawn_and_states_seen(tmp_path):
    store = tmp_path / "store.sqlite"
    env = make(store=store)
    env.reset(options={"state": [0, 0, 0, 0]})
    env.step([NOUN, UP])
    info = env.step([NOUN, DOWN])[4]
    assert (info["generations"], info["states_seen"]) == (2, 2)
    again = make(store=store)
    again.reset(options={"state": [0, 0, 0, 0]})
    info = again.step([SCENE, UP])[4]
    assert (info["generations"], info["states_seen"]) == (1, 2)


def test_observations_and_infos_are_the_callers_own(env):
    observation, info = env.reset(options={"state": [0, 0, 0, 0]})
    observation[:] = 9
    info.clear()
    assert env.step([FREQUENCY, DOWN])[0].tolist() == [0, 0, 0, 0]
    assert env.step([FREQUENCY, DOWN])[4]["distance"] == 10


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_render_gives_the_states_picture(render_mode):
    env = make(render_mode=render_mode)
    env.reset(options={"state": [0, 5, 2, 1]})
    picture = env.render()
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, paint(BASE, [0, 5, 2, 1]))


def test_render_gives_text_if_asked_to():
    env = make(render_mode="ansi")
    env.reset(options={"state": [0, 5, 2, 1]})
    assert env.render().startswith("a photo of one dog and many people in farm\n")


def test_a_list_of_frames_is_collected_by_gymnasium():
    env = make(render_mode="rgb_array_list")
    env.reset(seed=0)
    env.step([NOUN, UP])
    assert len(env.render()) == 2


def test_an_unknown_render_mode_is_rejected_with_the_known_ones():
    with (
        pytest.warns(UserWarning, match="not in the possible render_modes"),
        pytest.raises(UnsupportedMode, match="'depth'; known: rgb_array, ansi"),
    ):
        make(render_mode="depth")


def test_a_reset_can_start_anywhere_even_at_the_goal(env):
    observation, info = env.reset(options={"state": GOAL})
    assert observation.tolist() == GOAL
    assert info["at_goal"]


def test_a_reset_can_set_another_target(env):
    env.reset(seed=0)
    _, info = env.reset(options={"target": paint(BASE, [0, 0, 0, 0]), "state": [0, 0, 0, 1]})
    assert env.unwrapped.goal.state.tolist() == [0, 0, 0, 0]
    assert info["distance"] == 1
    assert env.step([SCENE, DOWN])[2]
    env.reset()
    assert env.unwrapped.goal.state.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"state": [0, 10, 0, 0]}, "noun"),
        ({"state": [0, 0]}, "shape"),
        ({"state": [0.5, 0, 0, 0]}, "integers"),
        ({"target": "no/such/picture.png"}, "does not exist"),
        ({"target": paint(BASE, GOAL), "state": [9, 9, 9, 9]}, "frequency"),
        ({"sate": [0, 0, 0, 0]}, "'sate'; known: 'state', 'target'"),
    ],
    ids=str,
)
def test_a_bad_reset_is_rejected_and_changes_nothing(env, options, complaint):
    env.reset(seed=0, options={"state": [0, 0, 0, 0]})
    goal = env.unwrapped.goal
    with pytest.raises(RLDFError, match=complaint):
        env.reset(seed=7, options=options)
    assert env.unwrapped.goal is goal
    assert env.step([FREQUENCY, DOWN])[0].tolist() == [0, 0, 0, 0]
    twin = make()
    twin.reset(seed=0, options={"state": [0, 0, 0, 0]})
    assert env.reset()[0].tolist() == twin.reset()[0].tolist()


@pytest.mark.parametrize("action", [[4, 0], [0, 2], [-1, 0], [0], 3, None, [0.0, 1.0]], ids=str)
def test_an_action_outside_the_space_is_rejected_and_changes_nothing(env, action):
    env.reset(options={"state": [0, 0, 0, 0]})
    with pytest.raises(InvalidAction, match=r"MultiDiscrete\(\[4 2\]\)"):
        env.step(action)
    assert env.step([FREQUENCY, DOWN])[0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("call", [lambda e: e.step([0, 0]), lambda e: e.render()])
@pytest.mark.parametrize("bare", [False, True])
def test_nothing_works_before_the_first_reset(env, call, bare):
    with pytest.raises(ResetNeeded, match="reset"):
        call(env.unwrapped if bare else env)


def test_a_generator_that_fails_leaves_the_environment_where_it_was():
    class Fragile(PaintedGenerator):
        def __call__(self, prompts, seeds):
            if any("car" in prompt for prompt in prompts):
                raise RLDFError("out of memory")
            return super().__call__(prompts, seeds)

    env = make(generator=Fragile(BASE))
    env.reset(options={"state": [0, 8, 0, 0]})
    with pytest.raises(RLDFError, match="out of memory"):
        env.step([NOUN, UP])
    assert env.step([NOUN, DOWN])[0].tolist() == [0, 7, 0, 0]
    goal, distance = env.unwrapped.goal, env.step([NOUN, DOWN])[4]["distance"]
    with pytest.raises(RLDFError, match="out of memory"):
        env.reset(options={"state": [0, 9, 0, 0], "target": paint(BASE, (1, 1, 1, 1))})
    assert env.unwrapped.goal is goal
    env.step([NOUN, UP])
    assert env.step([NOUN, DOWN])[4]["distance"] == distance


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"grammar": "bass"}, GrammarError, "base"),
        ({"target": "no/such/picture.png"}, TargetError, "does not exist"),
        ({"generator": "dalle9"}, RLDFError, "embedded"),
        ({"perception": "eyes"}, RLDFError, "embedded"),
        ({"generator": "embedded", "device": "abacus"}, RLDFError, "abacus"),
        ({"reward": "cosine"}, RLDFError, "multi_semantic"),
        ({"action_mode": "diagonal"}, RLDFError, "joint"),
        ({"stop_at": "goal"}, RLDFError, "'goal_state', 'match', 'unrecognised', None"),
        ({"generation_seed": -1}, RLDFError, "generation_seed"),
    ],
    ids=str,
)
def test_a_bad_argument_is_rejected_with_what_would_do(arguments, error, complaint):
    with pytest.raises(error, match=complaint):
        make(**arguments)


def test_an_environment_can_be_closed_twice_and_used_again(env, tmp_path):
    env = make(store=tmp_path / "store.sqlite")
    env.reset(seed=0)
    env.close()
    env.close()
    env.reset(seed=0)


def test_a_spec_makes_the_same_environment_again(env):
    again = gym.make(env.spec)
    assert again.reset(seed=5)[0].tolist() == env.reset(seed=5)[0].tolist()


def test_a_generator_that_cannot_be_copied_is_welcome():
    generator = PaintedGenerator(BASE)
    generator.connection = (each for each in ())  # generators cannot be deep-copied
    env = make(generator=generator)
    assert env.unwrapped.evaluator.generator is generator


def test_environments_run_side_by_side_through_gymnasiums_vector_env():
    envs = gym.make_vec(
        "RLDF-v0", num_envs=3, vectorization_mode="sync", **painted_arguments(target=GOAL)
    )
    observations, infos = envs.reset(seed=0)
    assert observations.shape == (3, 4)
    assert infos["fine"].shape == (3,)
    for _ in range(5):
        envs.step(envs.action_space.sample())


def test_importing_the_package_loads_no_model_library():
    heavy = "torch diffusers transformers ultralytics open_clip PIL lark scipy matplotlib"
    program = (
        f"import sys, rldf_gym;print([name for name in {heavy.split()} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


def test_the_package_shows_few_names():
    assert len(rldf_gym.__all__) <= 12
    assert all(hasattr(rldf_gym, name) for name in rldf_gym.__all__)
