"""Make what environments work with from the arguments of ``gym.make`` and ``gym.make_vec``."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import UnsupportedMode
from gymnasium.vector import AutoresetMode

from rldf_gym.actions import ActionMode, make_action_mode
from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import Generator, HasPerception, make_generator
from rldf_gym.goal import Target, infer_goal, load_picture
from rldf_gym.grammar import Grammar, load_grammar
from rldf_gym.perception import Perception, make_perception
from rldf_gym.rewards import DEFAULT_REWARD, Reward, resolve_reward
from rldf_gym.state_table import StateTable, StopAt, check_stop_at
from rldf_gym.store import Store

logger = logging.getLogger(__name__)

# "human" is not among the modes: Gymnasium's HumanRendering wrapper shows "rgb_array" in a window.
METADATA: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}


@dataclass(frozen=True, eq=False)
class Task:
    """What a single and a vector environment are made of.

    Attributes:
        evaluator: turns states into images and readings.
        action_mode: applies actions to states.
        table: the visited states, and the goal.
    """

    evaluator: StateEvaluator
    action_mode: ActionMode
    table: StateTable


def make_task(
    grammar: str | Path | Grammar = "base",
    target: Target | None = None,
    generator: str | Generator = "embedded",
    reward: Reward | None = DEFAULT_REWARD,
    action_mode: str = "axis",
    stop_at: StopAt = "goal_state",
    generation_seed: int = 0,
    store: str | Path | None = "default",
    perception: str | Path | Perception = "auto",
    device: str | None = None,
    prefetch: str | None = None,
    generator_kwargs: Mapping[str, Any] | None = None,
) -> Task:
    """Make what an environment works with; the arguments are in `RLDFEnv`'s docstring.

    Raises:
        RLDFError: an argument that cannot be used; the message names it and how to fix it.
    """
    check_stop_at(stop_at)
    function = None if reward is None else resolve_reward(reward)
    compiled = load_grammar(grammar)
    mode = make_action_mode(action_mode, compiled.axes)
    picture = load_picture(target)
    evaluator = make_evaluator(
        compiled,
        generator,
        perception,
        store,
        generation_seed,
        device,
        prefetch,
        generator_kwargs,
    )
    goal = infer_goal(evaluator, picture)
    return Task(evaluator, mode, StateTable(evaluator, goal, function, stop_at))


def make_evaluator(
    grammar: Grammar,
    generator: str | Generator,
    perception: str | Path | Perception,
    store: str | Path | None,
    generation_seed: int = 0,
    device: str | None = None,
    prefetch: str | None = None,
    generator_kwargs: Mapping[str, Any] | None = None,
) -> StateEvaluator:
    """Make a grammar's evaluator; the arguments are in `RLDFEnv`'s docstring.

    Raises:
        RLDFError: an argument that cannot be used; the message names it and how to fix it.
    """
    opened = Store.open(store)
    made, models = make_models(generator, perception, device, generator_kwargs)
    return StateEvaluator(grammar, made, models, opened, generation_seed, prefetch)


def make_models(
    generator: str | Generator,
    perception: str | Path | Perception,
    device: str | None,
    generator_kwargs: Mapping[str, Any] | None = None,
) -> tuple[Generator, Perception]:
    """Make a generator and the perception for its images; arguments as in `RLDFEnv`'s docstring.

    Raises:
        RLDFError: an argument that cannot be used; the message names it and how to fix it.
    """
    made = make_generator(generator, device, **(generator_kwargs or {}))
    # The generator comes first: perception models are downloaded only for one that exists.
    logger.info("generator %s, fingerprint %s", made.name, made.fingerprint)
    if perception == "auto":
        perception = made.perception if isinstance(made, HasPerception) else "embedded"
    return made, make_perception(perception, device)


def check_render_mode(render_mode: str | None) -> None:
    """Check that a render mode is in `METADATA`.

    Raises:
        UnsupportedMode: an unknown render mode; the message lists the known ones.
    """
    if render_mode is not None and render_mode not in METADATA["render_modes"]:
        modes = ", ".join(METADATA["render_modes"])
        raise UnsupportedMode(f"unknown render_mode {render_mode!r}; known: {modes}, None")


def check_reset_options(options: dict[str, Any] | None, *known: str) -> dict[str, Any]:
    """Return the options of ``reset``, empty for None.

    Raises:
        RLDFError: no dict, or an unknown option; the message lists the known ones.
    """
    if options is None:
        return {}
    if not isinstance(options, dict):
        raise RLDFError(
            f"reset options are {options!r}; give a dict with {', '.join(map(repr, known))}"
        )
    if unknown := set(options) - set(known):
        names = ", ".join(map(repr, sorted(unknown, key=str)))
        raise RLDFError(f"unknown reset option {names}; known: {', '.join(map(repr, known))}")
    return options


def check_num_envs(num_envs: int) -> int:
    """Return the number of sub-environments.

    Raises:
        RLDFError: not a whole number of at least 1.
    """
    if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise RLDFError(f"num_envs is {num_envs!r}; give a whole number of at least 1")
    return int(num_envs)


def step_limit(max_episode_steps: int | None) -> float:
    """Return the steps until an episode is truncated, infinity for None and for -1.

    Raises:
        RLDFError: not a whole number of at least 1.
    """
    if max_episode_steps is None or max_episode_steps == -1:
        return math.inf
    if not isinstance(max_episode_steps, int | np.integer) or max_episode_steps < 1:
        raise RLDFError(f"max_episode_steps is {max_episode_steps!r}; give at least 1, or -1")
    return int(max_episode_steps)


def find_autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """Return the mode itself, or the one of that name.

    Raises:
        RLDFError: unknown name; the message lists the known ones.
    """
    known = {each.value: each for each in AutoresetMode}
    found = mode if isinstance(mode, AutoresetMode) else known.get(mode)
    if found is None:
        raise RLDFError(f"unknown autoreset_mode {mode!r}; known: {', '.join(known)}")
    return found
