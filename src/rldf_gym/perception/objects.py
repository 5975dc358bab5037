"""Detections to objects and counts.

Every object axis gets a class of its own. Of all ways to give classes to the axes, the one with the
greatest sum of confidences is read; among equal ones, the one with the smallest labels. Which of
two objects comes first in the sentence cannot be seen, so "dog and car" and "car and dog" are read
alike.

Where fewer classes are detected than there are object axes, an axis that can be left out is absent.
Any other repeats the most confident class that has a box to spare: the boxes of a class are divided
among its axes, one for each but the last, the rest for the last. So three dogs are "one dog and
many dog", and "many dog and one dog" is read the same. Without a box to spare, the axis is unread.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rldf_gym.grammar.counting import CountWords
from rldf_gym.perception.known_classes import ABSENT

MOST_OBJECT_AXES = 4
"""All assignments of classes to axes are compared, which is quick for this many."""

_UNREAD = -1
_Boxes: TypeAlias = NDArray[np.float32]
"""Confidences of detections, the best first."""


@dataclass(frozen=True)
class AxisPrediction:
    """What a model reads on one axis.

    Attributes:
        value: The label, -1 where nothing could be read.
        confidence: 0..1, 0 where nothing could be read.
        probabilities: float32 ``[n_values]``, sums to 1; uniform where nothing could be read.
    """

    value: int
    confidence: float
    probabilities: NDArray[np.float32]

    @classmethod
    def of(cls, value: int, confidence: float, weights: NDArray[Any]) -> "AxisPrediction":
        """Make a prediction from weights ``[n_values]`` that need not sum to 1."""
        if value < 0:
            return cls.unread(len(weights))
        return cls(value, confidence, (weights / weights.sum()).astype(np.float32))

    def calibrated(self, temperature: float) -> "AxisPrediction":
        """Return the prediction with probabilities to the power of 1/T, renormalized.

        Source: temperature scaling (Guo et al. 2017, arXiv:1706.04599, Sec. 4.2).
        """
        if temperature == 1:
            return self
        weights = self.probabilities.astype(np.float64) ** (1 / temperature)
        return replace(self, probabilities=(weights / weights.sum()).astype(np.float32))

    @classmethod
    def unread(cls, n_values: int) -> "AxisPrediction":
        """Make the prediction of an axis in which nothing could be read."""
        return cls(_UNREAD, 0.0, np.full(n_values, 1 / n_values, np.float32))


@dataclass(frozen=True)
class ObjectAxis:
    """An object axis that the detector reads.

    Attributes:
        axis: Its index in the grammar.
        classes: The detector's class of each value ``[n_values]``, `ABSENT` for an empty value.
    """

    axis: int
    classes: tuple[int, ...]


def read_objects(
    axes: Sequence[ObjectAxis], detections: Sequence[_Boxes], threshold: float
) -> list[tuple[AxisPrediction, _Boxes]]:
    """Read the object axes; see the module's description.

    Args:
        axes: At most `MOST_OBJECT_AXES`, in the order of the sentence.
        detections: For each class of the detector, the confidences of its boxes, best first.
        threshold: Least confidence of a detection, 0..1.

    Returns:
        For each axis, the prediction and the boxes that belong to it. Its probabilities are the
        shares of the classes in the sum of confidences, without the classes of the other axes. Its
        confidence is that of its best box times the share of its class, and 1 minus the threshold
        for an absent object.
    """
    support = [float(boxes.sum()) for boxes in detections]
    labels = _repeated(axes, _assigned(axes, support), detections)
    chosen = [
        axis.classes[label] if label >= 0 else None
        for axis, label in zip(axes, labels, strict=True)
    ]
    found = []
    for number, (axis, label) in enumerate(zip(axes, labels, strict=True)):
        others = {c for c in chosen if c != chosen[number]}
        weights = np.array([0 if c == ABSENT or c in others else support[c] for c in axis.classes])
        boxes = _own_boxes(number, chosen, detections)
        found.append((_read_object(label, weights, boxes, threshold), boxes))
    return found


def count_objects(words: CountWords, boxes: _Boxes, threshold: float) -> AxisPrediction:
    """Read a count from the boxes of what is counted.

    The value is the word for the number of boxes. Its confidence is that of the k-th best box, k
    being the least count with that word; 1 minus the threshold where the word means none.

    Its probabilities rest on one rule: that there are at least k objects is as likely as that the
    k-th best box is one, where a box at the threshold, that barely counts, has probability 1/2 and
    a box of confidence 1 has probability 1. Counts that the axis has no word for are left out.

    Args:
        words: What the axis's values count.
        boxes: Confidences of the boxes, best first, all above the threshold.
        threshold: Least confidence of a detection, 0..1.
    """
    value = words.value_of(len(boxes))
    if value < 0:
        return AxisPrediction.unread(len(words.numbers))
    least = words.least_count(value)
    confidence = float(boxes[least - 1]) if least else 1 - threshold
    doubt = (1 - boxes.astype(np.float64)) / max(2 * (1 - threshold), np.finfo(float).tiny)
    at_least = np.concatenate([[1.0], 1 - doubt, [0.0]])
    weights = np.zeros(len(words.numbers))
    for count, chance in enumerate(at_least[:-1] - at_least[1:]):
        if (label := words.value_of(count)) >= 0:
            weights[label] += chance
    return AxisPrediction.of(value, confidence, weights)


def _assigned(axes: Sequence[ObjectAxis], support: Sequence[float]) -> tuple[int, ...]:
    """Return the label of each axis, -1 where no class is left for it."""
    candidates = [[_UNREAD, *_best_labels(axis, support, len(axes))] for axis in axes]
    best: tuple[int, ...] = (_UNREAD,) * len(axes)
    best_key: tuple[float, int, list[float]] | None = None
    for labels in product(*candidates):
        classes = [a.classes[n] for a, n in zip(axes, labels, strict=True) if n >= 0]
        if len(set(classes)) < len(classes):
            continue
        # Exact sums: the same classes in another order are a tie, which the labels decide.
        total = math.fsum(support[c] for c in classes)
        left_out = [n < 0 and ABSENT not in a.classes for a, n in zip(axes, labels, strict=True)]
        key = (
            total,
            -sum(left_out),
            [-label if label >= 0 else -math.inf for label in labels],
        )
        if best_key is None or key > best_key:
            best, best_key = labels, key
    return best


def _best_labels(axis: ObjectAxis, support: Sequence[float], n: int) -> list[int]:
    """Return the labels of the n best supported classes of an axis; the others are never needed."""
    seen = [label for label, c in enumerate(axis.classes) if c != ABSENT and support[c] > 0]
    return sorted(seen, key=lambda label: -support[axis.classes[label]])[:n]


def _repeated(
    axes: Sequence[ObjectAxis], labels: Sequence[int], detections: Sequence[_Boxes]
) -> list[int]:
    """Fill the axes for which no class is left: absent, or a class with a box to spare."""
    filled = list(labels)
    for number, axis in enumerate(axes):
        if filled[number] >= 0:
            continue
        if ABSENT in axis.classes:
            filled[number] = axis.classes.index(ABSENT)
            continue
        taken = [a.classes[n] for a, n in zip(axes, filled, strict=True) if n >= 0]
        spare = [
            label for label, c in enumerate(axis.classes) if len(detections[c]) > taken.count(c) > 0
        ]
        best = max(spare, key=lambda n: detections[axis.classes[n]].sum(), default=_UNREAD)
        filled[number] = best
    return filled


def _own_boxes(number: int, chosen: Sequence[int | None], detections: Sequence[_Boxes]) -> _Boxes:
    """Return the boxes of one axis: its share of those of its class."""
    own = chosen[number]
    if own is None or own == ABSENT:
        return np.empty(0, np.float32)
    before = chosen[:number].count(own)
    is_last = own not in chosen[number + 1 :]
    return detections[own][before : None if is_last else before + 1]


def _read_object(
    label: int, weights: NDArray[np.float64], boxes: _Boxes, threshold: float
) -> AxisPrediction:
    if label < 0:
        return AxisPrediction.unread(len(weights))
    if not len(boxes):
        return AxisPrediction.of(label, 1 - threshold, np.arange(len(weights)) == label)
    return AxisPrediction.of(label, float(boxes[0] * weights[label] / weights.sum()), weights)
