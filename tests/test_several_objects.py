"""Grammars with several objects: every state generated, detected and read."""

import itertools

import numpy as np
import pytest
from painted_world import COUNTS

from rldf_gym.grammar import Grammar, compile_grammar
from rldf_gym.perception import LabelDecoder, PerceptionSpec, with_known_roles
from rldf_gym.perception.objects import ObjectAxis, read_objects
from rldf_gym.rewards import fine_gain

SCENES = ("park", "snow")
CLASSES = ("dog", "sheep", "car", "person")
TAIL = 'scene: "park" | "snow"\n%ignore " "\n'
SAME = compile_grammar(
    """
    start: "a photo of" first_count first "and" second_count second "in" scene
    first_count: "one" | "two" | "many"
    second_count: "one" | "two" | "many"
    first: "dog" | "sheep" | "car"
    second: "dog" | "sheep" | "car"
    """
    + TAIL
)
MIXED_SOURCE = (
    """
    start: "a photo of" first_count first ["and a" second] "and" crowd "people in" scene
    first_count: "one" | "many"
    first: "dog" | "sheep"
    second: "sheep" | "car"
    crowd: "no" | "one" | "many"
    """
    + TAIL
)
MIXED = with_known_roles(compile_grammar(MIXED_SOURCE), CLASSES, SCENES)
BOXES = {**COUNTS, "two": 2, "many": 3}


def detected_in(grammar: Grammar, state: np.ndarray) -> list[str]:
    """The class of each box in a perfect image of a state."""
    words = [axis.classes[label] for axis, label in zip(grammar.axes, state, strict=True)]
    boxes: list[str] = []
    for index, axis in enumerate(grammar.axes):
        counts = [i for i in range(grammar.n_axes) if grammar.counted_axis(i) == index]
        if axis.role == "object" and words[index]:
            boxes += [words[index]] * (BOXES[words[counts[0]]] if counts else 1)
        elif axis.role == "people":
            boxes += ["person"] * BOXES[words[index]]
    return boxes


def read(grammar: Grammar, boxes: list[str], confidences: list[float] | None = None):
    spec = PerceptionSpec(None, 100.0, CLASSES, 0.25, SCENES)
    decoder = LabelDecoder(grammar, spec)
    assert "clip" not in decoder.readers
    return decoder.read(
        clip={"embedding": np.ones(2, np.float32)},
        detector={
            "classes": np.array([CLASSES.index(name) for name in boxes], np.int64),
            "confidences": np.array(confidences or [0.9] * len(boxes), np.float32),
        },
        scene_classifier={"probabilities": np.array([0.9, 0.1], np.float32)},
    )


def sentence(grammar: Grammar, boxes: list[str], confidences: list[float] | None = None) -> str:
    return grammar.decode(read(grammar, boxes, confidences).values)


@pytest.mark.parametrize("grammar", [SAME, MIXED])
def test_every_state_is_read_as_a_sentence_that_its_image_fits(grammar):
    for state in grammar.states():
        boxes = detected_in(grammar, state)
        reading = read(grammar, boxes)
        assert reading.values.min() >= 0
        described = detected_in(grammar, reading.values)
        assert set(described) == set(boxes)
        for name in set(boxes):
            many = 2 if grammar is MIXED else 3
            assert min(described.count(name), many) == min(boxes.count(name), many)


@pytest.mark.parametrize("grammar", [SAME, MIXED])
def test_states_are_read_back_unless_the_objects_are_alike_or_can_change_places(grammar):
    for state in grammar.states()[::2]:
        first, second = (grammar.axes[i].classes[state[i]] for i in grammar.axes_with("object"))
        can_swap = first in grammar.axis("second").classes and (
            not second or second in grammar.axis("first").classes
        )
        if first != second and not can_swap:
            read_back = read(grammar, detected_in(grammar, state)).values
            np.testing.assert_array_equal(read_back, state)


def test_both_orders_of_two_objects_are_read_alike_the_smaller_labels_first():
    for one, other in itertools.permutations(["dog", "sheep", "car"], 2):
        boxes = [one, other, other]
        assert sentence(SAME, boxes) == sentence(SAME, boxes[::-1])
    assert sentence(SAME, ["car", "dog", "car"]) == "a photo of one dog and two car in park"


def test_the_reading_does_not_depend_on_which_object_is_seen_better():
    better_car = sentence(SAME, ["car", "dog"], [0.9, 0.5])
    assert better_car == sentence(SAME, ["car", "dog"], [0.5, 0.9])


def test_the_two_classes_with_the_most_confidence_are_read():
    boxes, confidences = ["dog", "sheep", "car", "car"], [0.9, 0.5, 0.4, 0.4]
    assert sentence(SAME, boxes, confidences) == "a photo of one dog and two car in park"


def test_boxes_of_a_repeated_class_are_divided_one_first_and_the_rest_last():
    assert sentence(SAME, ["dog"] * 2) == "a photo of one dog and one dog in park"
    assert sentence(SAME, ["dog"] * 3) == "a photo of one dog and two dog in park"
    assert sentence(SAME, ["dog"] * 5) == "a photo of one dog and many dog in park"


def test_a_second_object_without_a_box_is_unread_and_an_optional_one_is_absent():
    reading = read(SAME, ["dog"])
    assert reading.values.tolist() == [0, 0, -1, -1, 0]
    np.testing.assert_allclose(reading.probabilities[3], 1 / 3, rtol=1e-6)
    assert sentence(MIXED, ["dog"]) == "a photo of one dog and no people in park"
    assert read(MIXED, ["dog"]).confidence[2] == pytest.approx(0.75)


def test_an_object_that_only_one_axis_knows_leaves_the_other_to_the_rest():
    assert sentence(MIXED, ["sheep", "dog"]) == (
        "a photo of one dog and a sheep and no people in park"
    )
    assert sentence(MIXED, ["sheep", "car"]) == (
        "a photo of one sheep and a car and no people in park"
    )


def test_a_count_is_a_gain_only_where_its_own_object_is_right():
    goal = SAME.encode("a photo of one dog and two car in park")
    swapped = SAME.encode("a photo of one dog and two sheep in park")
    assert fine_gain(swapped, goal, SAME) == 2
    assert fine_gain(goal, goal, SAME) == 4


@pytest.mark.parametrize("seed", range(20))
def test_the_assignment_has_the_greatest_sum_of_confidences(seed):
    rng = np.random.default_rng(seed)
    n_classes = 6
    axes = [
        ObjectAxis(axis, tuple(rng.permutation(n_classes)[: rng.integers(2, 5)].tolist()))
        for axis in range(3)
    ]
    detections = [
        np.sort(rng.uniform(0.3, 1, rng.integers(0, 3)).astype(np.float32))[::-1]
        for _ in range(n_classes)
    ]
    found = read_objects(axes, detections, 0.25)
    read_classes = {
        axis.classes[prediction.value]
        for axis, (prediction, _) in zip(axes, found, strict=True)
        if prediction.value >= 0
    }
    total = sum(detections[c].sum() for c in read_classes)
    for choice in itertools.product(*([*axis.classes, None] for axis in axes)):
        classes = [c for c in choice if c is not None]
        if len(set(classes)) == len(classes):
            assert sum(detections[c].sum() for c in classes) <= total + 1e-5
    for prediction, _ in found:
        assert prediction.probabilities.sum() == pytest.approx(1)
        assert prediction.probabilities[prediction.value] == prediction.probabilities.max()
