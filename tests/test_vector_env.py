"""The vector environment against Gymnasium's own vectorization of the single one."""

import functools
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded, UnsupportedMode
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_world import PaintedGenerator, load_grammar, paint, painted_arguments

import rldf_gym.state_table
from rldf_gym.actions import ACTION_MODES, DOWN, UP
from rldf_gym.errors import RLDFError
from rldf_gym.grammar import compile_grammar
from rldf_gym.vector import RLDFVectorEnv

BASE = load_grammar("base")
GOAL = [1, 5, 1, 3]
FREQUENCY, NOUN, DENSITY, SCENE = range(4)
SHARED_COUNTERS = {"generations", "states_seen"}
# Small enough that walks arrive at the goal all the time.
SMALL = compile_grammar(
    'start: "a photo of " frequency " " noun " and " density " people in " scene\n'
    'frequency: "one" | "many"\nnoun: "dog" | "car"\ndensity: "no" | "many"\n'
    'scene: "park" | "snow" | "street"\n',
    "small",
)
ARGUMENTS = st.fixed_dictionaries(
    {
        "action_mode": st.sampled_from(list(ACTION_MODES)),
        "reward": st.sampled_from(["multi_semantic", "partial_semantic", "clip", None]),
        "stop_at": st.sampled_from(["goal_state", "match", None]),
        "max_episode_steps": st.integers(1, 6),
    }
)
MODES = st.sampled_from(list(AutoresetMode))


def make(num_envs: int = 3, **arguments) -> gym.vector.VectorEnv:
    return gym.make_vec("RLDF-v0", num_envs, **{**painted_arguments(target=GOAL), **arguments})


def make_sync(num_envs: int, autoreset_mode: AutoresetMode, **arguments) -> SyncVectorEnv:
    one = functools.partial(gym.make, "RLDF-v0", **arguments)
    return SyncVectorEnv([one] * num_envs, autoreset_mode=autoreset_mode)


@pytest.fixture
def envs() -> gym.vector.VectorEnv:
    return make()


def assert_same(one, other, path: str = "") -> None:
    """Equal in type, dtype, shape and every bit, but for counters that sub-environments share."""
    assert type(one) is type(other), path
    if isinstance(one, tuple):
        for number, (each, twin) in enumerate(zip(one, other, strict=True)):
            assert_same(each, twin, f"{path}{number}")
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one.keys() - SHARED_COUNTERS:
            assert_same(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), path
        if one.dtype == object:
            for each, twin in zip(one, other, strict=True):
                assert_same(each, twin, f"{path}[]")
        else:
            assert np.array_equal(one, other), path
    else:
        assert one == other, path


def assert_same_walk(envs, twins, seed: int, n_steps: int) -> int:
    """Walk both the same random way; the number of episodes that ended."""
    assert_same(envs.reset(seed=seed), twins.reset(seed=seed))
    envs.action_space.seed(seed)
    ended = 0
    for _ in range(n_steps):
        actions = envs.action_space.sample()
        result, expected = envs.step(actions), twins.step(actions)
        assert_same(result, expected)
        done = result[2] | result[3]
        ended += done.sum()
        if done.any() and envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
            options = [{"reset_mask": done}, {"reset_mask": done}]
            assert_same(envs.reset(options=options[0]), twins.reset(options=options[1]))
    return ended


@settings(max_examples=40)
@given(ARGUMENTS, MODES, st.integers(1, 4), st.integers(0, 2**32), st.integers(0, 25))
def test_it_walks_as_single_environments_of_the_same_seeds_do(
    arguments, autoreset_mode, num_envs, seed, n_steps
):
    arguments = {**painted_arguments(SMALL, target=(1, 1, 1, 2)), **arguments}
    envs = gym.make_vec("RLDF-v0", num_envs, autoreset_mode=autoreset_mode, **arguments)
    twins = make_sync(num_envs, autoreset_mode, **arguments)
    assert_same_walk(envs, twins, seed, n_steps)


@pytest.mark.parametrize("autoreset_mode", list(AutoresetMode))
@pytest.mark.parametrize("action_mode", ACTION_MODES)
def test_it_walks_the_same_way_for_many_episodes(action_mode, autoreset_mode):
    arguments = painted_arguments(SMALL, target=(1, 1, 1, 2)) | {"action_mode": action_mode}
    envs = gym.make_vec("RLDF-v0", 5, autoreset_mode=autoreset_mode, **arguments)
    twins = make_sync(5, autoreset_mode, **arguments)
    assert assert_same_walk(envs, twins, seed=3, n_steps=200) > 10


