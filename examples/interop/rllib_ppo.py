"""PPO from RLlib on RLDF-v0: MultiDiscrete actions as they are, observations one-hot."""

from typing import Any

import numpy as np
import ray
import torch
import typer
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.tune.registry import register_env
from task import make_env, one_hot, report


def main(steps: int = 1024, seed: int = 0, store: str = "default") -> tuple[float, float]:
    """Train; return the mean return of an episode at random and under the trained policy."""
    register_env("rldf", lambda config: one_hot(make_env(config["store"])))
    ray.init(num_cpus=1, include_dashboard=False, configure_logging=False, log_to_driver=False)
    config = (
        PPOConfig()
        .environment("rldf", env_config={"store": store})
        .env_runners(num_env_runners=0)
        .training(
            lr=3e-3,
            gamma=0.8,
            train_batch_size_per_learner=128,
            minibatch_size=64,
            num_epochs=10,
            vf_clip_param=1e4,
        )
        .debugging(seed=seed, log_level="ERROR")
    )
    algorithm = config.build_algo()
    trained = 0
    while trained < steps:
        algorithm.train()
        trained += config.train_batch_size_per_learner
    module = algorithm.get_module()

    def policy(observation: np.ndarray) -> Any:
        batch = {Columns.OBS: torch.as_tensor(observation)[None]}
        inputs = module.forward_inference(batch)[Columns.ACTION_DIST_INPUTS]
        distribution = module.get_inference_action_dist_cls().from_logits(inputs)
        return distribution.to_deterministic().sample()[0].numpy()

    env = one_hot(make_env(store))
    figures = report(env, policy, trained)
    algorithm.stop()
    ray.shutdown()
    return figures


if __name__ == "__main__":
    typer.run(main)
