"""The statistics of the paper's Table 3, computed from the ``info`` of every step of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rldf_agents.callbacks import BaseCallback
from rldf_agents.errors import AgentError
from rldf_agents.protocols import Step

_INFO_KEYS = ("distance", "fine", "coarse", "at_goal", "generations", "states_seen")


@dataclass(frozen=True)
class StepRecord:
    """The values of one step's ``info`` that statistics need."""

    episode: int
    distance: float
    """L1 distance from the state to the goal state."""
    fine: float
    """Fine semantic gain of the image."""
    coarse: float
    """Coarse semantic gain of the image."""
    at_goal: bool
    generations: int
    """Images generated so far."""
    states_seen: int
    """Distinct states visited so far: the generations with an empty store."""


@dataclass(frozen=True)
class RunStatistics:
    """The columns of Table 3 over the T steps of a run, and the cost of the first visit.

    D_t is the distance after step t, t = 1..T; resets are not steps.
    """

    steps: int
    """T."""
    final_distance: float
    """D_T."""
    max_distance: float
    """D_max."""
    min_distance: float
    """D_min."""
    distance_deviation: float
    """rho, the standard deviation of D_t over the run's own T steps (divided by T)."""
    distance_variance: float
    """sigma squared, its square."""
    times_reached: int
    """Conv.: number of arrivals at the goal; a step that stays there is none."""
    fine: float
    """F, the sum of fine gains."""
    coarse: float
    """C, the sum of coarse gains."""
    steps_to_goal: int | None
    """Steps up to the first arrival; None without one."""
    generations_to_goal: int | None
    """Images generated up to the first arrival."""
    states_to_goal: int | None
    """Distinct states visited up to the first arrival."""


def run_statistics(records: Sequence[StepRecord]) -> RunStatistics:
    """Return the statistics of a run.

    Raises:
        AgentError: if there is no step.
    """
    if not records:
        raise AgentError("a run without steps has no statistics: train for at least one step")
    distances = np.array([record.distance for record in records], dtype=np.float64)
    arrivals = _arrivals(records)
    first = arrivals[0] if arrivals else None
    return RunStatistics(
        steps=len(records),
        final_distance=float(distances[-1]),
        max_distance=float(distances.max()),
        min_distance=float(distances.min()),
        distance_deviation=float(distances.std()),
        distance_variance=float(distances.var()),
        times_reached=len(arrivals),
        fine=float(sum(record.fine for record in records)),
        coarse=float(sum(record.coarse for record in records)),
        steps_to_goal=None if first is None else first + 1,
        generations_to_goal=None if first is None else records[first].generations,
        states_to_goal=None if first is None else records[first].states_seen,
    )


class StatisticsRecorder(BaseCallback):
    """A callback that records what ``run_statistics`` needs of every step.

    After a resume it has the records of the resumed part only.

    Attributes:
        records: one for each step, in order.
    """

    def __init__(self) -> None:
        self.records: list[StepRecord] = []

    def on_step(self, step: Step) -> None:
        """Record one step; AgentError if its ``info`` lacks what Table 3 needs."""
        info = step.info
        missing = [key for key in _INFO_KEYS if key not in info]
        if missing:
            raise AgentError(
                f"the environment's info lacks {', '.join(missing)}: statistics are recorded on "
                "RLDF environments"
            )
        self.records.append(
            StepRecord(
                episode=step.episode,
                distance=float(info["distance"]),
                fine=float(info["fine"]),
                coarse=float(info["coarse"]),
                at_goal=bool(info["at_goal"]),
                generations=int(info["generations"]),
                states_seen=int(info["states_seen"]),
            )
        )

    def statistics(self) -> RunStatistics:
        """Return the statistics of all steps so far; AgentError if there are none."""
        return run_statistics(self.records)


def _arrivals(records: Sequence[StepRecord]) -> list[int]:
    """Return the indices of the steps that arrived at the goal.

    Steps of several sub-environments may be interleaved, so a step is compared with the one
    before it in its own episode.
    """
    was_there: dict[int, bool] = {}
    arrivals = []
    for index, record in enumerate(records):
        if record.at_goal and not was_there.get(record.episode, False):
            arrivals.append(index)
        was_there[record.episode] = record.at_goal
    return arrivals
