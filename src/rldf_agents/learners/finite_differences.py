"""The encoding as a grid of positions, and the finite differences of the feedback on it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rldf_agents.errors import require
from rldf_agents.learners.space_index import Position


@dataclass(frozen=True)
class GradientSettings:
    """How to climb.

    Attributes:
        stride: units to move along the steepest axis.
        noise: differences of at most this are no signal.
        perturbation: units to walk at random where the gradient failed.

    Raises:
        AgentError: if ``stride`` is below 1, ``noise`` is negative or not finite, or
            ``perturbation`` is negative.
    """

    stride: int = 1
    noise: float = 1e-6
    perturbation: int = 4

    def __post_init__(self) -> None:
        for name, least in (("stride", 1), ("perturbation", 0)):
            value = getattr(self, name)
            require(value >= least, name, value, f"a whole number of at least {least}")
        holds = 0.0 <= self.noise < math.inf
        require(holds, "noise", self.noise, "a finite number of at least 0")


class RewardGrid:
    """The feedback seen so far for arriving at the positions of a grid.

    Args:
        sizes: number of values on each axis.

    Attributes:
        sizes: the same.
        seen: by position, the last feedback.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes
        self.seen: dict[Position, float] = {}

    def neighbours(self, position: Position) -> Iterator[tuple[int, int, Position]]:
        """Yield axis, direction (1 or -1) and place of every position one unit away."""
        for axis, size in enumerate(self.sizes):
            for direction in (1, -1):
                if 0 <= position[axis] + direction < size:
                    yield axis, direction, shifted(position, axis, direction)

    def difference(self, position: Position, axis: int) -> float:
        """Return the central difference, half of it per unit, or else the one-sided one.

        0 where too little was seen for either.
        """
        below = self.seen.get(shifted(position, axis, -1))
        here = self.seen.get(position)
        above = self.seen.get(shifted(position, axis, 1))
        if below is not None and above is not None:
            return (above - below) / 2.0
        if here is not None and above is not None:
            return above - here
        if here is not None and below is not None:
            return here - below
        return 0.0

    def ascent(
        self, position: Position, reachable: Collection[Position], settings: GradientSettings
    ) -> list[Position]:
        """Return a path along the gradient, each position one unit from the one before.

        Args:
            position: where the gradient is taken and the path begins; not part of the path.
            reachable: the neighbours that can be moved to: along other axes it does not go.
            settings: ``stride`` units along the axis with the largest difference, along others in
                proportion, rounded half up; ``noise`` is what counts as no difference.

        Returns:
            The path, the largest difference first and never beyond an end; empty where no axis
            has a signal.
        """
        differences: dict[int, float] = {}
        for axis in range(len(self.sizes)):
            difference = self.difference(position, axis)
            towards = shifted(position, axis, 1 if difference > 0 else -1)
            if abs(difference) > settings.noise and towards in reachable:
                differences[axis] = difference
        steepest = max(map(abs, differences.values()), default=1.0)
        path: list[Position] = []
        here = position
        for axis in sorted(differences, key=lambda axis: -abs(differences[axis])):
            for _ in range(int(settings.stride * abs(differences[axis]) / steepest + 0.5)):
                there = shifted(here, axis, 1 if differences[axis] > 0 else -1)
                if 0 <= there[axis] < self.sizes[axis]:
                    path.append(there)
                    here = there
        return path


def shifted(position: Position, axis: int, units: int) -> Position:
    """Return the position so many units further along one axis, whether the grid has it or not."""
    return (*position[:axis], position[axis] + units, *position[axis + 1 :])
