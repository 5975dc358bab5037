"""Choose the values of a grammar that a picture may show, from what was read in it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rldf_gym.grammar.axes import Axis
from rldf_gym.grammar.grammar import Grammar

ENOUGH = 0.99
"""Probability that the true state is among those that the kept values make."""

_SAYS_SOMETHING = 0.5
_IMPROBABLE = 1e-3


@dataclass(frozen=True, eq=False)
class AxisSelection:
    """Which values of an axis are kept.

    Attributes:
        axis: The axis.
        probabilities: float ``[n_values]``, sums to 1.
        labels: The labels that are kept, ascending; one where the axis is fixed.
        says_nothing: Whether the picture says nothing about the axis, which is why it is fixed.
    """

    axis: Axis
    probabilities: npt.NDArray[np.float64]
    labels: tuple[int, ...]
    says_nothing: bool = False

    @property
    def outcome(self) -> str:
        """Return what became of the kept values, in a word or two."""
        if self.says_nothing:
            return "fixed, says nothing"
        return "kept" if len(self.labels) > 1 else "fixed, sure"

    @property
    def kept_probability(self) -> float:
        """Return the probability of all kept values together."""
        return float(self.probabilities[list(self.labels)].sum())

    @property
    def entropy(self) -> float:
        """Return the entropy of the probabilities in bits: 0 for sure, log2(n_values) for open."""
        positive = self.probabilities[self.probabilities > 0]
        return float(-(positive * np.log2(positive)).sum())


def select_values(
    grammar: Grammar,
    probabilities: Sequence[npt.ArrayLike],
    most_values: int,
    most_states: int,
) -> tuple[AxisSelection, ...]:
    """Choose which values of every axis to keep. Deterministic.

    - An axis of which the ``most_values`` most probable values hold less than half says nothing. It
      is fixed: left out if it can be, else at its most probable value.
    - Every other axis keeps at least two values, so that images are still read on it: the most
      probable, and the next most probable or, where no other is likely, its neighbour in the
      vocabulary tree.
    - Then the value that adds most probability for the states that it costs is added, until the
      true state is kept with probability `ENOUGH` (as if axes were independent), or nothing fits.
    - Where that is not enough, or two values an axis are too many states, the surest axes are fixed
      one after the other, which makes room for more values of the others. The first choice that is
      enough is taken, else the one that keeps the true state with the greatest probability.

    Args:
        grammar: Whose values these are.
        probabilities: For every axis float ``[n_values]``, which sums to 1.
        most_values: Of one axis, at least 2.
        most_states: Of all together, at least 2.
    """
    read = [np.asarray(each, np.float64) for each in probabilities]
    ranked = [
        _ranked(axis, each)[:most_values] for axis, each in zip(grammar.axes, read, strict=True)
    ]
    silent = {
        index
        for index, (labels, each) in enumerate(zip(ranked, read, strict=True))
        if each[labels].sum() < _SAYS_SOMETHING
    }
    speaking = [index for index in range(grammar.n_axes) if index not in silent]
    best, greatest = [1] * grammar.n_axes, 0.0
    for fixed in _fixings(grammar, read, silent):
        sizes = [1 if index in fixed else 2 for index in range(grammar.n_axes)]
        if math.prod(sizes) > most_states:
            continue
        chance = _grow(sizes, ranked, read, speaking, fixed, most_states)
        if chance > greatest:
            best, greatest = sizes, chance
        if chance >= ENOUGH:
            break
    return tuple(
        AxisSelection(
            axis,
            read[index],
            (axis.values.index(""),)
            if index in silent and "" in axis.values
            else tuple(sorted(ranked[index][: best[index]])),
            index in silent,
        )
        for index, axis in enumerate(grammar.axes)
    )


def _fixings(
    grammar: Grammar, probabilities: Sequence[npt.NDArray[np.float64]], silent: set[int]
) -> Iterator[set[int]]:
    """Yield ever more axes to fix: at first the silent ones and their counts, at last all."""
    fixed = silent | {i for i in range(grammar.n_axes) if grammar.counted_axis(i) in silent}
    surest = sorted(set(range(grammar.n_axes)) - fixed, key=lambda i: -probabilities[i].max())
    yield set(fixed)
    while surest:
        # A count can only be read beside its object, so it is fixed first.
        objects = {grammar.counted_axis(i) for i in surest}
        sure = next(i for i in surest if i not in objects)
        surest.remove(sure)
        fixed.add(sure)
        yield set(fixed)


def _ranked(axis: Axis, probabilities: npt.NDArray[np.float64]) -> list[int]:
    """Return the labels of an axis, likely ones first, then those nearest to the likeliest."""
    best = int(probabilities.argmax())

    def rank(label: int) -> tuple[float, int, int]:
        shared = 0
        for one, other in zip(axis.groups[best], axis.groups[label], strict=False):
            if one != other:
                break
            shared += 1
        chance = float(probabilities[label])
        return -chance if chance >= _IMPROBABLE else 0.0, -shared, abs(label - best)

    return sorted(range(len(axis)), key=rank)


def _grow(
    sizes: list[int],
    ranked: Sequence[Sequence[int]],
    probabilities: Sequence[npt.NDArray[np.float64]],
    speaking: Sequence[int],
    fixed: set[int],
    most_states: int,
) -> float:
    """Raise the number of values of axes, the most useful first; return the probability kept."""

    def kept(index: int, size: int) -> float:
        return max(float(probabilities[index][ranked[index][:size]].sum()), _IMPROBABLE)

    def gain(index: int) -> float:
        size = sizes[index]
        more = math.log(kept(index, size + 1) / kept(index, size))
        return more / math.log((size + 1) / size)

    while (chance := math.prod(kept(index, sizes[index]) for index in speaking)) < ENOUGH:
        n_states = math.prod(sizes)
        fitting = [
            index
            for index in speaking
            if index not in fixed
            and sizes[index] < len(ranked[index])
            and n_states // sizes[index] * (sizes[index] + 1) <= most_states
            and gain(index) > 0
        ]
        if not fitting:
            break
        sizes[max(fitting, key=gain)] += 1
    return chance
