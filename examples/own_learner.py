"""An own learner: two methods. It learns axis by axis which word is worth most."""

import numpy as np
import typer

from rldf_agents.applications.search import SearchSettings, search_picture
from rldf_gym.goal import DEFAULT_TARGET


class AxisByAxis:
    """Keeps the best reward of every word; goes to the nearest untried one, else to the best."""

    def __init__(self, observation_space, action_space) -> None:
        self._random = np.random.default_rng(0)
        self._best = [np.full(size, -np.inf) for size in observation_space.nvec]

    def select_action(self, observation):
        """Return the axis to move along, and 0 for down or 1 for up."""
        for axis, (best, here) in enumerate(zip(self._best, observation, strict=True)):
            untried = np.flatnonzero(np.isinf(best))
            there = untried[np.abs(untried - here).argmin()] if untried.size else best.argmax()
            if there != here:
                return np.array([axis, there > here], np.int64)
        return self._random.integers([len(self._best), 2])

    def update(self, transition):
        """Learn from one step: observation, action, reward, next_observation and its end."""
        for best, there in zip(self._best, transition.next_observation, strict=True):
            best[there] = max(best[there], transition.reward)


def main(target: str = str(DEFAULT_TARGET), steps: int = 300, seed: int = 0) -> None:
    """Search what a picture means; `rldf search --learner own_learner:AxisByAxis` does too."""
    result = search_picture(target, SearchSettings(learner=AxisByAxis, steps=steps, seed=seed))
    print(f"{len(result.steps)} steps, {result.states_seen} images: {result.headline}")
    print(f"best image: {result.best[0].prompt!r}")


if __name__ == "__main__":
    typer.run(main)
