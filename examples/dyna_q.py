"""Dyna-Q: learn what every action leads to, plan on that, and look where it may be better."""

import gymnasium as gym
import typer

import rldf_gym
from rldf_agents import DynaQ
from rldf_agents.callbacks import ProgressBar
from rldf_agents.statistics import StatisticsRecorder


def main(target: str | None = None, steps: int = 300, seed: int = 0) -> None:
    """Search what a picture means; without TARGET, the one that ships with the package."""
    env = gym.make("RLDF-v0", target=target, reward="multi_semantic", max_episode_steps=100)
    print(f"rldf_gym {rldf_gym.__version__}; target: {env.unwrapped.goal.prompt!r}")
    learner = DynaQ(env.observation_space, env.action_space)
    recorder = StatisticsRecorder()
    learner.learn(env, steps, seed=seed, callbacks=[ProgressBar(), recorder])
    run = recorder.statistics()
    if run.times_reached:
        print(f"goal at step {run.steps_to_goal}, after {run.states_to_goal} different pictures")
    else:
        print(f"goal not reached in {run.steps} steps")

    observation, info = env.reset(seed=seed)
    print(f"what it plans to do at {info['prompt']!r}:")
    for _ in range(5):
        action, _ = learner.predict(observation, deterministic=True)
        observation, reward, terminated, _, info = env.step(action)
        print(f"reward {reward:+.0f}  {info['prompt']}")
        if terminated:
            break


if __name__ == "__main__":
    typer.run(main)
