"""A grammar, a generator, a perception, a learner and a reward of somebody else's making."""

import time

import numpy as np
from painted_world import PaintedGenerator, load_grammar, painted_perception

from rldf_agents import RandomAgent

GRAMMAR = load_grammar("base")


def generator() -> PaintedGenerator:
    return PaintedGenerator(GRAMMAR)


class LeisurelyGenerator(PaintedGenerator):
    """Gives a visitor time to stop a search."""

    def __call__(self, prompts, seeds) -> np.ndarray:
        time.sleep(0.15 * len(prompts))
        return super().__call__(prompts, seeds)


def leisurely_generator() -> PaintedGenerator:
    return LeisurelyGenerator(GRAMMAR)


def perception():
    return painted_perception(GRAMMAR)


def everything_or_nothing(readings, goal) -> np.ndarray:
    return (readings.values == goal.reading.values).all(axis=1).astype(np.float32)


def of_the_wrong_shape(readings, goal) -> np.ndarray:
    return np.zeros((len(readings.values), 2), np.float32)


class Wanderer:
    """Walks at random; has neither save nor load."""

    def __init__(self, observation_space, action_space) -> None:
        self._random = np.random.default_rng(0)
        self._n_actions = action_space.nvec

    def select_action(self, observation) -> np.ndarray:
        return self._random.integers(self._n_actions)

    def update(self, transition) -> None:
        """Learn nothing."""


def failing_reward(readings, goal) -> np.ndarray:
    return {}["colour"]


class FailingLearner(RandomAgent):
    """Divides by zero, in a function of its module."""

    def select_action(self, observation, sub_env=0) -> np.ndarray:
        return _share(0)


class FailingGenerator(PaintedGenerator):
    """Has no disk to write on."""

    def __init__(self) -> None:
        super().__init__(GRAMMAR)

    def __call__(self, prompts, seeds) -> np.ndarray:
        raise OSError("no disk")


def _share(n: int) -> float:
    return 1 / n


class NoLearner:
    """Cannot learn."""


def blind_generator() -> PaintedGenerator:
    """Paint nothing that can be read as the scene asked for."""
    everywhere = {GRAMMAR.decode(s): (*s[:3], (s[3] + 1) % 8) for s in GRAMMAR.states().tolist()}
    return PaintedGenerator(GRAMMAR, everywhere, fingerprint="blind-1")


def same_pixels(pictures, target) -> np.ndarray:
    return np.array([float(np.array_equal(picture, target)) for picture in pictures])


def judge_without_scores(pictures, target) -> np.ndarray:
    return np.zeros(0)


def broken_judge(pictures, target) -> np.ndarray:
    raise OSError("no weights")


def caption(picture) -> str:
    return GRAMMAR.decode((0, 1, 0, 0))


class SlowGenerator(PaintedGenerator):
    """Paints a picture in a hundredth of a second, as one that computes would."""

    def __call__(self, prompts, seeds):
        time.sleep(0.01 * len(prompts))
        return super().__call__(prompts, seeds)


def steady_generator() -> PaintedGenerator:
    return SlowGenerator(GRAMMAR)
