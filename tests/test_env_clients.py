"""What code outside this project does with an environment: copies, specs, wrappers, processes."""

import copy
import functools
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import InvalidAction
from gymnasium.utils.env_match import check_environments_match
from gymnasium.vector import AutoresetMode
from painted_world import PaintedGenerator, load_grammar, painted_arguments
from PIL import Image

import rldf_gym
from rldf_gym.errors import RLDFError
from rldf_gym.goal import TargetError, load_picture
from rldf_gym.rewards import multi_semantic, partial_semantic

gym.register_envs(rldf_gym)

BASE = load_grammar("base")
GOAL = [1, 5, 1, 3]


def make(**arguments) -> gym.Env:
    return gym.make("RLDF-v0", **{**painted_arguments(target=GOAL), **arguments})


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("vector", [False, True])
def test_a_copy_of_an_environment_continues_where_it_was(again, vector):
    arguments = painted_arguments(target=GOAL)
    env = gym.make_vec("RLDF-v0", 2, **arguments) if vector else gym.make("RLDF-v0", **arguments)
    actions = np.array([[0, 1], [1, 1]]) if vector else np.array([1, 1])
    env.reset(seed=0, options={"state": [0, 2, 0, 0]})
    env.step(actions)
    twin = again(env)
    for _ in range(3):
        result, expected = twin.step(actions), env.step(actions)
        assert np.array_equal(result[0], expected[0])
        assert np.array_equal(result[1], expected[1])
        assert np.array_equal(result[4]["states_seen"], expected[4]["states_seen"])
    assert np.array_equal(twin.reset()[0], env.reset()[0])


def test_a_copy_of_the_embedded_environment_uses_the_same_store(tmp_path):
    env = gym.make("RLDF-v0", store=tmp_path / "store.sqlite")
    _, info = env.reset(seed=0, options={"state": [0, 0, 0, 0]})
    twin = pickle.loads(pickle.dumps(env))
    _, again = twin.reset(options={"state": [0, 0, 0, 0]})
    assert again["generations"] == info["generations"] == 1
    assert np.array_equal(again["embedding"], info["embedding"])


@pytest.mark.parametrize(
    "target",
    [load_picture(), Image.fromarray(load_picture()), Path("picture.png"), "picture.png", None],
    ids=["array", "Pillow image", "path", "string", "none"],
)
@pytest.mark.parametrize("make_one", [gym.make, functools.partial(gym.make_vec, num_envs=2)])
def test_a_spec_survives_json(tmp_path, monkeypatch, target, make_one):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(load_picture()).save("picture.png")
    env = make_one("RLDF-v0", target=target, store=tmp_path / "store", reward=partial_semantic)
    spec = EnvSpec.from_json(env.spec.to_json())
    again = (gym.make if make_one is gym.make else gym.make_vec)(spec)
    assert again.unwrapped.goal.state.tolist() == env.unwrapped.goal.state.tolist()
    assert np.array_equal(again.unwrapped.goal.picture, env.unwrapped.goal.picture)


def test_a_spec_with_a_ready_generator_says_that_json_cannot_hold_it():
    with pytest.raises(TypeError, match="PaintedGenerator"):
        make().spec.to_json()


@pytest.mark.parametrize("url", ["data:image/png;base64,!!", "data:,a", "data:;base64,YQ=="])
def test_a_data_url_that_is_no_picture_is_rejected(url):
    with pytest.raises(TargetError, match="data: URL"):
        load_picture(url)


def test_two_environments_match_for_gymnasium():
    check_environments_match(make(), make(), num_steps=20)


def test_a_new_state_passes_at_most_seven_functions_on_its_way_to_the_generator():
    depths = []

    class Observed(PaintedGenerator):
        def __call__(self, prompts, seeds):
            package = str(Path(rldf_gym.__file__).parent)
            stack = traceback.extract_stack()
            depths.append(1 + sum(frame.filename.startswith(package) for frame in stack))
            return super().__call__(prompts, seeds)

    env = make(generator=Observed(BASE))
    env.reset(options={"state": [0, 0, 0, 0]})
    env.step([1, 1])
    assert depths[-1] <= 7


def test_the_info_is_plain():
    _, info = make().reset(seed=0)
    arrays = {key for key, value in info.items() if isinstance(value, np.ndarray)}
    assert arrays == {"values", "confidence", "embedding"}
    assert {type(value) for key, value in info.items() if key not in arrays} == {str, int, bool}


