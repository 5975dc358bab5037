"""Q-learning and SARSA on worlds nobody here wrote: Gymnasium's toy-text environments.

Two questions. Does each learner reach the optimal return of CliffWalking, Taxi and FrozenLake
(dry and slippery), as value iteration on the environment's own transition table gives it? And does
the cliff show what Sutton & Barto's Example 6.6 shows: SARSA's online return above Q-learning's,
although Q-learning's greedy policy is the optimal one?
"""

from benchmarks.classic.experiments import run
from benchmarks.classic.report import report

__all__ = ["report", "run"]
