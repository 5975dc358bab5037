"""Q-learning (Watkins 1989; the paper's Alg. 1) on RLDF-v0, from top to bottom in one file."""

import gymnasium as gym
import numpy as np
import typer

import rldf_gym


def main(target: str | None = None, steps: int = 600, seed: int = 0, gamma: float = 0.9) -> None:
    """Search what a picture means; without TARGET, the one that ships with the package."""
    try:
        env = gym.make("RLDF-v0", target=target, reward="multi_semantic", max_episode_steps=100)
    except rldf_gym.RLDFError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"The target was read as {env.unwrapped.goal.prompt!r}")
    random = np.random.default_rng(seed)
    # Optimistic values make the agent try everything once; ties are broken at random.
    values = np.full((*env.observation_space.nvec, *env.action_space.nvec), 2 / (1 - gamma))
    observation, info = env.reset(seed=seed)
    for step in range(1, steps + 1):
        here = values[tuple(observation)]
        action = np.argwhere(here == here.max())
        action = random.choice(action) if random.random() > 0.1 else env.action_space.sample()
        after, reward, terminated, truncated, info = env.step(action)
        future = 0.0 if terminated else gamma * values[tuple(after)].max()
        here[tuple(action)] += 0.5 * (reward + future - here[tuple(action)])
        observation = after
        if step % 50 == 0 or terminated:
            print(f"step {step:4}  {info['states_seen']:3} images  {info['prompt']}")
        if terminated:
            break
        if truncated:
            observation, info = env.reset()
    print("found" if info["at_goal"] else "not found", f"with {info['generations']} new images")


if __name__ == "__main__":
    typer.run(main)
