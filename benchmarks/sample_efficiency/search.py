"""One search: the states it visits, until the goal is first visited or the budget is spent."""

from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.inversion.black_box import Proposals, State, follow
from rldf_agents.protocols import Environment, Episode, Learner, SingleEnvironment, Step
from rldf_gym.perception import Readings
from rldf_gym.rewards import multi_semantic

LOOKS_PER_GENERATION = 20
"""A search also ends after this many looks, free ones included, for each of its budget."""


@dataclass
class Ledger:
    """The states that one search has visited; closed at the first visit to the goal.

    Attributes:
        budget: most distinct states that it may visit.
        states: the distinct states visited, starting states included, as int64 bytes.
        looks: how often it looked: steps and resets, or questions asked.
        reached: whether it has visited the goal.
    """

    budget: int
    states: set[bytes] = field(default_factory=set)
    looks: int = 0
    reached: bool = False

    @property
    def max_looks(self) -> int:
        """Most looks, free ones included."""
        return LOOKS_PER_GENERATION * self.budget

    @property
    def over(self) -> bool:
        """Whether the search has to end."""
        spent = len(self.states) > self.budget or self.looks >= self.max_looks
        return self.reached or spent

    def look(self, state: npt.ArrayLike, at_goal: bool) -> None:
        """Note a look at a state; nothing is added after the end."""
        if not self.over:
            self.looks += 1
            self.states.add(np.asarray(state, np.int64).tobytes())
            self.reached = at_goal and len(self.states) <= self.budget


class Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Record every visited state, and hide ``info`` from the search."""

    def __init__(self, env: SingleEnvironment, ledger: Ledger) -> None:
        """Watch an RLDF environment."""
        super().__init__(env)
        self._ledger = ledger

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset, and note the starting state."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._ledger.look(observation, info["at_goal"])
        return observation, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and note where it led."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._ledger.look(observation, info["at_goal"])
        return observation, reward, terminated, truncated, {}


@dataclass(frozen=True)
class EndWithLedger:
    """A callback that ends a training when its search is over."""

    ledger: Ledger

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Nothing to prepare."""

    def on_step(self, step: Step) -> bool:
        """Continue until the search is over."""
        return not self.ledger.over

    def on_episode_end(self, episode: Episode) -> None:
        """Episodes do not matter here."""

    def on_training_end(self) -> None:
        """Nothing to tidy."""


def follow_in(proposals: Proposals, env: SingleEnvironment, ledger: Ledger) -> None:
    """Evaluate the states that a peer proposes, send it their rewards, until it is over."""
    goal = env.get_wrapper_attr("goal")
    known: dict[State, float] = {}

    def evaluate(state: State) -> float | None:
        if state not in known:
            observation, info = env.reset(options={"state": state})
            reading = (info[key][np.newaxis] for key in ("values", "confidence", "embedding"))
            known[state] = float(multi_semantic(Readings(*reading), goal)[0])
            ledger.look(observation, info["at_goal"])
        else:
            ledger.look(state, at_goal=False)
        return None if ledger.over else known[state]

    follow(proposals, evaluate)
