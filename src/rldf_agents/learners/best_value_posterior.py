"""A posterior of the best value on every axis, from rewards that fall along the axis's tree."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.space_index import Indices, Position

_Floats = npt.NDArray[np.float64]

_LARGEST = 1.5
"""The largest effect, in units of the median of the large changes of the reward: from 1/3, beside
the best value, to 1 is two thirds of it. The largest change itself can be that of a misreading."""

_EXACT, _RELATIVE = 0.003, 0.3
"""Deviations of a value's effect from the model: 0.003 of the largest effect, or 0.3 of what the
model says."""
_MISREAD_RANGE = 0.5
"""Effect of a misread value: anything in such a range of the largest effect."""
_TREES = ((0.2, 0.0), (0.7, 0.05))
"""How well a tree may describe its axis, either equally likely at first: the share of values with
the second deviation, and of those whose effect is anything in that range."""
_SURELY_READ = 3
"""A value observed so often is known in spite of misreadings."""
_RARELY = 0.03
"""Beyond 100 rewards, this share of them has to be new before posteriors are inferred anew."""
_N_PASSES = 2
"""Over all axes, for each new reward; probabilities start from those before it."""


@dataclass
class _Axis:
    """How alike the values of an axis are.

    Attributes:
        similarity: float32 [n, n], 1 / (1 + steps along the tree).
        squared: its square.
    """

    similarity: npt.NDArray[np.float32]
    squared: npt.NDArray[np.float32]


@dataclass
class _Effects:
    """Estimated effects of the values of one axis that were observed.

    Attributes:
        values: int64 [m], ascending.
        of: which of them each observation has, int64 [n_observations].
        mean: float64 [m], in units of the largest effect.
        variance: the same, squared.
    """

    values: Indices
    of: Indices
    mean: _Floats
    variance: _Floats


class BestValuePosterior:
    """``r(s) = offset + scale * sum over axes of similarity(s[axis], best[axis])``.

    The similarity falls with the steps along the axis's tree, 1 / (1 + steps) (WordNet's path
    similarity). Unknown are the best value of each axis, and how far each value deviates from this.
    An observation can be misread: then its reward says nothing of a value seen there alone.

    Axes are inferred in turn, each against the expected effects of the others and their variances
    (assumed-density filtering). On an axis, the robust mean of what the others leave unexplained
    is the effect of a value; its likelihood under every possible best value, up to an offset,
    gives the posterior.

    Args:
        distances: of every axis, float32 [n_values, n_values]: steps along its tree.
        misread: probability that an observation is misread.

    Attributes:
        probabilities: of each value to be the best of its axis, float64 [n_values] each.
        n_inferred: number of observations that they follow from.
    """

    def __init__(self, distances: Sequence[npt.NDArray[np.float32]], misread: float) -> None:
        self._misread = misread
        similarities = [(1 / (1 + steps)).astype(np.float32) for steps in distances]
        self._axes = [_Axis(similarity, similarity**2) for similarity in similarities]
        self.probabilities: list[_Floats] = [
            np.full(len(steps), 1 / len(steps)) for steps in distances
        ]
        self.n_inferred = 0
        self.restore([], [])

    def restore(self, positions: list[Position], rewards: list[float]) -> None:
        """Set what was observed, without inferring anything from it."""
        self._positions, self._rewards = positions, rewards
        pairs = itertools.pairwise(zip(positions, rewards, strict=True))
        self._changes = [_change(*pair) for pair in pairs]

    @property
    def scale(self) -> float:
        """The largest effect of an axis, in units of reward."""
        changes = np.array(self._changes or [0.0])
        large = changes[changes >= changes.max() / 3]
        return _LARGEST * float(np.median(large)) or float(np.std(self._rewards or [0.0])) or 1.0

    def observe(self, position: Position, reward: float) -> None:
        """Add the reward of one more state; infer all axes anew, not always if there are many."""
        if self._positions:
            before = self._positions[-1], self._rewards[-1]
            self._changes.append(_change(before, (position, reward)))
        self._positions.append(position)
        self._rewards.append(reward)
        n_rewards = len(self._rewards)
        if n_rewards <= 100 or n_rewards >= (1 + _RARELY) * self.n_inferred:
            self.n_inferred = n_rewards
            self._infer()

    def gains(self, position: Position, confidence: float) -> list[_Floats]:
        """Return how much better each value could be than that of a position, with optimism.

        Mean plus ``confidence`` standard deviations of the difference between the two effects,
        in units of the largest effect: float64 [n_values] for each axis.
        """
        found = []
        for axis, likely, value in zip(self._axes, self.probabilities, position, strict=True):
            weights, here = likely.astype(np.float32), axis.similarity[value]
            means = axis.similarity @ weights
            mean = means - means[value]
            square = axis.squared @ weights - 2 * (axis.similarity @ (here * weights))
            square += here * here @ weights
            deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
            found.append((mean + confidence * deviation).astype(np.float64))
        return found

    def _infer(self) -> None:
        rewards = np.array(self._rewards) / self.scale
        columns = np.array(self._positions).T
        effects = list(map(_expected, self._axes, self.probabilities, columns))
        order = sorted(range(len(effects)), key=lambda number: len(effects[number].values))
        for _ in range(_N_PASSES if len(effects) > 1 else 1):
            means = [each.mean[each.of] for each in effects]
            variances = [each.variance[each.of] for each in effects]
            for number in order:
                rest = rewards - sum(means) + means[number]
                noise = _EXACT**2 + sum(variances) - variances[number]
                self._infer_axis(number, effects[number], rest, noise)
                each = effects[number]
                means[number], variances[number] = each.mean[each.of], each.variance[each.of]

    def _infer_axis(self, number: int, effects: _Effects, rest: _Floats, noise: _Floats) -> None:
        """Update an axis from what the others leave unexplained, with its variance."""
        axis = self._axes[number]
        level, variance = _robust_means(effects.of, rest, 1 / noise)
        predicted = axis.similarity[effects.values]
        error = level[:, np.newaxis].astype(np.float32) - predicted
        middle = len(error) // 2
        offsets = np.partition(error, middle, axis=0)[middle]
        square = (error - offsets) ** 2
        exact = _normal(square, variance[:, np.newaxis] + _EXACT**2)
        deviation = (_RELATIVE * predicted + _EXACT) ** 2
        relative = _normal(square, variance[:, np.newaxis] + deviation)
        logarithm = np.full(len(axis.similarity), -np.inf)
        for share, odd in _TREES:
            likely = (1 - share) * exact + share * relative
            strange = self._strange(effects, odd, len(axis.similarity))
            likely += strange * (1 / _MISREAD_RANGE - likely)
            logarithm = np.logaddexp(logarithm, np.log(likely).sum(axis=0))
        posterior = np.exp(logarithm - logarithm.max())
        posterior /= posterior.sum()
        self.probabilities[number] = posterior
        offset = float((posterior * offsets).sum())
        mean, spread = _moments(axis, posterior, effects.values)
        effects.mean = (mean * variance + (level - offset) * spread) / (spread + variance)
        effects.variance = spread * variance / (spread + variance)

    def _strange(self, effects: _Effects, odd: float, n_values: int) -> _Floats:
        """Return how likely an observed value does not follow the model, float64 [m, n_values].

        The tree may be wrong about a value, but not about the best one itself.
        """
        misread = self._misread ** np.minimum(np.bincount(effects.of), _SURELY_READ)
        strange = np.repeat(misread[:, np.newaxis] + odd, n_values, axis=1)
        strange[np.arange(len(misread)), effects.values] = misread
        return strange


def _change(one: tuple[Position, float], other: tuple[Position, float]) -> float:
    """Return how much the reward changed, 0 for states that differ on several axes."""
    moved = sum(a != b for a, b in zip(one[0], other[0], strict=True))
    return abs(one[1] - other[1]) if moved == 1 else 0.0


def _expected(axis: _Axis, likely: _Floats, column: Indices) -> _Effects:
    """Return the expected effects of the values in a column of positions."""
    values, of = np.unique(column, return_inverse=True)
    return _Effects(values, of, *_moments(axis, likely, values))


def _moments(axis: _Axis, likely: _Floats, values: Indices) -> tuple[_Floats, _Floats]:
    """Return mean and variance of the effects of some values under the posterior."""
    weights = likely.astype(np.float32)
    mean = (axis.similarity[values] @ weights).astype(np.float64)
    variance = (axis.squared[values] @ weights).astype(np.float64) - mean**2
    return mean, np.maximum(variance, 0.0) + _EXACT**2


def _robust_means(of: Indices, values: _Floats, weights: _Floats) -> tuple[_Floats, _Floats]:
    """Return weighted means by group, and their variances; values far off count less (Huber)."""
    trust = np.ones_like(weights)
    for _ in range(3):
        total = np.bincount(of, weights * trust)
        means = np.bincount(of, weights * trust * values) / total
        trust = 1 / np.maximum(1.0, np.abs(values - means[of]) / (10 * _EXACT))
    return means, 1 / total


def _normal(square: npt.NDArray[np.float32], variance: _Floats) -> _Floats:
    """Return the normal density of a squared deviation, up to a constant factor."""
    return np.asarray(np.exp(-0.5 * square / variance) / np.sqrt(variance), np.float64)
