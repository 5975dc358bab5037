"""A Bayesian model of the reward as a sum over axes, with upper bounds of what is not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_OFFSET_VARIANCE = 1e6
"""Prior variance of the offset, in units of that of an effect: rewards may lie anywhere."""

_TYPICAL_FROM = 4
"""Axes with at least so many values have a typical effect, the median."""


class AdditiveReward:
    """``r(s) = offset + sum over axes of effect[axis, s[axis]] + noise``, with Gaussian effects.

    Bayesian linear regression on one-hot features, kept up to date by the rank-one (Kalman) form.
    The posterior mean depends on the ratio of noise to effects alone, and the bounds are in units
    of the standard deviation of the rewards seen, so that the scale of rewards does not matter.

    Args:
        sizes: values on each axis.
        noise: variance of the noise, in units of the prior variance of an effect, above 0.

    Attributes:
        scale: standard deviation of the rewards seen, 1 while all are equal.
    """

    def __init__(self, sizes: Sequence[int], noise: float) -> None:
        self._sizes = tuple(sizes)
        self._noise = noise
        self._starts = np.cumsum([0, *sizes[:-1]])
        self._axis_of = np.repeat(np.arange(len(sizes)), sizes)
        variances = np.ones(sum(sizes) + 1)
        variances[-1] = _OFFSET_VARIANCE
        self._covariance = np.diag(variances)
        self._mean = np.zeros(variances.size)
        self._count, self._average, self._squares = 0, 0.0, 0.0
        self.scale = 1.0

    def observe(self, position: Sequence[int], reward: float) -> None:
        """Learn the reward of one more state."""
        features = np.append(self._starts + position, self._mean.size - 1)
        gain = self._covariance[:, features].sum(axis=1)
        variance = self._noise + gain[features].sum()
        error = reward - self._mean[features].sum()
        self._mean += gain * (error / variance)
        self._covariance -= np.outer(gain, gain / variance)
        self._count += 1
        change = reward - self._average
        self._average += change / self._count
        self._squares += change * (reward - self._average)
        self.scale = float(np.sqrt(self._squares / self._count)) or 1.0

    def effects(self) -> list[npt.NDArray[np.float64]]:
        """Return the posterior mean of the effects, one float64 [n_values] for each axis."""
        return np.split(self._mean[:-1].copy(), self._starts[1:])

    def deviations(self) -> npt.NDArray[np.float64]:
        """Return posterior standard deviations of effects against their axis's average.

        float64 [sum of sizes], in units of ``scale``. What all values of an axis share moves no
        decision and is left out.
        """
        covariance = self._covariance[:-1, :-1]
        sizes = np.array(self._sizes)
        rows = np.add.reduceat(covariance, self._starts, axis=1)
        shared = rows[np.arange(len(rows)), self._axis_of] / sizes[self._axis_of]
        average = np.add.reduceat(shared, self._starts) / sizes
        variances = np.diag(covariance) - 2.0 * shared + average[self._axis_of]
        deviations: npt.NDArray[np.float64] = np.sqrt(np.maximum(variances, 0.0))
        return deviations

    def upper_bounds(self, confidence: float) -> list[npt.NDArray[np.float64]]:
        """Return an optimistic effect for every value of every axis, in units of reward.

        Mean plus ``confidence`` standard deviations (LinUCB: Li et al. 2010), the mean not below
        the axis's median where an axis has four values or more. Most values of such an axis are
        equally wrong; one that looks worse than these was more likely misread than worse than
        wrong, and is not to be written off for it.

        Args:
            confidence: at least 0.
        """
        ends = self._starts[1:]
        bonuses = np.split(confidence * self.scale * self.deviations(), ends)
        return [
            np.maximum(mean, _median(mean)) + bonus if mean.size >= _TYPICAL_FROM else mean + bonus
            for mean, bonus in zip(self.effects(), bonuses, strict=True)
        ]


def _median(values: npt.NDArray[np.float64]) -> float:
    ordered: list[float] = np.sort(values).tolist()
    middle = len(ordered) // 2
    return 0.5 * (ordered[middle] + ordered[-1 - middle])
