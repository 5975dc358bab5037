"""DQN from TorchRL on RLDF-v0, with numbered actions."""

from typing import Any

import numpy as np
import torch
import typer
from task import make_env, one_hot, report
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import GymWrapper, InitTracker, TransformedEnv
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate

from rldf_gym.wrappers import FlattenAction


def main(steps: int = 600, seed: int = 0, store: str = "default") -> tuple[float, float]:
    """Train; return the mean return of an episode at random and under the trained policy."""
    torch.manual_seed(seed)
    gymnasium_env = FlattenAction(one_hot(make_env(store)))
    env = TransformedEnv(GymWrapper(gymnasium_env, categorical_action_encoding=True), InitTracker())
    env.set_seed(seed)
    network = MLP(
        in_features=env.observation_spec["observation"].shape[-1],
        num_cells=[64],
        out_features=env.action_spec.n,
        activation_class=torch.nn.ReLU,
    )
    actor = QValueActor(network, spec=env.action_spec)
    explore = EGreedyModule(
        env.action_spec, eps_init=1.0, eps_end=0.1, annealing_num_steps=steps // 2
    )
    loss = DQNLoss(actor, action_space=env.action_spec, delay_value=True, loss_function="l2")
    loss.make_value_estimator(gamma=0.8)
    target = HardUpdate(loss, value_network_update_interval=50)
    optimizer = torch.optim.Adam(loss.parameters(), lr=3e-3)
    replay = TensorDictReplayBuffer(storage=LazyTensorStorage(steps), batch_size=64)
    collector = Collector(
        env, TensorDictSequential(actor, explore), frames_per_batch=10, total_frames=steps
    )
    for batch in collector:
        replay.extend(batch)
        explore.step(len(batch))
        for _ in range(len(batch) if len(replay) >= 50 else 0):
            optimizer.zero_grad()
            loss(replay.sample())["loss"].backward()
            optimizer.step()
            target.step()

    def policy(observation: np.ndarray) -> Any:
        with torch.no_grad():
            return int(network(torch.as_tensor(observation)).argmax())

    return report(gymnasium_env, policy, steps)


if __name__ == "__main__":
    typer.run(main)