def test_it_walks_the_same_way_in_a_world_too_large_for_a_dense_table(monkeypatch):
    monkeypatch.setattr(rldf_gym.state_table, "MOST_DENSE_STATES", SMALL.n_states - 1)
    arguments = painted_arguments(SMALL, target=(1, 1, 1, 2))
    twins = make_sync(3, AutoresetMode.SAME_STEP, **arguments)
    envs = gym.make_vec("RLDF-v0", 3, autoreset_mode=AutoresetMode.SAME_STEP, **arguments)
    assert_same_walk(envs, twins, seed=0, n_steps=60)


@pytest.mark.parametrize("n_dense", [10_000_000, 0])
def test_it_walks_the_same_way_where_there_is_more_to_see_than_it_remembers(monkeypatch, n_dense):
    monkeypatch.setattr(rldf_gym.state_table, "MOST_DENSE_STATES", n_dense)
    monkeypatch.setattr(rldf_gym.state_table, "MOST_ROWS", 7)
    arguments = painted_arguments(SMALL, target=(1, 1, 1, 2)) | {"reward": "clip"}
    twins = make_sync(3, AutoresetMode.SAME_STEP, **arguments)
    envs = gym.make_vec("RLDF-v0", 3, autoreset_mode=AutoresetMode.SAME_STEP, **arguments)
    visited: set[str] = set()
    for each in twins.envs:
        monkeypatch.setattr(each.unwrapped, "_info", remembering(each.unwrapped._info, visited))
    assert_same_walk(envs, twins, seed=0, n_steps=60)
    infos = envs.reset(seed=1)[1]
    twins.reset(seed=1)
    assert infos["states_seen"].tolist() == [len(visited)] * 3
    tables = [each.unwrapped._table for each in (envs, *twins.envs)]
    assert all(table._n_rows <= 7 and len(table.visits) <= 7 for table in tables)


def remembering(info_of, prompts: set[str]):
    def remember(visit):
        info = info_of(visit)
        prompts.add(info["prompt"])
        return info

    return remember


def test_it_walks_the_same_way_after_another_target(envs):
    arguments = painted_arguments(SMALL, target=(1, 1, 1, 2)) | {"reward": "clip"}
    envs = gym.make_vec("RLDF-v0", 3, **arguments)
    twins = make_sync(3, AutoresetMode.NEXT_STEP, **arguments)
    assert_same_walk(envs, twins, seed=0, n_steps=30)
    options = {"target": paint(SMALL, [0, 1, 0, 1])}
    assert_same(envs.reset(options=options), twins.reset(options=options))
    assert_same_walk(envs, twins, seed=1, n_steps=30)


def test_the_embedded_world_is_walked_the_same_way(tmp_path):
    store = tmp_path / "store.sqlite"
    envs = gym.make_vec("RLDF-v0", 2, store=store, reward="clip", max_episode_steps=1)
    twins = make_sync(2, AutoresetMode.NEXT_STEP, store=store, reward="clip", max_episode_steps=1)
    assert_same_walk(envs, twins, seed=0, n_steps=2)


def test_it_is_what_make_vec_makes(envs):
    assert isinstance(envs.unwrapped, RLDFVectorEnv)
    assert envs.num_envs == 3
    assert envs.unwrapped.goal.state.tolist() == GOAL
    assert envs.spec.id == "RLDF-v0"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = gym.make_vec(envs.spec)
    assert str(again) == str(envs)


@pytest.mark.parametrize("action_mode", ACTION_MODES)
def test_spaces_are_those_of_the_single_environment_batched(action_mode):
    envs = make(action_mode=action_mode)
    env = gym.make("RLDF-v0", action_mode=action_mode, **painted_arguments())
    assert envs.single_observation_space == env.observation_space
    assert envs.single_action_space == env.action_space
    assert envs.observation_space == batch_space(env.observation_space, 3)
    assert envs.action_space == batch_space(env.action_space, 3)


def test_what_it_returns_is_in_its_spaces_and_of_the_promised_types(envs):
    envs.action_space.seed(0)
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    observations, rewards, terminations, truncations, _ = envs.step(envs.action_space.sample())
    assert observations in envs.observation_space
    assert (rewards.dtype, terminations.dtype, truncations.dtype) == (float, bool, bool)
    assert rewards.shape == terminations.shape == truncations.shape == (3,)


