"""One search: what it looked at, until the goal is first visited or the budget is spent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.sample_efficiency.peers import Proposals, State
from rldf_agents.protocols import Environment, Episode, Learner, SingleEnvironment, Step

LOOKS_PER_GENERATION = 20
"""A search also ends after this many looks, free ones included, for each of its budget."""


@dataclass
class Ledger:
    """What one search has looked at; closed at the first visit to the goal.

    Attributes:
        budget: most distinct states that it may look at.
        states: the distinct states looked at, starting states included, as int64 bytes.
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
    """Notes every state that is looked at, and keeps ``info`` from whoever searches."""

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
        """Go on until the search is over."""
        return not self.ledger.over

    def on_episode_end(self, episode: Episode) -> None:
        """Episodes do not matter here."""

    def on_training_end(self) -> None:
        """Nothing to tidy."""


def follow(proposals: Proposals, env: SingleEnvironment, ledger: Ledger) -> None:
    """Look at the states that a peer proposes, and tell it their rewards, until it is over."""
    reward_of: Callable[[dict[str, Any]], float] = env.get_wrapper_attr("reading_reward")
    known: dict[State, float] = {}
    try:
        state = next(proposals)
        while True:
            if state not in known:
                observation, info = env.reset(options={"state": state})
                known[state] = reward_of(info)
                ledger.look(observation, info["at_goal"])
            else:
                ledger.look(state, at_goal=False)
            if ledger.over:
                break
            state = proposals.send(known[state])
    except StopIteration:
        pass
    finally:
        proposals.close()
