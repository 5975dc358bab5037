"""Learners for any Gymnasium environment with Discrete or MultiDiscrete spaces.

A learner sees observation, reward, terminated, truncated and the two spaces, nothing else. To add
one, write one module in this package with a class decorated with ``register_learner``. A learner
outside this package needs no registration: see ``rldf_agents.protocols``.
"""

import importlib
import pkgutil

from rldf_agents.learners.discrete_learner import LEARNERS, DiscreteLearner, register_learner
from rldf_agents.learners.dyna_q import DynaQ
from rldf_agents.learners.factored_ucb import FactoredUCB
from rldf_agents.learners.linear import LinearQLearning, LinearSARSA
from rldf_agents.learners.noisy_diffusion_gradient import NoisyDiffusionGradient
from rldf_agents.learners.random_agent import RandomAgent
from rldf_agents.learners.tabular import SARSA, QLearning
from rldf_agents.learners.tree_ucb import TreeUCB
from rldf_agents.protocols import Learner

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "LEARNERS",
    "SARSA",
    "DiscreteLearner",
    "DynaQ",
    "FactoredUCB",
    "Learner",
    "LinearQLearning",
    "LinearSARSA",
    "NoisyDiffusionGradient",
    "QLearning",
    "RandomAgent",
    "TreeUCB",
    "register_learner",
]
