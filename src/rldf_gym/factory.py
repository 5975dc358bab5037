"""What ``gym.make`` and ``gym.make_vec`` take, made into what the environments are made of."""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from gymnasium.error import UnsupportedMode
from gymnasium.vector import AutoresetMode

from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import Generator, HasPerception, make_generator
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Perception, make_perception
from rldf_gym.store import Store

logger = logging.getLogger(__name__)

# "human" is not among the modes: Gymnasium's HumanRendering wrapper shows "rgb_array" in a window.
METADATA: dict[str, Any] = {"render_modes": ["rgb_array", "ansi"], "render_fps": 4}

STOP_CONDITIONS: Mapping[str, str] = MappingProxyType({"goal_state": "at_goal", "match": "matches"})
"""Values of ``stop_at``, and the key of ``info`` that is true where the episode then terminates."""


def make_evaluator(
    grammar: Grammar,
    generator: str | Generator,
    perception: str | Path | Perception,
    store: str | Path | None,
    generation_seed: int,
    device: str | None,
    prefetch: str | None,
    generator_kwargs: Mapping[str, Any] | None = None,
) -> StateEvaluator:
    """The world that an environment walks in; its arguments are in `RLDFEnv`'s docstring.

    Raises:
        RLDFError: an argument that cannot be used; the message names it and the mend.
    """
    opened = Store.open(store)
    drawing = make_generator(generator, device, **(generator_kwargs or {}))
    # First of all: models that are to look at pictures are fetched only for one that is there.
    logger.info("drawing with %s, fingerprint %s", drawing.name, drawing.fingerprint)
    if perception == "auto":
        perception = drawing.perception if isinstance(drawing, HasPerception) else "embedded"
    return StateEvaluator(
        grammar,
        drawing,
        make_perception(perception, device),
        opened,
        generation_seed,
        prefetch,
    )


def check_render_mode(render_mode: str | None) -> None:
    """Refuse a render mode that is not in `METADATA`.

    Raises:
        UnsupportedMode: an unknown render mode; the message lists the known ones.
    """
    if render_mode is not None and render_mode not in METADATA["render_modes"]:
        modes = ", ".join(METADATA["render_modes"])
        raise UnsupportedMode(f"unknown render_mode {render_mode!r}; known: {modes}, None")


def check_stop_at(stop_at: str | None) -> str | None:
    """Return the condition that ends an episode.

    Raises:
        RLDFError: unknown condition; the message lists the known ones.
    """
    if stop_at is not None and stop_at not in STOP_CONDITIONS:
        known = ", ".join(map(repr, STOP_CONDITIONS))
        raise RLDFError(f"unknown stop_at {stop_at!r}; known: {known}, None")
    return stop_at


def check_reset_options(options: Mapping[str, Any], *known: str) -> None:
    """Refuse an option that ``reset`` does not know.

    Raises:
        RLDFError: names the option and the known ones.
    """
    if unknown := set(options) - set(known):
        names = ", ".join(map(repr, sorted(unknown, key=str)))
        raise RLDFError(f"unknown reset option {names}; known: {', '.join(map(repr, known))}")


def check_num_envs(num_envs: int) -> int:
    """The number of sub-environments.

    Raises:
        RLDFError: not a whole number of at least 1.
    """
    if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
        raise RLDFError(f"num_envs is {num_envs!r}; give a whole number of at least 1")
    return int(num_envs)


def step_limit(max_episode_steps: int | None) -> float:
    """Steps until an episode is truncated, infinity for None and, as in ``gym.make``, for -1.

    Raises:
        RLDFError: not a whole number of at least 1.
    """
    if max_episode_steps is None or max_episode_steps == -1:
        return math.inf
    if not isinstance(max_episode_steps, int | np.integer) or max_episode_steps < 1:
        raise RLDFError(f"max_episode_steps is {max_episode_steps!r}; give at least 1, or -1")
    return int(max_episode_steps)


def find_autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """The mode itself, or the one of that name.

    Raises:
        RLDFError: unknown name; the message lists the known ones.
    """
    known = {each.value: each for each in AutoresetMode}
    found = mode if isinstance(mode, AutoresetMode) else known.get(mode)
    if found is None:
        raise RLDFError(f"unknown autoreset_mode {mode!r}; known: {', '.join(known)}")
    return found
