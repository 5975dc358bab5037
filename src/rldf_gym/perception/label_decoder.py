"""Model outputs to a grammar's terms: pure numpy, cheap enough to recompute every time.

Which model reads an axis follows from the axis's role (paper §3.1: object, count, people and scene
feedback). The detector reads objects, their counts and the number of people, the scene classifier
reads the scene, each where it knows all classes of the axis. CLIP reads everything else.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rldf_gym.grammar import Grammar
from rldf_gym.grammar.counting import CountWords
from rldf_gym.perception.known_classes import PERSON, canonical, class_indices, with_known_roles
from rldf_gym.perception.objects import (
    MOST_OBJECT_AXES,
    AxisPrediction,
    ObjectAxis,
    count_objects,
    read_objects,
)
from rldf_gym.perception.protocols import PerceptionSpec, Reading
from rldf_gym.perception.zero_shot import zero_shot

Seen = Mapping[str, NDArray[Any]]
Reader: TypeAlias = Literal["detector", "scene_classifier", "clip"]


class LabelDecoder:
    """Reads images in the terms of one grammar.

    The probabilities of an axis sum to 1 and are greatest at the value that is read; where nothing
    could be read they are uniform. They are calibrated where the perception is: raised to the
    power 1/T and renormalized, T being the reader's temperature. Confidence is a separate figure,
    0..1, from what follows without temperatures, except CLIP's:

    - object: the best box's confidence times the share of its class in the confidences of all
      classes of the axis; the probabilities are these shares. See `read_objects` for several
      object axes.
    - count and people: see `count_objects`.
    - scene: the classifier's probability, renormalized over the axis's values.
    - CLIP: the softmax of logit_scale times cosine over the axis's values, the other axes as read.
      Confidence is the probability of the value, as for the scene.

    Attributes:
        grammar: The grammar, with the roles that the models suggest; see `with_known_roles`.
        readers: For each axis ``[n_axes]``, the model that reads it.
    """

    def __init__(self, grammar: Grammar, spec: PerceptionSpec) -> None:
        """Decide which model reads which axis.

        Args:
            grammar: Its axes are read.
            spec: What the models know.
        """
        self.grammar = with_known_roles(grammar, spec.detector_classes, spec.scene_classes)
        self._spec = spec
        self._objects = self._known_objects()
        self._counts = self._known_counts()
        self._scenes = self._known_scenes()
        by_detector = {each.axis for each in self._objects} | set(self._counts)
        self.readers: tuple[Reader, ...] = tuple(
            "detector"
            if axis in by_detector
            else "scene_classifier"
            if axis in self._scenes
            else "clip"
            for axis in range(grammar.n_axes)
        )

    def read(
        self, *, clip: Seen, detector: Seen | None = None, scene_classifier: Seen | None = None
    ) -> Reading:
        """Read one image from the outputs of the models.

        An axis that the detector should read but where it found nothing stays unread: value -1,
        confidence 0. `fill_unread` fills it.

        Args:
            clip: {"embedding"} of the image.
            detector: {"classes", "confidences", "boxes"}; needed if the detector reads an axis.
            scene_classifier: {"probabilities"}; needed if the scene classifier reads an axis.
        """
        n_axes = self.grammar.n_axes
        predictions: dict[int, AxisPrediction] = {}
        if detector is not None:
            predictions.update(self._calibrated("detector", self._read_detections(detector)))
        if scene_classifier is not None:
            predictions.update(
                self._calibrated("scene_classifier", self._read_scenes(scene_classifier))
            )
        embedding = clip["embedding"].astype(np.float32)
        for_clip = [axis for axis in range(n_axes) if axis not in predictions]
        if for_clip:
            values = np.full(n_axes, -1, np.int64)
            for axis, prediction in predictions.items():
                values[axis] = prediction.value
            spec = self._spec
            by_clip = zero_shot(self.grammar, embedding, values, spec.embed, spec.logit_scale)
            for axis in for_clip:
                predictions[axis] = AxisPrediction(
                    int(by_clip.values[axis]),
                    float(by_clip.confidence[axis]),
                    by_clip.probabilities[axis],
                )
        in_order = [predictions[axis] for axis in range(n_axes)]
        return Reading(
            values=np.array([each.value for each in in_order], np.int64),
            confidence=np.array([each.confidence for each in in_order], np.float32),
            embedding=embedding,
            probabilities=tuple(each.probabilities for each in in_order),
        )

    def _calibrated(
        self, reader: Reader, predictions: Mapping[int, AxisPrediction]
    ) -> dict[int, AxisPrediction]:
        temperature = self._spec.temperatures.get(reader, 1.0)
        return {axis: each.calibrated(temperature) for axis, each in predictions.items()}

    def _known_objects(self) -> tuple[ObjectAxis, ...]:
        known = []
        for axis in self.grammar.axes_with("object"):
            classes = class_indices(self.grammar.axes[axis], self._spec.detector_classes)
            if classes is not None:
                known.append(ObjectAxis(axis, classes))
        return tuple(known[:MOST_OBJECT_AXES])

    def _known_counts(self) -> dict[int, CountWords]:
        grammar, known = self.grammar, {}
        objects = {each.axis for each in self._objects}
        counts = [i for i in grammar.axes_with("count") if grammar.counted_axis(i) in objects]
        people = grammar.axes_with("people") if self._person is not None else ()
        for axis in [*counts, *people]:
            words = CountWords.parse(grammar.axes[axis].values)
            if words is not None:
                known[axis] = words
        return known

    @property
    def _person(self) -> int | None:
        names = [canonical(name) for name in self._spec.detector_classes]
        return names.index(PERSON) if PERSON in names else None

    def _known_scenes(self) -> dict[int, tuple[int, ...]]:
        known = {}
        for axis in self.grammar.axes_with("scene"):
            classes = class_indices(self.grammar.axes[axis], self._spec.scene_classes)
            if classes is not None and min(classes) >= 0:
                known[axis] = classes
        return known

    def _read_detections(self, seen: Seen) -> dict[int, AxisPrediction]:
        threshold = self._spec.detector_threshold
        detections = [
            np.sort(seen["confidences"][seen["classes"] == number])[::-1]
            for number in range(len(self._spec.detector_classes))
        ]
        predictions: dict[int, AxisPrediction] = {}
        boxes_of: dict[int | None, NDArray[np.float32]] = {}
        found = read_objects(self._objects, detections, threshold)
        for each, (prediction, boxes) in zip(self._objects, found, strict=True):
            predictions[each.axis], boxes_of[each.axis] = prediction, boxes
        if self._person is not None:
            boxes_of[None] = detections[self._person]
        for axis, words in self._counts.items():
            counted = self.grammar.counted_axis(axis)
            if counted is not None and predictions[counted].value < 0:
                predictions[axis] = AxisPrediction.unread(len(words.numbers))
            else:
                predictions[axis] = count_objects(words, boxes_of[counted], threshold)
        return predictions

    def _read_scenes(self, seen: Seen) -> dict[int, AxisPrediction]:
        predictions: dict[int, AxisPrediction] = {}
        for axis, classes in self._scenes.items():
            weights = seen["probabilities"][list(classes)].astype(np.float64)
            value, total = int(weights.argmax()), float(weights.sum())
            if total > 0:
                predictions[axis] = AxisPrediction.of(value, float(weights[value]) / total, weights)
            else:
                predictions[axis] = AxisPrediction.unread(len(classes))
        return predictions