@pytest.mark.parametrize("mode", list(AutoresetMode))
@pytest.mark.parametrize("spell", [lambda mode: mode, lambda mode: mode.value])
def test_its_metadata_name_the_autoreset_mode(mode, spell):
    assert make(autoreset_mode=spell(mode)).metadata["autoreset_mode"] is mode


def test_episodes_are_truncated_after_the_specs_100_steps():
    envs = make(stop_at=None)
    envs.reset(seed=0)
    cut_off = [envs.step([[NOUN, UP]] * 3)[3].all() for _ in range(100)]
    assert cut_off == [False] * 99 + [True]


@pytest.mark.parametrize("none", [None, -1])
def test_a_limit_of_none_never_truncates(none):
    envs = make(stop_at=None, max_episode_steps=none)
    envs.reset(seed=0)
    assert not any(envs.step([[NOUN, UP]] * 3)[3].any() for _ in range(300))


def test_sub_environments_are_seeded_one_after_another(envs):
    one_seed = envs.reset(seed=5)[0]
    assert envs.reset(seed=[5, 6, 7])[0].tolist() == one_seed.tolist()
    assert envs.reset(seed=4)[0][1:].tolist() == one_seed[:2].tolist()


def test_a_seed_of_none_goes_on_with_a_sub_environments_own_stream(envs):
    envs.reset(seed=5)
    second = envs.reset()[0]
    envs.reset(seed=5)
    assert envs.reset(seed=[None, 6, None])[0][[0, 2]].tolist() == second[[0, 2]].tolist()


@pytest.mark.parametrize("seed", [5, [5, None, 7]], ids=str)
def test_it_reports_the_seeds_of_its_sub_environments_as_a_sync_vector_env_does(envs, seed):
    twins = make_sync(3, AutoresetMode.NEXT_STEP, **painted_arguments(target=GOAL))
    for each in (envs, twins):
        each.reset(seed=1)
        each.reset(seed=seed)
    assert envs.unwrapped.np_random_seed == twins.np_random_seed


def test_seeds_it_never_was_given_make_the_same_walk_again(envs):
    start = envs.reset()[0]
    again = make().reset(seed=list(envs.unwrapped.np_random_seed))[0]
    assert again.tolist() == start.tolist()


def test_seeds_may_be_numpys_numbers(envs):
    start = envs.reset(seed=5)[0]
    assert envs.reset(seed=np.int64(5))[0].tolist() == start.tolist()
    assert envs.reset(seed=np.arange(5, 8))[0].tolist() == start.tolist()


@pytest.mark.parametrize("seed", [-1, [1, -1, 2], [1, 0.5, 2]], ids=str)
def test_a_seed_that_is_none_is_rejected_and_changes_nothing(envs, seed):
    envs.reset(seed=0)
    goal, seeds = envs.unwrapped.goal, envs.unwrapped.np_random_seed
    with pytest.raises(gym.error.Error, match="Seed must be"):
        envs.reset(seed=seed, options={"target": paint(BASE, [0, 0, 0, 0])})
    assert envs.unwrapped.goal is goal
    assert envs.unwrapped.np_random_seed == seeds


def test_without_a_seed_starts_differ(envs):
    other = make()
    starts = [each.reset()[0].tolist() for each in (envs, other) for _ in range(20)]
    assert len({str(start) for start in starts}) > 30


def test_a_reset_can_start_everywhere_at_once(envs):
    states = [[0, 0, 0, 0], [1, 2, 1, 2], GOAL]
    observations, infos = envs.reset(options={"state": np.array(states)})
    assert observations.tolist() == states
    assert infos["at_goal"].tolist() == [False, False, True]
    assert envs.reset(options={"state": [1, 0, 0, 0]})[0].tolist() == [[1, 0, 0, 0]] * 3


def test_a_masked_reset_leaves_the_others_where_they_are(envs):
    envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    mask = np.array([False, True, False])
    observations, infos = envs.reset(options={"state": [1, 1, 1, 1], "reset_mask": mask})
    assert observations.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert infos["_prompt"].tolist() == mask.tolist()
    assert infos["prompt"][0] is None


