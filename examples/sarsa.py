"""SARSA through the library's own learner: train, save, load, and act on what was learned."""

import tempfile
from pathlib import Path

import gymnasium as gym
import typer

import rldf_gym
from rldf_agents import SARSA
from rldf_agents.callbacks import ProgressBar
from rldf_agents.statistics import StatisticsRecorder


def main(target: str | None = None, steps: int = 500, seed: int = 0) -> None:
    """Search what a picture means; without TARGET, the one that ships with the package."""
    env = gym.make("RLDF-v0", target=target, reward="multi_semantic", max_episode_steps=100)
    print(f"rldf_gym {rldf_gym.__version__}; target: {env.unwrapped.goal.prompt!r}")
    learner = SARSA(env.observation_space, env.action_space)
    recorder = StatisticsRecorder()
    learner.learn(env, steps, seed=seed, callbacks=[ProgressBar(), recorder])
    run = recorder.statistics()
    print(f"goal reached {run.times_reached} times, first at step: {run.steps_to_goal or 'never'}")

    with tempfile.TemporaryDirectory() as folder:
        learner = SARSA.load(learner.save(Path(folder) / "sarsa"), env)
    observation, info = env.reset(seed=seed)
    print(f"loaded again, it starts at {info['prompt']!r}")
    action, _ = learner.predict(observation, deterministic=True)
    _, reward, _, _, info = env.step(action)
    print(f"and steps to {info['prompt']!r}: reward {reward:.1f}")


if __name__ == "__main__":
    typer.run(main)
