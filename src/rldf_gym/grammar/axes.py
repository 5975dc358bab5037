"""The values that a compiled grammar is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal, TypeAlias, get_args

Role: TypeAlias = Literal["object", "count", "people", "scene", "other"]
ROLES: tuple[Role, ...] = get_args(Role)
"""What an axis can describe. The scene is coarse, all others are fine (paper §3, rewards)."""

Tree: TypeAlias = int | tuple["Tree", ...]
"""A vocabulary tree: a label, or the parts of a group."""


@dataclass(frozen=True)
class Axis:
    """One choice in the description; its values are ordered, so neighbours should mean alike.

    Attributes:
        name: The rule that names the choice, such as ``noun``.
        values: The words ``[n_values]``; ``""`` where an ``[optional]`` part is left out.
        classes: What perception calls each value ``[n_values]``: its alias, else the word itself.
        groups: For each value ``[n_values]``, the rules on its way down the vocabulary tree below
            the axis, such as ``("outdoor",)``; ``()`` for a value that stands in the axis itself.
        role: What the axis describes; see :mod:`rldf_gym.grammar.roles`.
    """

    name: str
    values: tuple[str, ...]
    classes: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    role: Role = "other"

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def tree(self) -> tuple[Tree, ...]:
        """The labels, nested as the rules are: ``(0, (1, (2, 3)), 4)``; a flat axis is one tuple.

        A rule with a single alternative is not a group: there is nothing to choose in it.
        """
        parts = _parts(enumerate(self.groups))
        while len(parts) == 1 and isinstance(parts[0], tuple):
            parts = parts[0]
        return parts


@dataclass(frozen=True)
class Phrase:
    """One way to fill a place in the sentence.

    Attributes:
        text: The words that the prompt shows, with the fixed words of an ``[optional]`` part.
        value: The words that name the choice.
        perceived: What perception calls it; ``None`` where the file gives no alias.
        group: The rules on its way down the vocabulary tree.
        line: Where it stands in the file, counted from 1.
    """

    text: str
    value: str
    perceived: str | None
    group: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Slot:
    """One place in the sentence: fixed text if there is one phrase for it, else an axis."""

    name: str
    phrases: tuple[Phrase, ...]

    @property
    def is_axis(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.phrases) > 1

    def as_axis(self) -> Axis:
        """This place as its users see it."""
        return Axis(
            name=self.name,
            values=tuple(phrase.value for phrase in self.phrases),
            classes=tuple(
                phrase.value if phrase.perceived is None else phrase.perceived
                for phrase in self.phrases
            ),
            groups=tuple(phrase.group for phrase in self.phrases),
        )


def _parts(paths: Iterable[tuple[int, tuple[str, ...]]]) -> tuple[Tree, ...]:
    """Return the parts of a group from its labels, each with its way down from there."""
    parts: list[Tree] = []
    for group, below in groupby(paths, key=lambda path: path[1][:1]):
        if group:
            inner = _parts((label, way[1:]) for label, way in below)
            parts.append(inner if len(inner) > 1 else inner[0])
        else:
            parts += [label for label, _ in below]
    return tuple(parts)
