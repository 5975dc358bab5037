"""The worlds that are searched, their targets and their limits."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import rldf_gym
from benchmarks.stored_world import BASE_TARGETS, EXTENDED_TARGETS, stored_env
from benchmarks.synthetic_world import synthetic_arguments, synthetic_grammar
from rldf_agents.protocols import SingleEnvironment
from rldf_gym.grammar import Grammar, load_grammar
from rldf_gym.store import default_path

gym.register_envs(rldf_gym)

_SYNTHETIC_TARGETS = 10
_TARGET_SEED = 20_231_127


@dataclass(frozen=True)
class SearchedWorld:
    """One world.

    Attributes:
        name: of its grammar.
        title: for people.
        budget: unique generations granted to a search; one that has not arrived is censored there.
        targets: what is searched for, by name: picture files, or labels where there are none.
    """

    name: str
    title: str
    budget: int
    targets: Mapping[str, Any]


def _pictures(*files: Path) -> Mapping[str, Path]:
    return MappingProxyType({file.stem: file for file in files})


def _synthetic_goals() -> Mapping[str, list[int]]:
    grammar, random = synthetic_grammar(), np.random.default_rng(_TARGET_SEED)
    goals = {f"{i:02}": random.integers(grammar.nvec).tolist() for i in range(_SYNTHETIC_TARGETS)}
    return MappingProxyType(goals)


BASE = SearchedWorld("base", "base, 480 states", 480, _pictures(*BASE_TARGETS))
EXTENDED = SearchedWorld("extended", "extended, 4,320 states", 1_000, _pictures(*EXTENDED_TARGETS))
SYNTHETIC = SearchedWorld("synthetic", "synthetic, 1,000,000 states", 2_000, _synthetic_goals())
WORLDS: Mapping[str, SearchedWorld] = MappingProxyType(
    {world.name: world for world in (BASE, EXTENDED, SYNTHETIC)}
)


def straight_walk(name: str) -> float:
    """Mean number of states on the shortest way between two different states chosen at random.

    What a walker that knew its goal would look at. Two labels of n, chosen alike, are
    (n^2 - 1) / 3n apart on average.
    """
    sizes = _grammar(name).nvec
    return _mean_walk(sizes, (sizes**2 - 1) / (3 * sizes))


def informed_walk(name: str) -> float:
    """Return the mean number of states visited by a walker that knows which labels are right.

    None can expect less before it knows more of its goal than that all others are alike: the
    labels that it has tried on an axis of n are an interval around the first one, so whatever the
    order in which it goes up and down, the right one, if it is not the first, comes as the 1st,
    the 2nd, ... or the (n-1)th new one with equal chances.
    """
    sizes = _grammar(name).nvec
    return _mean_walk(sizes, (sizes - 1) / 2)


def _mean_walk(sizes: NDArray[np.int64], new_labels: NDArray[np.float64]) -> float:
    """States between two different ones, from the mean over all pairs, equal ones included."""
    n_states = math.prod(sizes.tolist())
    return 1.0 + float(new_labels.sum()) * n_states / (n_states - 1)


def _grammar(name: str) -> Grammar:
    return synthetic_grammar() if name == SYNTHETIC.name else load_grammar(name)


def prepare(world: SearchedWorld) -> None:
    """Draw and read what is not stored yet, targets included: searches then load no model."""
    if world is not SYNTHETIC:
        env = stored_env(grammar=world.name)
        for target in world.targets.values():
            env.reset(options={"target": target})
        env.close()


def world_with_target(name: str, target: str) -> SingleEnvironment:
    """Make a prepared world with this target; a process reads each stored picture once."""
    wanted = WORLDS[name].targets[target]
    if name == SYNTHETIC.name:
        return gym.make("RLDF-v0", **synthetic_arguments(wanted))
    env = _stored(name)
    env.reset(options={"target": wanted})
    return env


@functools.cache
def _stored(grammar: str) -> SingleEnvironment:
    return gym.make("RLDF-v0", grammar=grammar, store=default_path())
