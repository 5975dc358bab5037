"""Learners for any Gymnasium environment with Discrete or MultiDiscrete spaces.

A learner sees observation, reward, terminated, truncated and the two spaces, nothing else.
"""

from rldf_agents.learners.dyna_q import DynaQ
from rldf_agents.learners.factored_ucb import FactoredUCB
from rldf_agents.learners.linear_q_learning import LinearQLearning
from rldf_agents.learners.linear_sarsa import LinearSARSA
from rldf_agents.learners.noisy_diffusion_gradient import NoisyDiffusionGradient
from rldf_agents.learners.q_learning import QLearning
from rldf_agents.learners.random_agent import RandomAgent
from rldf_agents.learners.sarsa import SARSA
from rldf_agents.protocols import Learner, LearnerType

_LEARNERS: tuple[LearnerType, ...] = (
    QLearning,
    SARSA,
    RandomAgent,
    DynaQ,
    NoisyDiffusionGradient,
    LinearQLearning,
    LinearSARSA,
    FactoredUCB,
)

LEARNERS: dict[str, LearnerType] = {learner.name: learner for learner in _LEARNERS}
"""The learners by the name that saved files and the command line use."""

__all__ = [
    "LEARNERS",
    "SARSA",
    "DynaQ",
    "FactoredUCB",
    "Learner",
    "LinearQLearning",
    "LinearSARSA",
    "NoisyDiffusionGradient",
    "QLearning",
    "RandomAgent",
]
