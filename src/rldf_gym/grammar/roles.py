"""What each axis describes: an object, how many of it, how many people, the scene, or other.

Roles follow from the sentence. An axis of count words counts the axis that follows it, or people
where the word "people" or "person" does: ``count noun``, ``count size noun``, ``count "people"``.
Four names have a role wherever they stand: ``noun`` (object), ``frequency`` (count of ``noun``),
``density`` (people) and ``scene``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, takewhile

from rldf_gym.grammar.axes import ROLES, Axis, Role
from rldf_gym.grammar.counting import CountWords
from rldf_gym.grammar.faults import GrammarError

_NAMED: Mapping[str, Role] = {
    "noun": "object",
    "frequency": "count",
    "density": "people",
    "scene": "scene",
}
_PEOPLE = re.compile(r"\s*(people|person)\b", re.IGNORECASE)


@dataclass(frozen=True)
class AxisRoles:
    """The roles of all axes of a grammar.

    Attributes:
        roles: The role of each axis ``[n_axes]``.
        counted: For each axis ``[n_axes]``, the index of the object axis that it counts, or None.
    """

    roles: tuple[Role, ...]
    counted: tuple[int | None, ...]


def find_roles(
    axes: Sequence[Axis], places: Sequence[Sequence[str]], given: Mapping[str, Role]
) -> AxisRoles:
    """Find the role of each axis.

    Args:
        axes: The axes in the order of the sentence.
        places: The texts at each place of the sentence; a place with one text is fixed.
        given: Roles by axis name, which take precedence over the sentence.

    Raises:
        GrammarError: ``given`` names an unknown axis or role, makes two axes count people, or makes
            an axis a count that has no object to count.
    """
    _validate(axes, given)
    roles = [given.get(axis.name) or _role_alone(axis) for axis in axes]
    counted: list[int | None] = [None] * len(axes)
    for index, (run, before_people) in enumerate(_followers(places)):
        if roles[index] != "count":
            continue
        is_given = axes[index].name in given
        things = list(takewhile(lambda i: roles[i] in ("object", "other"), run))
        known = any(roles[i] == "object" for i in things)
        if before_people and things == run and not known and not is_given:
            roles[index] = "count" if "people" in roles else "people"
            continue
        target = _counted_among(things, roles, axes, given)
        if target is None and axes[index].name.lower() == "frequency":
            target = next((i for i, axis in enumerate(axes) if axis.name.lower() == "noun"), None)
        if target is not None and target not in counted:
            roles[target], counted[index] = "object", target
        elif is_given:
            raise GrammarError(
                f"roles make axis {axes[index].name!r} a count, but no object axis follows it that"
                " is not counted yet; put it directly before its object, or give it another role"
            )
    return AxisRoles(tuple(roles), tuple(counted))


def _counted_among(
    things: Sequence[int], roles: Sequence[Role], axes: Sequence[Axis], given: Mapping[str, Role]
) -> int | None:
    """The first object among the axes after a count; where there is none, the first of them."""
    objects = (i for i in things if roles[i] == "object")
    others = (i for i in things if axes[i].name not in given)
    return next(chain(objects, others), None)


def with_roles(axes: Sequence[Axis], roles: Sequence[Role]) -> tuple[Axis, ...]:
    """Return the same axes with these roles."""
    return tuple(replace(axis, role=role) for axis, role in zip(axes, roles, strict=True))


def _validate(axes: Sequence[Axis], given: Mapping[str, Role]) -> None:
    names = [axis.name for axis in axes]
    for name, role in given.items():
        if name not in names:
            raise GrammarError(
                f"roles name an axis {name!r} that the grammar lacks; its axes are"
                f" {', '.join(names)}"
            )
        if role not in ROLES:
            raise GrammarError(
                f"axis {name!r} has the unknown role {role!r}; known: {', '.join(ROLES)}"
            )
    people = [name for name, role in given.items() if role == "people"]
    if len(people) > 1:
        raise GrammarError(
            f"roles conflict: {' and '.join(people)} both count people; at most one axis can"
        )


def _role_alone(axis: Axis) -> Role:
    """Return the role that an axis has by its name or words, whatever stands around it."""
    if role := _NAMED.get(axis.name.lower()):
        return role
    return "count" if CountWords.parse(axis.values) else "other"


def _followers(places: Sequence[Sequence[str]]) -> list[tuple[list[int], bool]]:
    """For each axis: the axes that follow it without fixed words between, and if people follow."""
    found: list[tuple[list[int], bool]] = []
    run: list[int] = []
    is_people = False
    axis = sum(len(texts) > 1 for texts in places)
    for texts in reversed(places):
        if len(texts) == 1:
            run, is_people = [], _PEOPLE.match(texts[0]) is not None
            continue
        axis -= 1
        found.append((list(run), is_people))
        run = [axis, *run]
    return found[::-1]
