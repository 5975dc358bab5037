"""Gymnasium's toy-text environments, and the settings that each is learned with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import gymnasium as gym

from benchmarks.dynamic_programming import DecisionProcess, from_transition_table
from rldf_agents.learners import LEARNERS, SARSA, QLearning
from rldf_agents.protocols import Learner, SingleEnvironment
from rldf_agents.schedules import LinearEpsilon, VisitCountStepSize

LEARNER_NAMES = (QLearning.name, SARSA.name)


@dataclass(frozen=True)
class World:
    """A toy-text environment and how it is learned.

    Attributes:
        env_id: of ``gymnasium.make``.
        steps: of training.
        gamma: discount.
        initial_value: of the table: no state is worth more, so that untried actions lure.
        settings: of each learner, by its name.
        arguments: of ``gymnasium.make``.
    """

    env_id: str
    steps: int
    gamma: float
    initial_value: float
    settings: Mapping[str, Mapping[str, Any]]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        learners = {
            name: {key: str(value) for key, value in settings.items()}
            for name, settings in self.settings.items()
        }
        numbers = {"steps": self.steps, "gamma": self.gamma, "initial_value": self.initial_value}
        return {"env": self.env_id, **self.arguments, **numbers, "learners": learners}


def newest(name: str) -> str:
    """Return the id of the newest registered version of an environment."""
    versions = [spec.version or 0 for spec in gym.registry.values() if spec.name == name]
    return f"{name}-v{max(versions)}"


# In a deterministic world optimistic initial values explore by themselves. SARSA learns the values
# of the policy that it follows, exploration included: it finds the optimal one only as epsilon
# vanishes.
_DETERMINISTIC: Mapping[str, Mapping[str, Any]] = {
    QLearning.name: {"epsilon": 0.1, "step_size": 0.5},
    SARSA.name: {"epsilon": 0.0, "step_size": 0.5},
}
_SLIPPERY_STEPS = 300_000
_SLIPPERY: Mapping[str, Mapping[str, Any]] = {
    QLearning.name: {"epsilon": 0.1, "step_size": VisitCountStepSize(0.6)},
    SARSA.name: {
        "epsilon": LinearEpsilon(0.1, 0.0, _SLIPPERY_STEPS),
        "step_size": 0.02,
    },
}
CLIFF = "CliffWalking"
WORLDS = {
    # Without a limit of time a poor policy walks to and fro for ever.
    CLIFF: World("CliffWalking-v1", 10_000, 1.0, 0.0, _DETERMINISTIC, {"max_episode_steps": 500}),
    "Taxi": World(newest("Taxi"), 200_000, 0.99, 20.0, _DETERMINISTIC),
    "FrozenLake, dry": World(
        "FrozenLake-v1", 5_000, 0.99, 1.0, _DETERMINISTIC, {"is_slippery": False}
    ),
    "FrozenLake, slippery": World(
        "FrozenLake-v1", _SLIPPERY_STEPS, 0.99, 1.0, _SLIPPERY, {"is_slippery": True}
    ),
}


@cache
def opened(name: str) -> tuple[SingleEnvironment, DecisionProcess]:
    """Return the environment of that name in ``WORLDS`` and its transition table."""
    world = WORLDS[name]
    env = gym.make(world.env_id, **world.arguments)
    return env, from_transition_table(env)


def new_learner(kind: str, world: str, **changed: Any) -> Learner:
    """Return an untrained learner for a world, its settings as in ``WORLDS`` or as given."""
    env, chosen = opened(world)[0], WORLDS[world]
    settings = {"gamma": chosen.gamma, "initial_value": chosen.initial_value}
    settings |= {**chosen.settings[kind], **changed}
    return LEARNERS[kind](env.observation_space, env.action_space, **settings)
