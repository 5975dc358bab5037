"""An own learner: two methods, here hill climbing that starts again where it is stuck."""

import numpy as np
import typer

from rldf_agents.applications.search import SearchSettings, search_picture
from rldf_gym.goal import DEFAULT_TARGET


class HillClimber:
    """Takes every action of a state once, then the one with the highest reward."""

    def __init__(self, observation_space, action_space) -> None:
        self._rewards = np.full((*observation_space.nvec, *action_space.nvec), np.inf)

    def select_action(self, observation):
        """Return the action with the highest reward here, where untried ones are endless."""
        here = self._rewards[tuple(observation)]
        return np.array(np.unravel_index(here.argmax(), here.shape))

    def update(self, transition):
        """Remember the reward."""
        index = (*transition.observation, *transition.action)
        # Going the same way again is worth a little less each time.
        before = self._rewards[index]
        self._rewards[index] = min(before - 0.5, transition.reward)


def main(target: str = str(DEFAULT_TARGET), steps: int = 300, seed: int = 0) -> None:
    """Search what a picture means; `rldf search --learner own_learner:HillClimber` does too."""
    result = search_picture(target, SearchSettings(learner=HillClimber, steps=steps, seed=seed))
    print(f"{len(result.steps)} steps, {result.states_seen} images, {result.verdict}")
    print(f"best image: {result.best[0].prompt!r}")


if __name__ == "__main__":
    typer.run(main)
