"""PPO from Stable-Baselines3 on RLDF-v0 (pip install "rldf-gym[sb3]"): nothing to adapt."""

import gymnasium as gym
import typer
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

import rldf_gym


class TellEpisodes(BaseCallback):
    """Prints how every episode ended."""

    def _on_step(self) -> bool:
        info = self.locals["infos"][0]
        if self.locals["dones"][0]:
            seen, episode = info["states_seen"], info["episode"]
            print(f"step {self.num_timesteps:4}  {seen:3} pictures  return {episode['r']:6.1f}")
        return not info["at_goal"]


def main(target: str | None = None, steps: int = 256, seed: int = 0) -> None:
    """Search what a picture means; without TARGET, the one that ships with the package."""
    env = gym.make("RLDF-v0", target=target, reward="multi_semantic", max_episode_steps=32)
    print(f"rldf_gym {rldf_gym.__version__}; target: {env.unwrapped.goal.prompt!r}")
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, ent_coef=0.02, seed=seed, device="cpu")
    model.learn(steps, callback=TellEpisodes())
    observation = env.reset(seed=seed)[0]
    action, _ = model.predict(observation, deterministic=True)
    observation, reward, _, _, info = env.step(action)
    print(f"{model.num_timesteps} steps, {info['generations']} pictures drawn; now the policy")
    print(f"steps to {info['prompt']!r}: reward {reward:.1f}")


if __name__ == "__main__":
    typer.run(main)
