"""An own reward: a function of the readings of n images and the goal."""

import gymnasium as gym
import numpy as np
import typer

import rldf_gym
from rldf_agents import FactoredUCB
from rldf_agents.statistics import StatisticsRecorder


def confident_axes(readings, goal):
    """Return the summed confidence of the axes that are read as in the goal, float32 [n]."""
    right = readings.values == goal.state
    return np.where(right, readings.confidence, 0).sum(axis=1, dtype=np.float32)


def main(target: str | None = None, steps: int = 100, seed: int = 0) -> None:
    """Search what a picture means; without TARGET, the one that ships with the package."""
    # A name, "own_reward:confident_axes", does the same, here and in `rldf search --reward`.
    env = gym.make("RLDF-v0", target=target, reward=confident_axes)
    print(f"rldf_gym {rldf_gym.__version__}; target: {env.unwrapped.goal.prompt!r}")
    learner = FactoredUCB(env.observation_space, env.action_space)
    recorder = StatisticsRecorder()
    learner.learn(env, steps, seed=seed, callbacks=[recorder])
    run = recorder.statistics()
    print(f"{run.steps} steps, goal reached {run.times_reached} times")

    _, info = env.reset(options={"state": env.unwrapped.goal.state})
    for name, confidence in zip(env.unwrapped.grammar.axis_names, info["confidence"], strict=True):
        print(f"at the goal, {name} is read with confidence {confidence:.2f}")


if __name__ == "__main__":
    typer.run(main)