def test_a_masked_reset_leaves_the_options_as_they_were(envs):
    envs.reset(seed=0)
    options = {"reset_mask": np.array([True, False, False])}
    envs.reset(options=options)
    assert list(options) == ["reset_mask"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"state": [0, 10, 0, 0]}, "noun"),
        ({"state": [[0, 0, 0, 0]] * 2}, "2 states for 3"),
        ({"state": [[0, 0, 0, 0], [0], [0]]}, "is not a vector"),
        ({"reset_mask": [[True], [True, False]]}, "reset_mask"),
        ({"state": [[0, 0, 0, 0], [0, 10, 0, 0], [0, 0, 0, 0]]}, "noun"),
        ({"target": "no/such/picture.png"}, "does not exist"),
        ({"sate": [0, 0, 0, 0]}, "'sate'; known: 'state', 'target', 'reset_mask'"),
        ({"reset_mask": np.array([True, False])}, "reset_mask"),
        ({"reset_mask": np.array([1, 0, 0])}, "reset_mask"),
        ({"reset_mask": np.zeros(3, bool)}, "reset_mask"),
        ({"reset_mask": np.arange(3) == 1, "target": paint(BASE, GOAL)}, "for all"),
    ],
    ids=str,
)
def test_a_bad_reset_is_rejected_and_changes_nothing(envs, options, complaint):
    envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    goal = envs.unwrapped.goal
    with pytest.raises(RLDFError, match=complaint):
        envs.reset(seed=7, options=options)
    assert envs.unwrapped.goal is goal
    assert envs.step([[FREQUENCY, DOWN]] * 3)[0].tolist() == [[0, 0, 0, 0]] * 3
    twin = make()
    twin.reset(seed=0)
    twin.reset(seed=0, options={"state": [0, 0, 0, 0]})
    assert envs.reset()[0].tolist() == twin.reset()[0].tolist()


def test_seeds_of_the_wrong_number_are_rejected(envs):
    with pytest.raises(RLDFError, match="2 seeds for 3"):
        envs.reset(seed=[1, 2])


def test_the_first_reset_is_for_all(envs):
    with pytest.raises(ResetNeeded, match="for all"):
        envs.reset(options={"reset_mask": np.array([True, False, False])})


@pytest.mark.parametrize("call", [lambda e: e.step([[0, 0]] * 3), lambda e: e.render()])
def test_nothing_works_before_the_first_reset(envs, call):
    with pytest.raises(ResetNeeded, match="reset"):
        call(envs)


def test_without_autoreset_an_ended_episode_must_be_reset():
    envs = make(autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0, options={"state": [[0, 0, 0, 0], [1, 4, 1, 3], [0, 0, 0, 0]]})
    assert envs.step([[NOUN, UP]] * 3)[2].tolist() == [False, True, False]
    with pytest.raises(ResetNeeded, match=r"\[1\]"):
        envs.step([[NOUN, UP]] * 3)
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert envs.step([[NOUN, UP]] * 3)[0][0].tolist() == [0, 2, 0, 0]


@pytest.mark.parametrize(
    "actions",
    [
        [[0, 0], [0, 0], [4, 0]],
        [[0, 0], [0, 2], [0, 0]],
        [[0, -1], [0, 0], [0, 0]],
        [[0, 0]] * 2,
        [[0, 0]] * 4,
        [[0, 0, 0]] * 3,
        [0, 0],
        [[0.0, 1.0]] * 3,
        None,
    ],
    ids=str,
)
def test_actions_outside_the_space_are_rejected_and_change_nothing(envs, actions):
    envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    with pytest.raises(InvalidAction):
        envs.step(actions)
    assert envs.step([[NOUN, UP]] * 3)[0].tolist() == [[0, 1, 0, 0]] * 3


def test_what_is_missing_is_drawn_in_one_batch_each_picture_once():
    generator = PaintedGenerator(BASE)
    envs = make(4, generator=generator)
    states = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 2, 0, 0]]
    envs.reset(seed=0, options={"state": states})
    assert [len(batch) for batch in generator.calls] == [3]
    envs.step([[NOUN, UP], [NOUN, UP], [NOUN, UP], [NOUN, UP]])
    assert [len(batch) for batch in generator.calls] == [3, 1]


def test_the_ends_of_episodes_are_generated_in_one_batch_and_the_new_starts_in_another():
    generator = PaintedGenerator(BASE)
    envs = make(2, generator=generator, autoreset_mode="SameStep", max_episode_steps=1)
    envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    _, infos = envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    *_, infos = envs.step([[NOUN, UP], [SCENE, UP]])
    ends, starts = infos["final_info"]["prompt"], infos["prompt"]
    assert [set(batch) for batch in generator.calls[1:]] == [set(ends), set(starts)]


