"""Which of a model's classes the values of an axis are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from rldf_gym.grammar import Axis, Grammar, Role

PERSON = "person"
ABSENT = -1
"""The class of a value that is left out of the prompt."""

_PERSON_WORDS = frozenset({"person", "people"})

_BROADER: Mapping[str, str] = MappingProxyType({"duck": "bird"})
"""Fallback classes for nouns that COCO's 80 classes lack."""


def class_indices(axis: Axis, known: Sequence[str]) -> tuple[int, ...] | None:
    """Return the index in a model's classes of each value of an axis ``[n_values]``.

    A value without a class of its own takes a broader one if no other value has that one.

    Args:
        axis: Its values are looked up by class name, then by word.
        known: The model's classes.

    Returns:
        The indices, `ABSENT` for a value that is left out of the prompt. None if a class is
        missing: to read a part of an axis would be to rule out the rest.
    """
    numbers = {canonical(name): number for number, name in reversed(list(enumerate(known)))}
    indices: list[int] = []
    broader: list[int] = []
    for name, word in zip(axis.classes, axis.values, strict=True):
        candidates = (canonical(name), canonical(word))
        index = next((numbers[c] for c in candidates if c in numbers), None)
        if index is None and word:
            index = numbers.get(_BROADER.get(canonical(word), ""))
            if index is None:
                return None
            broader.append(index)
        indices.append(ABSENT if index is None else index)
    return None if any(indices.count(index) > 1 for index in broader) else tuple(indices)


def canonical(name: str) -> str:
    """Return one spelling of a class: "Sports ball" and "sports-ball" become "sports_ball"."""
    spelled = name.strip().lower().replace("-", "_").replace(" ", "_")
    return PERSON if spelled in _PERSON_WORDS else spelled


def with_known_roles(
    grammar: Grammar, detector_classes: Sequence[str], scene_classes: Sequence[str]
) -> Grammar:
    """Give an axis whose role is not clear from the sentence the role that the models suggest.

    An axis is an object if the detector knows all of its values, else the scene if the scene
    classifier does. Roles that the grammar's caller gave are kept.

    Returns:
        The same grammar if nothing changes.
    """
    found: dict[str, Role] = {}
    for axis in grammar.axes:
        if axis.role not in ("object", "other") or axis.name in grammar.roles:
            continue
        if class_indices(axis, detector_classes) is not None:
            found[axis.name] = "object"
        elif axis.role == "other" and class_indices(axis, scene_classes) is not None:
            found[axis.name] = "scene"
    if all(grammar.axis(name).role == role for name, role in found.items()):
        return grammar
    return replace(grammar, roles={**grammar.roles, **found})
