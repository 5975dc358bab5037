"""DQN in plain PyTorch on RLDF-v0, from top to bottom in one file, in the manner of CleanRL."""

import numpy as np
import torch
import typer
from task import make_env, one_hot, report
from torch import nn

from rldf_gym.wrappers import FlattenAction


def main(
    steps: int = 600,
    seed: int = 0,
    store: str = "default",
    learning_rate: float = 3e-3,
    gamma: float = 0.8,
    batch_size: int = 64,
    learning_starts: int = 50,
    target_network_frequency: int = 50,
    end_epsilon: float = 0.1,
    exploration_fraction: float = 0.5,
) -> tuple[float, float]:
    """Train; return the mean return of an episode at random and under the trained policy."""
    # One-hot observations for the network, numbered actions for its outputs.
    env = FlattenAction(one_hot(make_env(store)))
    n_inputs, n_actions = env.observation_space.shape[0], int(env.action_space.n)
    torch.manual_seed(seed)
    env.action_space.seed(seed)
    random = np.random.default_rng(seed)
    network, target = (
        nn.Sequential(nn.Linear(n_inputs, 64), nn.ReLU(), nn.Linear(64, n_actions))
        for _ in range(2)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)

    def greedy(observation: np.ndarray) -> int:
        with torch.no_grad():
            return int(network(torch.as_tensor(observation)).argmax())

    replay = []
    observation, _ = env.reset(seed=seed)
    for step in range(steps):
        explored = min(step / (exploration_fraction * steps), 1.0)
        epsilon = 1.0 + (end_epsilon - 1.0) * explored
        explore = random.random() < epsilon
        action = env.action_space.sample() if explore else greedy(observation)
        after, reward, terminated, truncated, _ = env.step(action)
        replay.append((observation, action, reward, after, terminated))
        observation = env.reset()[0] if terminated or truncated else after
        if step % target_network_frequency == 0:
            target.load_state_dict(network.state_dict())
        if step < learning_starts:
            continue
        batch = [replay[index] for index in random.integers(len(replay), size=batch_size)]
        before, actions, rewards, afters, ends = (
            torch.as_tensor(np.array(column), dtype=torch.float32)
            for column in zip(*batch, strict=True)
        )
        with torch.no_grad():
            goals = rewards + gamma * (1 - ends) * target(afters).max(dim=1).values
        values = network(before).gather(1, actions.long()[:, None]).squeeze(1)
        loss = nn.functional.mse_loss(values, goals)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return report(env, greedy, steps)


if __name__ == "__main__":
    typer.run(main)
