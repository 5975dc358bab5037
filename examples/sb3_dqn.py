"""DQN from Stable-Baselines3 through rldf_agents.sb3: settings that suit, our statistics."""

import tempfile
from pathlib import Path

import gymnasium as gym
import typer
from stable_baselines3 import DQN

import rldf_gym
from rldf_agents.sb3 import CallbackBridge, make_model
from rldf_agents.statistics import StatisticsRecorder
from rldf_gym.wrappers import FlattenAction


def main(
    target: str | None = None, steps: int = 500, seed: int = 0, tensorboard_log: str | None = None
) -> None:
    """Search what a picture means; without TARGET, the one that ships with the package."""
    env = gym.make("RLDF-v0", target=target, reward="multi_semantic", max_episode_steps=100)
    print(f"rldf_gym {rldf_gym.__version__}; target: {env.unwrapped.goal.prompt!r}")
    model = make_model("dqn", env, seed=seed, tensorboard_log=tensorboard_log)
    recorder = StatisticsRecorder()
    model.learn(steps, callback=CallbackBridge([recorder]))
    run = recorder.statistics()
    print(f"goal reached {run.times_reached} times, first at step: {run.steps_to_goal or 'never'}")

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "dqn")
        model = DQN.load(Path(folder) / "dqn", env=FlattenAction(env))
    observation, info = env.reset(seed=seed)
    print(f"loaded again, it starts at {info['prompt']!r}")
    number, _ = model.predict(observation, deterministic=True)
    _, reward, _, _, info = FlattenAction(env).step(number)
    print(f"and steps to {info['prompt']!r}: reward {reward:.1f}")


if __name__ == "__main__":
    typer.run(main)