def test_counters_count_for_all_sub_environments_together(tmp_path):
    store = tmp_path / "store.sqlite"
    envs = make(2, store=store)
    _, infos = envs.reset(seed=0, options={"state": [[0, 0, 0, 0], [0, 1, 0, 0]]})
    assert infos["states_seen"].tolist() == [2, 2]
    *_, infos = envs.step([[NOUN, UP], [NOUN, UP]])
    assert infos["states_seen"].tolist() == infos["generations"].tolist() == [3, 3]
    again = make(2, store=store)
    _, infos = again.reset(seed=0, options={"state": [[0, 0, 0, 0], [0, 9, 0, 0]]})
    assert infos["states_seen"].tolist() == [2, 2]
    assert infos["generations"].tolist() == [1, 1]


def test_a_generator_that_fails_leaves_everyone_where_they_were():
    class Fragile(PaintedGenerator):
        def __call__(self, prompts, seeds):
            if any("car" in prompt for prompt in prompts):
                raise RLDFError("out of memory")
            return super().__call__(prompts, seeds)

    envs = make(generator=Fragile(BASE))
    envs.reset(seed=0, options={"state": [[0, 0, 0, 0], [0, 8, 0, 0], [0, 0, 0, 0]]})
    with pytest.raises(RLDFError, match="out of memory"):
        envs.step([[NOUN, UP]] * 3)
    observations, *_ = envs.step([[NOUN, DOWN]] * 3)
    assert observations.tolist() == [[0, 0, 0, 0], [0, 7, 0, 0], [0, 0, 0, 0]]
    goal, distances = envs.unwrapped.goal, envs.step([[NOUN, DOWN]] * 3)[4]["distance"]
    with pytest.raises(RLDFError, match="out of memory"):
        envs.reset(options={"state": [0, 9, 0, 0], "target": paint(BASE, (1, 1, 1, 1))})
    assert envs.unwrapped.goal is goal
    envs.step([[NOUN, UP]] * 3)
    assert envs.step([[NOUN, DOWN]] * 3)[4]["distance"][1] == distances[1]


def test_what_it_returns_is_the_callers_own(envs):
    observations, infos = envs.reset(seed=0, options={"state": [0, 0, 0, 0]})
    observations[:] = 9
    for values in infos.values():
        values[:] = 0
    observations, _, _, _, infos = envs.step([[FREQUENCY, DOWN]] * 3)
    assert observations.tolist() == [[0, 0, 0, 0]] * 3
    assert infos["distance"].tolist() == [10] * 3
    assert infos["_distance"].all()


def test_it_renders_every_sub_environments_picture():
    envs = make(2, render_mode="rgb_array")
    envs.reset(seed=0, options={"state": [[0, 5, 2, 1], [0, 0, 0, 0]]})
    frames = envs.render()
    assert np.array_equal(frames, [paint(BASE, [0, 5, 2, 1]), paint(BASE, [0, 0, 0, 0])])


def test_it_renders_text_if_asked_to():
    envs = make(2, render_mode="ansi")
    envs.reset(seed=0, options={"state": [0, 5, 2, 1]})
    assert envs.render()[1].startswith("a photo of one dog and many people in farm\n")


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"num_envs": 0}, RLDFError, "num_envs"),
        ({"num_envs": True}, RLDFError, "num_envs"),
        ({"max_episode_steps": 0}, RLDFError, "max_episode_steps"),
        ({"autoreset_mode": "never"}, RLDFError, "NextStep, SameStep, Disabled"),
        ({"reward": "cosine"}, RLDFError, "multi_semantic"),
        ({"action_mode": "diagonal"}, RLDFError, "joint"),
        ({"render_mode": "depth"}, UnsupportedMode, "rgb_array"),
        ({"target": "no/such/picture.png"}, RLDFError, "does not exist"),
    ],
    ids=str,
)
def test_a_bad_argument_is_rejected_with_what_would_do(arguments, error, complaint):
    with pytest.raises(error, match=complaint):
        make(**arguments)


def test_gymnasiums_own_wrappers_work_around_it():
    envs = gym.wrappers.vector.RecordEpisodeStatistics(make(2, max_episode_steps=5))
    envs.reset(seed=0)
    for _ in range(5):
        *_, infos = envs.step([[NOUN, UP]] * 2)
    assert infos["episode"]["l"].tolist() == [5, 5]


def test_gymnasium_makes_a_list_of_its_infos():
    _, infos = gym.wrappers.vector.DictInfoToList(make(2)).reset(options={"state": GOAL})
    assert [info["prompt"] for info in infos] == ["a photo of many dog and one people in beach"] * 2


def test_it_can_be_closed_twice(envs):
    envs.reset(seed=0)
    envs.close()
    envs.close()
    assert envs.closed
