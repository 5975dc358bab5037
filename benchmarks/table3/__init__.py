"""The paper's Table 3 and Fig. 6 again: many runs of each row instead of one.

Q-learning, SARSA and random walking, three rewards, epsilon 0.01 and 0.10, on the stored base
world: the paper's columns as means over targets and seeds with bootstrap intervals, each beside the
row that the paper prints (``printed.csv``), and the distance to the goal over steps.
"""

from benchmarks.table3.report import report
from benchmarks.table3.runs import run

__all__ = ["report", "run"]
