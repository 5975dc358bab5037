"""PPO in plain PyTorch on RLDF-Flat-v0, from top to bottom in one file, in CleanRL's style."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import typer
from task import report
from torch import nn
from torch.distributions import Categorical


def make_env(store: str) -> Callable[[], gym.Env[Any, Any]]:
    """Return a function that makes the task of the other examples, with Discrete actions."""
    task = {"grammar": "actions", "stop_at": None, "max_episode_steps": 20, "store": store}
    return lambda: gym.wrappers.RecordEpisodeStatistics(gym.make("rldf_gym:RLDF-Flat-v0", **task))


def main(
    steps: int = 2048,
    seed: int = 0,
    store: str = "default",
    num_envs: int = 4,
    num_steps: int = 64,
    learning_rate: float = 5e-3,
    gamma: float = 0.8,
    gae_lambda: float = 0.95,
    update_epochs: int = 8,
    num_minibatches: int = 4,
    clip_coef: float = 0.2,
    ent_coef: float = 0.01,
) -> tuple[float, float]:
    """Train; return the mean return of an episode at random and under the trained policy."""
    envs = gym.vector.SyncVectorEnv([make_env(store)] * num_envs)
    n_inputs = int(np.prod(envs.single_observation_space.shape))
    n_actions = int(envs.single_action_space.n)
    torch.manual_seed(seed)
    actor, critic = (
        nn.Sequential(nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, n_outputs))
        for n_outputs in (n_actions, 1)
    )
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=learning_rate)

    observation = torch.as_tensor(envs.reset(seed=seed)[0])
    ended = torch.zeros(num_envs)
    for _ in range(steps // (num_envs * num_steps)):
        rollout = []
        for _ in range(num_steps):
            with torch.no_grad():
                choice, value = Categorical(logits=actor(observation)), critic(observation)[:, 0]
                action = choice.sample()
            after, reward, terminated, truncated, info = envs.step(action.numpy())
            if "episode" in info:
                returns = info["episode"]["r"][info["_episode"]]
                print(f"return of an episode: {returns.mean():.1f}")
            reward = torch.as_tensor(reward, dtype=torch.float32)
            rollout.append((observation, action, choice.log_prob(action), value, reward, ended))
            observation = torch.as_tensor(after)
            ended = torch.as_tensor(terminated | truncated, dtype=torch.float32)
        observations, actions, log_probs, values, rewards, ends = map(
            torch.stack, zip(*rollout, strict=True)
        )

        # Generalised advantage estimation, from the last step back.
        with torch.no_grad():
            following, goes_on = critic(observation)[:, 0], 1 - ended
        advantages, advantage = torch.zeros_like(rewards), torch.zeros(num_envs)
        for step in reversed(range(num_steps)):
            error = rewards[step] + gamma * goes_on * following - values[step]
            advantage = error + gamma * gae_lambda * goes_on * advantage
            advantages[step], following, goes_on = advantage, values[step], 1 - ends[step]
        targets = (advantages + values).flatten()
        # A step at which an environment resets itself has no action to learn from.
        kept = torch.nonzero(ends.flatten() == 0)[:, 0]
        flat = [each.flatten(0, 1) for each in (observations, actions, log_probs, advantages)]

        for _ in range(update_epochs):
            for batch in kept[torch.randperm(len(kept))].chunk(num_minibatches):
                seen, acted, old_log_probs, gained = (each[batch] for each in flat)
                gained = (gained - gained.mean()) / (gained.std() + 1e-8)
                choice = Categorical(logits=actor(seen))
                ratio = (choice.log_prob(acted) - old_log_probs).exp()
                clipped = ratio.clamp(1 - clip_coef, 1 + clip_coef)
                policy_loss = -torch.min(ratio * gained, clipped * gained).mean()
                value_loss = nn.functional.mse_loss(critic(seen)[:, 0], targets[batch])
                loss = policy_loss + 0.5 * value_loss - ent_coef * choice.entropy().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    envs.close()

    def greedy(observation: np.ndarray) -> int:
        with torch.no_grad():
            return int(actor(torch.as_tensor(observation)).argmax())

    return report(make_env(store)(), greedy, steps)


if __name__ == "__main__":
    typer.run(main)
