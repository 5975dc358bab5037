"""An animation for every registered environment: what a trained policy does there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

import rldf_gym
from benchmarks.stored_world import EXTENDED_TARGETS
from rldf_agents import FactoredUCB, QLearning
from rldf_agents.sb3 import make_model
from rldf_gym.generation import make_generator
from rldf_gym.rendering import trajectory_strip

gym.register_envs(rldf_gym)

Policy = Callable[[Any], Any]

_STARTS = (1, 2, 3)
_MOST_STEPS = 24
_AT_THE_GOAL = 3
"""How many further frames show the goal."""

_CONTINUES: dict[str, Any] = {"stop_at": None, "max_episode_steps": 30}
"""A learner that maximises the return stays beside a goal that ends its reward."""


def _q_learning(env: gym.Env[Any, Any]) -> Policy:
    learner = QLearning(env.observation_space, env.action_space, epsilon=0.3)
    learner.learn(env, 40_000, seed=0)
    return lambda observation: learner.predict(observation, deterministic=True)[0]


def _factored_ucb(env: gym.Env[Any, Any]) -> Policy:
    learner = FactoredUCB(env.observation_space, env.action_space)
    learner.learn(env, 300, seed=0)
    return lambda observation: learner.predict(observation, deterministic=True)[0]


def _dqn(env: gym.Env[Any, Any]) -> Policy:
    model = make_model("dqn", env, seed=0)
    model.learn(6_000)
    return lambda observation: model.predict(observation, deterministic=True)[0]


def _cyclist() -> Any:
    """Return a target with an action: an image with a seed that no environment uses here."""
    [picture] = make_generator("embedded")(["a photo of one people cycling in park"], [99])
    return picture


@dataclass(frozen=True)
class Animated:
    """How a policy is trained for an animation.

    Attributes:
        train: trains on the environment and returns the policy.
        target: returns the picture that is searched for; None is the shipped one.
        arguments: others of ``gym.make``.
    """

    train: Callable[[gym.Env[Any, Any]], Policy]
    target: Callable[[], Any] = lambda: None
    arguments: dict[str, Any] = field(default_factory=dict)


ANIMATED = {
    "RLDF-v0": Animated(_factored_ucb),
    "RLDF-Base-v0": Animated(_q_learning, arguments=_CONTINUES),
    "RLDF-Extended-v0": Animated(_factored_ucb, lambda: EXTENDED_TARGETS[0]),
    "RLDF-Actions-v0": Animated(_q_learning, _cyclist, arguments=_CONTINUES),
    "RLDF-Flat-v0": Animated(_dqn, arguments=_CONTINUES),
}


def frames(env_id: str) -> list[Image.Image]:
    """Train a policy and return what it does from three starting states, the target beside it.

    Raises:
        RuntimeError: an episode did not visit the goal state.
    """
    animated = ANIMATED[env_id]
    env = gym.make(env_id, target=animated.target(), **animated.arguments)
    policy = animated.train(env)
    shown = [frame for seed in _STARTS for frame in _episode(env, policy, seed)]
    env.close()
    return shown


def _episode(env: gym.Env[Any, Any], policy: Policy, seed: int) -> Iterator[Image.Image]:
    observation, info = env.reset(seed=seed)
    yield _frame(env, info, "start")
    for step in range(1, _MOST_STEPS + 1):
        observation, reward, _, _, info = env.step(policy(observation))
        yield _frame(env, info, f"step {step}, reward {reward:.0f}")
        if info["at_goal"]:
            yield from [_frame(env, info, f"step {step}, reward {reward:.0f}")] * _AT_THE_GOAL
            return
    raise RuntimeError(f"{env.spec}: from seed {seed}, the policy did not visit the goal state")


def _frame(env: gym.Env[Any, Any], info: dict[str, Any], title: str) -> Image.Image:
    goal = env.get_wrapper_attr("goal")
    caption = f"{title}: {info['prompt']}"
    outlined = [0] if info["at_goal"] else []
    picture = np.asarray(env.unwrapped.render())
    return trajectory_strip([picture], [caption], goal.picture, "target", outlined, size=208)
