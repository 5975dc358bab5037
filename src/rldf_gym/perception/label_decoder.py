"""Model outputs to a grammar's terms: pure numpy, cheap enough to recompute every time.

Who reads what is decided once per grammar. The detector reads `noun`, `frequency` (how many of
the noun) and `density` (how many people) where it knows the classes, the scene classifier the
coarse axes where it knows them, CLIP zero-shot everything else (paper §3.1: object, count, people
and scene feedback).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.grammar import Axis, Grammar
from rldf_gym.grammar.counting import CountWords
from rldf_gym.perception.protocols import PerceptionSpec, Reading
from rldf_gym.perception.zero_shot import zero_shot

_PERSON = "person"
_PERSON_WORDS = frozenset({"person", "people"})

_BROADER: Mapping[str, str] = MappingProxyType({"duck": "bird"})
"""What a detector that lacks a class calls it: COCO, whose 80 classes most know, has but birds."""

Seen = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class AxisPrediction:
    """What a reader says about one axis: a value, -1 for none, and how sure it is, 0..1."""

    value: int
    confidence: float


_NOTHING = AxisPrediction(-1, 0.0)


class LabelDecoder:
    """Reads pictures in the terms of one grammar.

    Confidences, all 0..1:

    - noun: the best box's confidence times the noun's share in the confidences of all nouns.
    - a count: the confidence of the k-th best box, k being the least count with that word; for no
      box at all, 1 minus the detector's threshold.
    - scene: the classifier's probability, shared out among the axis's values.
    - CLIP: the softmax of logit_scale times cosine over the axis's values, the others as read.

    Args:
        grammar: whose axes are read.
        senses: what the models know.
    """

    def __init__(self, grammar: Grammar, spec: PerceptionSpec) -> None:
        self._grammar = grammar
        self._spec = spec
        self._people = _class_indices((_PERSON,), (), spec.detector_classes)
        self._nouns = self._known_nouns()
        self._counts = self._known_counts()
        self._scenes = self._known_scenes()

    @property
    def reader_of(self) -> dict[str, str]:
        """Who reads every axis: "detector", "scene_classifier" or "clip", by axis name."""
        readers = dict.fromkeys(self._grammar.axis_names, "clip")
        readers.update(dict.fromkeys(self._counts, "detector"))
        if self._nouns is not None:
            readers["noun"] = "detector"
        names = self._grammar.axis_names
        readers.update({names[axis]: "scene_classifier" for axis in self._scenes})
        return readers

    def read(
        self, *, clip: Seen, detector: Seen | None = None, scene_classifier: Seen | None = None
    ) -> Reading:
        """Read one picture from what the models saw in it.

        An axis that the detector should read but where it saw nothing stays unread: -1, with
        confidence 0; `zero_shot` can fill it.

        Args:
            clip: {"embedding"} of the picture.
            detector: {"classes", "confidences", "boxes"}; needed when the detector reads an axis.
            scene_classifier: {"probabilities"}; needed when the scene classifier reads an axis.

        Returns:
            The reading; its embedding is the one given.
        """
        n_axes = self._grammar.n_axes
        values = np.full(n_axes, -1, np.int64)
        confidence = np.zeros(n_axes, np.float32)
        predictions: dict[int, AxisPrediction] = {}
        if detector is not None:
            predictions.update(self._read_objects(detector))
        if scene_classifier is not None:
            predictions.update(self._read_scenes(scene_classifier))
        for axis, prediction in predictions.items():
            values[axis], confidence[axis] = prediction.value, prediction.confidence
        embedding = clip["embedding"].astype(np.float32)
        for_clip = [axis for axis in range(n_axes) if axis not in predictions]
        if for_clip:
            spec = self._spec
            guessed, sure = zero_shot(
                self._grammar, embedding, values, spec.embed, spec.logit_scale
            )
            values[for_clip], confidence[for_clip] = guessed[for_clip], sure[for_clip]
        return Reading(values, confidence, embedding)

    def _known_nouns(self) -> tuple[int, ...] | None:
        if "noun" not in self._grammar.axis_names:
            return None
        axis = self._grammar.axis("noun")
        return _class_indices(axis.classes, axis.values, self._spec.detector_classes)

    def _known_counts(self) -> dict[str, CountWords]:
        counted = {"frequency": self._nouns, "density": self._people}
        known: dict[str, CountWords] = {}
        for name, countable in counted.items():
            if countable is not None and name in self._grammar.axis_names:
                words = CountWords.parse(self._grammar.axis(name).values)
                if words is not None:
                    known[name] = words
        return known

    def _known_scenes(self) -> dict[int, tuple[int, ...]]:
        known: dict[int, tuple[int, ...]] = {}
        for index in self._grammar.coarse_axes:
            axis: Axis = self._grammar.axes[index]
            classes = _class_indices(axis.classes, axis.values, self._spec.scene_classes)
            if classes is not None and -1 not in classes:
                known[index] = classes
        return known

    def _read_objects(self, seen: Seen) -> dict[int, AxisPrediction]:
        grammar, predictions = self._grammar, dict[int, AxisPrediction]()
        if self._nouns is not None:
            noun, its_boxes = self._read_noun(seen, self._nouns)
            predictions[grammar.axis_index("noun")] = noun
            if "frequency" in self._counts:
                frequency = _NOTHING if noun.value < 0 else self._count("frequency", its_boxes)
                predictions[grammar.axis_index("frequency")] = frequency
        if "density" in self._counts:
            people = seen["confidences"][np.isin(seen["classes"], self._people or ())]
            predictions[grammar.axis_index("density")] = self._count("density", people)
        return predictions

    def _read_noun(
        self, seen: Seen, nouns: tuple[int, ...]
    ) -> tuple[AxisPrediction, NDArray[np.float32]]:
        """The noun with the greatest sum of confidences, and the confidences of its boxes."""
        boxes: list[NDArray[np.float32]] = [
            seen["confidences"][seen["classes"] == number] for number in nouns
        ]
        weights = np.array([float(confidences.sum()) for confidences in boxes])
        if not weights.any():
            absent = nouns.index(-1) if -1 in nouns else -1
            sure = 0.0 if absent < 0 else 1 - self._spec.detector_threshold
            return AxisPrediction(absent, sure), np.empty(0, np.float32)
        value = int(weights.argmax())
        sure = float(boxes[value].max() * weights[value] / weights.sum())
        return AxisPrediction(value, sure), boxes[value]

    def _count(self, name: str, confidences: NDArray[np.float32]) -> AxisPrediction:
        words = self._counts[name]
        value = words.value_of(len(confidences))
        if value < 0:
            return _NOTHING
        least = words.least_count(value)
        if least == 0:
            return AxisPrediction(value, 1 - self._spec.detector_threshold)
        return AxisPrediction(value, float(np.sort(confidences)[-least]))

    def _read_scenes(self, seen: Seen) -> dict[int, AxisPrediction]:
        predictions: dict[int, AxisPrediction] = {}
        for axis, classes in self._scenes.items():
            probabilities = seen["probabilities"][list(classes)]
            value = int(probabilities.argmax())
            total = float(probabilities.sum())
            sure = float(probabilities[value]) / total if total > 0 else 0.0
            predictions[axis] = AxisPrediction(value, sure)
        return predictions


def _class_indices(
    classes: Sequence[str], words: Sequence[str], known: Sequence[str]
) -> tuple[int, ...] | None:
    """Index of every value's class in a model's classes, -1 for an absent (empty) value.

    None when the model lacks a class: an axis that it knows in part only would be read as if the
    rest did not exist. A broader class does for one value, where no other has it.
    """
    numbers = {_canonical(name): number for number, name in reversed(list(enumerate(known)))}
    indices: list[int] = []
    broader: list[int] = []
    for position, name in enumerate(classes):
        word = words[position] if words else name
        candidates = (_canonical(name), _canonical(word))
        index = next((numbers[c] for c in candidates if c in numbers), None)
        if index is None and word:
            index = numbers.get(_BROADER.get(_canonical(word), ""))
            if index is None:
                return None
            broader.append(index)
        indices.append(-1 if index is None else index)
    return None if any(indices.count(index) > 1 for index in broader) else tuple(indices)


def _canonical(name: str) -> str:
    """One spelling for a class: "Sports ball", "sports-ball" and "sports_ball" are the same."""
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
    return _PERSON if spelled in _PERSON_WORDS else spelled
