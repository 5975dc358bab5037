"""The compiled grammar: states, labels and prompts of one world."""

import hashlib
import math
import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import MultiDiscrete

from rldf_gym.grammar.ambiguity import find_collision
from rldf_gym.grammar.axes import Axis, Role
from rldf_gym.grammar.compiler import compile_slots
from rldf_gym.grammar.faults import GrammarError, GrammarWarning
from rldf_gym.grammar.roles import find_roles, with_roles
from rldf_gym.grammar.sentences import Template, template_of
from rldf_gym.grammar.source import RuleFile, check_usable_by_lark, line_of, read_rules

_MOST_STATES = 2**63
_MOST_LISTED_STATES = 10_000_000


@dataclass(frozen=True, repr=False)
class Grammar:
    """Which sentences there are, and which state each of them is; see :func:`compile_grammar`.

    A state is an int64 vector ``[n_axes]``, one label per axis, label ``i`` in ``0..len(axis)-1``.

    Attributes:
        name: What messages call it.
        source: The text of the ``.lark`` file.
        axes: The choices, in the order of derivation.
        template: The sentence that the choices are put into.
        roles: Roles by axis name, which take precedence over those found from the sentence.

    Raises:
        GrammarError: Roles that name an unknown axis or role, or that conflict.
    """

    name: str
    source: str
    axes: tuple[Axis, ...]
    template: Template
    roles: Mapping[str, Role] = field(default_factory=dict, hash=False)
    _counted: tuple[int | None, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        found = find_roles(self.axes, self.template.places, self.roles)
        object.__setattr__(self, "axes", with_roles(self.axes, found.roles))
        object.__setattr__(self, "_counted", found.counted)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the source, in hexadecimal digits."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    @cached_property
    def axis_names(self) -> tuple[str, ...]:
        """The names of the axes, in order."""
        return tuple(axis.name for axis in self.axes)

    @property
    def nvec(self) -> npt.NDArray[np.int64]:
        """How many values each axis has: int64 ``[n_axes]``, a fresh copy."""
        return np.array(self._sizes, dtype=np.int64)

    @property
    def n_axes(self) -> int:
        """How many choices a description has."""
        return len(self.axes)

    @cached_property
    def n_states(self) -> int:
        """How many prompts there are, at most 2^63."""
        return math.prod(self._sizes)

    @property
    def strides(self) -> npt.NDArray[np.int64]:
        """How far a step along each axis moves a state's number: int64 ``[n_axes]``, a copy."""
        sizes = self._sizes
        return np.array([math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))], np.int64)

    @property
    def observation_space(self) -> MultiDiscrete:
        """All states, as a space of its own with int64 labels."""
        return MultiDiscrete(self.nvec, dtype=np.int64)

    @cached_property
    def coarse_axes(self) -> tuple[int, ...]:
        """Indices of the axes that describe the whole picture (the scene)."""
        return self.axes_with("scene")

    @cached_property
    def fine_axes(self) -> tuple[int, ...]:
        """Indices of all other axes: objects, counts, people, actions, attributes."""
        return tuple(i for i in range(self.n_axes) if i not in self.coarse_axes)

    def axes_with(self, role: Role) -> tuple[int, ...]:
        """Return the indices of the axes with that role, in the order of the sentence."""
        return tuple(i for i, axis in enumerate(self.axes) if axis.role == role)

    def counted_axis(self, axis_index: int) -> int | None:
        """Return the index of the object axis that an axis counts, None if it counts none."""
        return self._counted[axis_index]

    def axis(self, name: str) -> Axis:
        """The axis of that name.

        Raises:
            GrammarError: There is none.
        """
        return self.axes[self.axis_index(name)]

    def axis_index(self, name: str) -> int:
        """The position of an axis in a state.

        Raises:
            GrammarError: There is no axis of that name.
        """
        if name not in self.axis_names:
            raise GrammarError(
                f"grammar {self.name!r} has no axis {name!r}; its axes are"
                f" {', '.join(self.axis_names)}"
            )
        return self.axis_names.index(name)

    def decode(self, state: npt.ArrayLike) -> str:
        """The prompt of a state ``[n_axes]``.

        Raises:
            GrammarError: Not a state of this grammar.
        """
        return self.template.write(self.validate(state).tolist())

    def encode(self, prompt: str) -> npt.NDArray[np.int64]:
        """The state int64 ``[n_axes]`` of a prompt; the inverse of :meth:`decode`.

        Raises:
            GrammarError: The prompt is not a sentence of this grammar; says where it leaves it.
        """
        if not isinstance(prompt, str):
            raise GrammarError(
                f"grammar {self.name!r} encodes text, not {type(prompt).__name__} ({prompt!r})"
            )
        return np.array(self.template.parse(prompt, self.name), dtype=np.int64)

    def __contains__(self, prompt: str) -> bool:
        """Return whether a prompt is a sentence of this grammar."""
        try:
            self.encode(prompt)
        except GrammarError:
            return False
        return True

    def validate(self, state: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """The same state as int64 ``[n_axes]``; not copied if it is one already.

        Raises:
            GrammarError: Wrong length, labels that are not integers, or a label out of range; names
                the axis, the label and the range.
        """
        try:
            labels = np.asarray(state)
        except ValueError as error:
            raise self._not_a_state(state, "is not a vector") from error
        if labels.shape != (self.n_axes,):
            raise self._not_a_state(state, f"has shape {labels.shape}")
        if labels.dtype.kind not in "iu":
            raise self._not_a_state(state, f"holds {labels.dtype} labels, not integers")
        for axis, label in zip(self.axes, labels.tolist(), strict=True):
            if not 0 <= label < len(axis.values):
                raise GrammarError(
                    f"label {label} is outside axis {axis.name!r} of grammar {self.name!r}, which"
                    f" goes from 0 ({axis.values[0]!r}) to {len(axis) - 1} ({axis.values[-1]!r})"
                )
        return labels.astype(np.int64, copy=False)

    def index(self, state: npt.ArrayLike) -> int:
        """The number of a state, 0 .. n_states-1; the last axis runs fastest (C order).

        Raises:
            GrammarError: Not a state of this grammar.
        """
        number = 0
        for size, label in zip(self._sizes, self.validate(state).tolist(), strict=True):
            number = number * size + label
        return number

    def state(self, index: SupportsIndex) -> npt.NDArray[np.int64]:
        """The state int64 ``[n_axes]`` of a number; the inverse of :meth:`index`.

        Raises:
            GrammarError: Not an integer in 0 .. n_states-1.
        """
        try:
            rest = operator.index(index)
        except TypeError as error:
            raise GrammarError(f"a state's number is an integer, not {index!r}") from error
        if not 0 <= rest < self.n_states:
            raise GrammarError(
                f"grammar {self.name!r} numbers its states 0 to {self.n_states - 1}, not {rest}"
            )
        labels: list[int] = []
        for size in reversed(self._sizes):
            rest, label = divmod(rest, size)
            labels.append(label)
        return np.array(labels[::-1], dtype=np.int64)

    def states(self) -> npt.NDArray[np.int64]:
        """All states in the order of their numbers: int64 ``[n_states, n_axes]``.

        Raises:
            GrammarError: More than ten million; sample the observation space instead.
        """
        if self.n_states > _MOST_LISTED_STATES:
            raise GrammarError(
                f"grammar {self.name!r} has {self.n_states} states, too many to list (at most"
                f" {_MOST_LISTED_STATES}); sample observation_space instead"
            )
        columns: npt.NDArray[np.int64] = np.indices(self._sizes, dtype=np.int64)
        return np.ascontiguousarray(columns.reshape(self.n_axes, self.n_states).T)

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes)

    def _not_a_state(self, state: object, complaint: str) -> GrammarError:
        return GrammarError(
            f"state {state!r} {complaint}; grammar {self.name!r} takes {self.n_axes} integer labels"
            f" ({', '.join(self.axis_names)})"
        )

    def __repr__(self) -> str:
        axes = " x ".join(f"{axis.name} {len(axis)}" for axis in self.axes)
        return f"Grammar({self.name!r}: {axes} = {self.n_states} states)"