def test_flat_environments_have_discrete_actions_and_float32_vectors():
    env = gym.make("rldf_gym:RLDF-Flat-v0", **painted_arguments(target=GOAL))
    assert env.action_space == gym.spaces.Discrete(8)
    assert env.observation_space == gym.spaces.Box(0, 1, (23,), np.float32)
    observation, _ = env.reset(seed=0, options={"state": [0, 5, 1, 3]})
    assert observation.dtype == np.float32
    assert observation.sum() == 4
    assert env.step(1)[2]
    with pytest.raises(InvalidAction, match=r"Discrete\(8\)"):
        env.step(8)
    envs = gym.make_vec("RLDF-Flat-v0", 2, **painted_arguments(target=GOAL))
    assert envs.reset(seed=0)[0].shape == (2, 23)


@pytest.mark.filterwarnings("ignore::rldf_gym.goal.LowSimilarityWarning")  # no dogs in "actions"
@pytest.mark.parametrize("name", ["base", "extended", "actions"])
def test_every_shipped_grammar_for_the_embedded_models_has_an_id(name, tmp_path):
    env_id = f"RLDF-{name.capitalize()}-v0"
    env = gym.make(f"rldf_gym:{env_id}", store=tmp_path / "store.sqlite")
    assert env.unwrapped.grammar.name == name
    assert gym.spec(env_id).vector_entry_point is not None


@pytest.mark.parametrize("action_mode", ["axis", "joint"])
def test_keys_move_along_the_axes_in_both_directions(action_mode):
    env = make(action_mode=action_mode)
    keys = env.unwrapped.get_keys_to_action()
    assert "".join(keys) == "aqswdefr"
    env.reset(options={"state": [0, 5, 1, 3]})
    assert env.step(keys["w"])[0].tolist() == [0, 6, 1, 3]
    assert env.step(keys["f"])[0].tolist() == [0, 6, 1, 2]


def test_keys_move_at_every_level_of_a_tree_and_jumps_have_none():
    keys = make(action_mode="tree").unwrapped.get_keys_to_action()
    assert "".join(keys) == "aqswdefrgthy"
    assert make(action_mode="jump").unwrapped.get_keys_to_action() == {}


def test_a_vector_environment_names_its_autoreset_mode():
    envs = gym.make_vec("RLDF-v0", 2, autoreset_mode="SameStep", **painted_arguments())
    assert envs.autoreset_mode is AutoresetMode.SAME_STEP


def test_the_representation_says_what_is_searched_for_and_with_what():
    assert repr(make().unwrapped) == (
        "RLDFEnv(grammar='base', generator='painted',"
        " goal='a photo of many dog and one people in beach')"
    )


@pytest.mark.parametrize("make_one", [gym.make, functools.partial(gym.make_vec, num_envs=2)])
def test_reset_options_that_are_no_dict_are_rejected(make_one):
    env = make_one("RLDF-v0", **painted_arguments())
    with pytest.raises(RLDFError, match="reset options are 5; give a dict with 'state', 'target'"):
        env.reset(options=5)


ASYNC = """
import sys, warnings
import gymnasium as gym
import rldf_gym

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    envs = gym.make_vec(
        "RLDF-v0", num_envs=2, vectorization_mode="async", store=sys.argv[1],
        vector_kwargs={"context": sys.argv[2]},
    )
    print(envs.reset(seed=0)[1]["generations"].tolist())
    envs.close()
"""


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ("fork", "start processes with 'spawn'"),
        pytest.param("spawn", "[1, 1]", marks=pytest.mark.slow),
    ],
)
def test_forked_sub_environments_on_a_new_store_say_what_to_do(tmp_path, context, answer):
    program = tmp_path / "program.py"
    program.write_text(ASYNC)
    command = [sys.executable, program, tmp_path / "store.sqlite", context]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert answer in done.stdout + done.stderr


def test_a_reward_with_other_constants_can_be_copied():
    env = make(reward=functools.partial(multi_semantic, c=2.0))
    twin = pickle.loads(pickle.dumps(env))
    twin.reset(options={"state": [0, 5, 1, 3]})
    assert twin.step([0, 1])[1] == 7.0
