"""Learners for any Gymnasium environment with Discrete or MultiDiscrete spaces.

A learner sees observation, reward, terminated, truncated and the two spaces, nothing else.
"""

from rldf_agents.contracts import Learner
from rldf_agents.learners.q_learning import QLearning
from rldf_agents.learners.random_agent import RandomAgent
from rldf_agents.learners.sarsa import SARSA

LEARNERS: dict[str, type[QLearning] | type[SARSA] | type[RandomAgent]] = {
    learner.name: learner for learner in (QLearning, SARSA, RandomAgent)
}
"""The learners by the name that saved files and the command line use."""

__all__ = ["LEARNERS", "SARSA", "Learner", "QLearning", "RandomAgent"]
