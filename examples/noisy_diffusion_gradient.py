"""The paper's second method (§3.1): climb the differences of the feedback, axis by axis."""

import gymnasium as gym
import typer

import rldf_gym
from rldf_agents import NoisyDiffusionGradient
from rldf_agents.protocols import Transition


def main(target: str | None = None, steps: int = 600, seed: int = 0, reward: str = "clip") -> None:
    """Search what a picture means; without TARGET, the one that ships with the package."""
    env = gym.make("RLDF-v0", target=target, reward=reward, max_episode_steps=100)
    names = env.unwrapped.grammar.axis_names
    print(f"rldf_gym {rldf_gym.__version__}; target: {env.unwrapped.goal.prompt!r}")
    learner = NoisyDiffusionGradient(env.observation_space, env.action_space)
    learner.start_run(seed)
    observation, info = env.reset(seed=seed)
    for step in range(1, steps + 1):
        action = learner.select_action(observation)
        after, feedback, terminated, truncated, info = env.step(action)
        learner.update(Transition(observation, action, feedback, after, terminated, truncated))
        observation = after
        if step % 50 == 0 or terminated:
            slopes = zip(names, learner.gradient(observation), strict=True)
            gradient = ", ".join(f"{name} {slope:+.2f}" for name, slope in slopes)
            print(f"step {step:4}  {info['prompt']}  gradient: {gradient}")
        if terminated:
            break
        if truncated:
            observation, info = env.reset()
    found = "found" if info["at_goal"] else "not found"
    print(f"{found} with {info['states_seen']} images visited")
    print(f"{learner.plateaus} plateaus, {learner.divergences} divergences")


if __name__ == "__main__":
    typer.run(main)
