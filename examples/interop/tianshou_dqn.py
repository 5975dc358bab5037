"""DQN from Tianshou on RLDF-v0, with numbered actions and one-hot observations."""

from typing import Any

import gymnasium as gym
import numpy as np
import torch
import typer
from task import make_env, one_hot, report
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

from rldf_gym.wrappers import FlattenAction


class WithoutInfo(gym.Wrapper[Any, Any, Any, Any]):
    """Empties ``info``: its key "values" would hide the method of that name of Tianshou's Batch."""

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Reset."""
        return self.env.reset(**arguments)[0], {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step."""
        return *self.env.step(action)[:4], {}


def main(steps: int = 600, seed: int = 0, store: str = "default") -> tuple[float, float]:
    """Train; return the mean return of an episode at random and under the trained policy."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    env = FlattenAction(one_hot(make_env(store)))
    envs = DummyVectorEnv([lambda: WithoutInfo(FlattenAction(one_hot(make_env(store))))])
    envs.seed(seed)
    network = Net(
        state_shape=env.observation_space.shape,
        action_shape=env.action_space.n,
        hidden_sizes=[64],
    )
    policy = DiscreteQLearningPolicy(model=network, action_space=env.action_space, eps_training=1.0)
    algorithm = DQN(
        policy=policy, optim=AdamOptimizerFactory(lr=3e-3), gamma=0.8, target_update_freq=50
    )
    collector = Collector(algorithm, envs, VectorReplayBuffer(steps, 1), exploration_noise=True)
    collector.reset()
    # Not random=True: that draws from the action space under the wrappers, not the numbered one.
    collector.collect(n_step=50)
    epochs = 10
    algorithm.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            max_epochs=epochs,
            epoch_num_steps=(steps - 50) // epochs,
            collection_step_num_env_steps=5,
            batch_size=64,
            update_step_num_gradient_steps_per_sample=1.0,
            training_fn=lambda epoch, _: policy.set_eps_training(max(0.1, 1.0 - epoch / 5)),
            verbose=False,
            show_progress=False,
        )
    )

    def act(observation: np.ndarray) -> Any:
        with torch.no_grad():
            return policy.compute_action(observation)

    return report(env, act, steps)


if __name__ == "__main__":
    typer.run(main)
