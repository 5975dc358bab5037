"""A grammar, a generator, a perception, a learner and a reward of somebody else's making."""

import numpy as np
from painted_world import PaintedGenerator, load_grammar, painted_perception

GRAMMAR = load_grammar("base")


def generator() -> PaintedGenerator:
    return PaintedGenerator(GRAMMAR)


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


class NoLearner:
    """Cannot learn."""
