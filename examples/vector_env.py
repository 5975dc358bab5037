"""Many walks at once: ``gym.make_vec`` generates what they need in one batch."""

import gymnasium as gym
import typer

import rldf_gym
from rldf_agents import QLearning
from rldf_agents.statistics import StatisticsRecorder


def main(target: str | None = None, num_envs: int = 16, steps: int = 2000, seed: int = 0) -> None:
    """Learn one table of values from all walks together."""
    envs = gym.make_vec("RLDF-v0", num_envs=num_envs, target=target, max_episode_steps=50)
    goal, grammar = envs.unwrapped.goal, envs.unwrapped.grammar
    print(f"rldf_gym {rldf_gym.__version__}; target: {goal.prompt!r}")
    learner = QLearning(envs.single_observation_space, envs.single_action_space)
    recorder = StatisticsRecorder()
    learner.learn(envs, steps, seed=seed, callbacks=[recorder])
    print(f"{steps} steps, goal reached {recorder.statistics().times_reached} times")

    observations, infos = envs.reset(seed=seed)
    print(f"{int(infos['states_seen'][0])} of {grammar.n_states} images visited")
    observations, rewards, *_ = envs.step([learner.predict(each)[0] for each in observations])
    for observation, reward in zip(observations[:4], rewards, strict=False):
        print(f"reward {reward:+.0f}  {grammar.decode(observation)}")
    envs.close()


if __name__ == "__main__":
    typer.run(main)
