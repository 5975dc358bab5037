"""How exploration and step size change over a run.

An epsilon schedule maps the number of steps of the run so far to the probability of a random
action. A step-size schedule maps the number of updates of one action value, the current one
included, to the step size of that update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from rldf_agents.errors import require


class EpsilonSchedule(Protocol):
    """The probability of a random action over the steps of a run."""

    def __call__(self, timestep: int) -> float:
        """Return epsilon in [0, 1] after ``timestep`` steps, from 0."""


class StepSizeSchedule(Protocol):
    """The step size over the updates of one action value."""

    def __call__(self, visits: int) -> float:
        """Return alpha in (0, 1] for update number ``visits`` of one action value, from 1."""


def _require_probability(name: str, value: float) -> None:
    require(0.0 <= value <= 1.0, name, value, "a probability, in [0, 1]")


@dataclass(frozen=True)
class ConstantEpsilon:
    """A constant epsilon; the paper finds 0.1 best (Table 3).

    Raises:
        AgentError: if ``value`` is outside [0, 1].
    """

    value: float = 0.1

    def __post_init__(self) -> None:
        _require_probability("epsilon", self.value)

    def __call__(self, timestep: int) -> float:
        """Return epsilon."""
        return self.value


@dataclass(frozen=True)
class LinearEpsilon:
    """Interpolate linearly from ``start`` to ``end`` over ``steps`` steps, then stay at ``end``.

    Raises:
        AgentError: if an end is outside [0, 1] or ``steps`` is below 1.
    """

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _require_probability("epsilon at the start", self.start)
        _require_probability("epsilon at the end", self.end)
        require(self.steps >= 1, "steps of the epsilon schedule", self.steps, "at least 1")

    def __call__(self, timestep: int) -> float:
        """Return epsilon after ``timestep`` steps."""
        done = min(timestep / self.steps, 1.0)
        return (1.0 - done) * self.start + done * self.end


@dataclass(frozen=True)
class ConstantStepSize:
    """A constant alpha.

    The sum of its squares diverges, so under noisy rewards or transitions the values keep
    fluctuating and the paper's convergence theorem (§3) does not hold. Where both are
    deterministic, there is no noise to average and Q-learning still converges.

    Raises:
        AgentError: if ``value`` is outside (0, 1].
    """

    value: float = 0.5

    def __post_init__(self) -> None:
        require(0.0 < self.value <= 1.0, "the step size alpha", self.value, "a number in (0, 1]")

    def __call__(self, visits: int) -> float:
        """Return alpha."""
        return self.value


@dataclass(frozen=True)
class VisitCountStepSize:
    """``alpha = 1 / n(s, a) ** omega`` with n(s, a) the number of updates of this action value.

    For omega in (0.5, 1] the steps sum to infinity and their squares do not: the conditions of
    the paper's convergence theorem (§3). Omega 1 averages all targets equally; smaller values
    give less weight to early targets, which bootstrap from poor estimates.

    Raises:
        AgentError: if ``omega`` is outside (0.5, 1].
    """

    omega: float = 0.6

    def __post_init__(self) -> None:
        need = "a number in (0.5, 1], where 1 / n ** omega meets the convergence conditions"
        require(0.5 < self.omega <= 1.0, "omega", self.omega, need)

    def __call__(self, visits: int) -> float:
        """Return alpha for update number ``visits`` of one action value."""
        return math.pow(visits, -self.omega)


SCHEDULES = ConstantEpsilon, LinearEpsilon, ConstantStepSize, VisitCountStepSize
"""Those that can be saved."""


def complete_schedules(settings: Any) -> None:
    """Turn numbers for ``epsilon`` and ``step_size`` of a frozen dataclass into schedules.

    Raises:
        AgentError: if a number is out of range.
    """
    for name, constant in (("epsilon", ConstantEpsilon), ("step_size", ConstantStepSize)):
        value = getattr(settings, name, None)
        if value is not None and not callable(value):
            object.__setattr__(settings, name, constant(value))