def compile_grammar(
    source: str, name: str = "grammar", roles: Mapping[str, Role] | None = None
) -> Grammar:
    """Compile the text of a ``.lark`` file into axes; the same text gives the same `Grammar`.

    Args:
        source: A plain Lark grammar. With ``%ignore " "`` the words of a prompt are set apart by
            one blank each; without it, the file writes its own blanks, as in ``"a photo of "``.
        name: What messages call it.
        roles: Roles by axis name, where those found from the sentence are not the right ones.

    Returns:
        A grammar of which every state has a prompt of its own: two states never share one. This is
        decided exactly, for any number of states.

    Raises:
        GrammarError: A syntax error, an unknown symbol, recursion, a name or a value that stands
            twice, ambiguity, no choice at all, more than 2^63 states, or roles that conflict;
            names the rule and line.

    Warns:
        GrammarWarning: A count axis has no object to count.
    """
    compiled = _compile(source, name)
    grammar = replace(compiled, roles=dict(roles)) if roles else compiled
    for index in grammar.axes_with("count"):
        if grammar.counted_axis(index) is None:
            warnings.warn(_counts_nothing(grammar, index), GrammarWarning, stacklevel=2)
    return grammar


def _counts_nothing(grammar: Grammar, index: int) -> str:
    axis = grammar.axes[index].name
    return (
        f"axis {axis!r} of grammar {grammar.name!r} (line {line_of(grammar.source, axis)}) holds"
        " count words but has no object to count, so CLIP reads it, which counts badly; put it"
        " directly before the axis that it counts or before the word people"
    )


