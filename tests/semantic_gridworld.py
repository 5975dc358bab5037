"""The search problem without pictures: a test environment, not a part of the product."""

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

BASE_SIZES = (2, 10, 3, 8)
"""Frequency, noun, density, scene: the axes of the base grammar, 480 states."""


class SemanticGridworld(gym.Env[npt.NDArray[np.int64], npt.NDArray[np.int64]]):
    """A grid of readings with the multi-semantic reward (Eqs. 2 to 4) and a terminal goal.

    Every state is read once, for good, as a perceiver reads a picture drawn with a fixed seed:
    each axis wrongly with probability ``misread``. The agent moves one unit along one axis,
    clipped at the ends, and starts anywhere but at the goal. The goal is a state of the grid, not
    a reading.
    """

    def __init__(self, goal: tuple[int, ...], misread: float = 0.0, reading_seed: int = 0) -> None:
        self.observation_space = spaces.MultiDiscrete(BASE_SIZES)
        self.action_space = spaces.MultiDiscrete([len(BASE_SIZES), 2])
        self.goal = np.array(goal)
        self._readings = _readings(misread, np.random.default_rng(reading_seed))
        self._state = self.goal
        self._seen: set[tuple[int, ...]] = set()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.int64], dict[str, Any]]:
        super().reset(seed=seed)
        state = self.goal
        while np.array_equal(state, self.goal):
            state = self.np_random.integers(BASE_SIZES)
        self._state = state
        return self._state.copy(), self._info()

    def step(
        self, action: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], float, bool, bool, dict[str, Any]]:
        axis, direction = action
        state = self._state.copy()
        state[axis] = np.clip(state[axis] + (1 if direction else -1), 0, BASE_SIZES[axis] - 1)
        self._state = state
        info = self._info()
        return state.copy(), info["fine"] + info["coarse"], info["at_goal"], False, info

    def _info(self) -> dict[str, Any]:
        self._seen.add(tuple(self._state.tolist()))
        frequency, noun, density, scene = self._readings[tuple(self._state)] == self.goal
        return {
            "distance": float(np.abs(self._state - self.goal).sum()),
            "fine": float(noun) + float(noun and frequency) + float(density),
            "coarse": 1.0 if scene else -1.0,
            "at_goal": np.array_equal(self._state, self.goal),
            "generations": len(self._seen),
            "states_seen": len(self._seen),
        }


def _readings(misread: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return what is read at every state, int64 [*BASE_SIZES, n_axes]."""
    states = np.stack(np.indices(BASE_SIZES), axis=-1)
    wrong = random.random(states.shape) < misread
    others = random.integers(1, BASE_SIZES, size=states.shape)
    return np.where(wrong, (states + others) % BASE_SIZES, states)


def random_goals(count: int) -> list[tuple[int, ...]]:
    """Return goals spread over the grid by a fixed seed."""
    random = np.random.default_rng(0)
    return [tuple(random.integers(BASE_SIZES).tolist()) for _ in range(count)]
