"""The Gymnasium loop: reset, step, render. The agent acts at random."""

import gymnasium as gym
import typer
from PIL import Image

import rldf_gym


def main(target: str | None = None, steps: int = 30, seed: int = 0, out: str = "best.png") -> None:
    """Walk at random and keep the best image; without TARGET, the one that ships."""
    env = gym.make("RLDF-v0", target=target, stop_at="match", max_episode_steps=10)
    print(f"rldf_gym {rldf_gym.__version__}; the target was read as {env.unwrapped.goal.prompt!r}")
    env.action_space.seed(seed)
    env.reset(seed=seed)
    best = -float("inf")
    for step in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        if reward > best:
            best = reward
            Image.fromarray(env.render()).save(out)
            sentence = env.unwrapped.grammar.decode(observation)
            print(f"step {step:3}  reward {reward:+.0f}  {sentence}")
        if terminated:
            print("this image reads as the target")
        if terminated or truncated:
            env.reset()
    env.close()
    print(f"the best image is {out}")


if __name__ == "__main__":
    typer.run(main)