@lru_cache(maxsize=16)
def _compile(source: str, name: str) -> Grammar:
    try:
        file = read_rules(source, name)
        slots = compile_slots(file)
        template = template_of(slots, file.separator)
        axes = tuple(slot.as_axis() for slot in slots if slot.is_axis)
        _check_number_of_states(file, axes)
        _reject_ambiguity(file, axes, template)
        check_usable_by_lark(file)
    except RecursionError as error:
        raise GrammarError(
            f"grammar {name!r} nests its rules too deeply; flatten its vocabulary trees"
        ) from error
    return Grammar(name, source, axes, template)


def _check_number_of_states(file: RuleFile, axes: Sequence[Axis]) -> None:
    if not axes:
        raise file.fault(
            "start",
            "leaves nothing to choose: the language is empty or one sentence; give some rule"
            " several alternatives",
        )
    n_states = math.prod(len(axis) for axis in axes)
    if n_states > _MOST_STATES:
        raise file.fault(
            "start", f"has {n_states} states, more than the 2^63 that an int64 can number"
        )


def _reject_ambiguity(file: RuleFile, axes: Sequence[Axis], template: Template) -> None:
    collision = find_collision(template.places)
    if collision is None:
        return
    choosing = [place for place, texts in enumerate(template.places) if len(texts) > 1]
    one, other = ([labels[place] for place in choosing] for labels in collision)
    differing = [i for i in range(len(axes)) if one[i] != other[i]]
    readings = [
        ", ".join(f"{axes[i].name} {axes[i].values[labels[i]]!r}" for i in differing)
        for labels in (one, other)
    ]
    raise file.fault(
        axes[differing[0]].name,
        f"is ambiguous: {template.write(one)!r} means both ({readings[0]}) and ({readings[1]});"
        " reword a value or put a fixed word between the axes",
    )
