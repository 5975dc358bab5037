"""Discrete and MultiDiscrete spaces as ranges of integers 0..size-1, the indices of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from rldf_agents.errors import AgentError
from rldf_agents.protocols import DiscreteArray, DiscreteValue

_LARGEST_SIZE = 2**63 - 1
"""Indices are stored as int64."""

_MOST_KNOWN = 2**16
"""An environment goes back to the same observations: the numbers of so many are remembered."""

DiscreteSpace = spaces.Discrete | spaces.MultiDiscrete
SavedSpace = dict[str, Any]

Position = tuple[int, ...]
"""An element as offsets from the start of each axis, from 0."""


class SpaceIndex:
    """The elements of one Discrete or MultiDiscrete space, numbered in C order.

    Args:
        space: may start anywhere (``Discrete.start``, ``MultiDiscrete.start``) and be of any shape.
        role: what to call it in messages, "observation" or "action".

    Attributes:
        space: the same.
        sizes: number of values on each axis in C order; a Discrete space is one axis.
        size: number of elements.

    Raises:
        AgentError: if the space is of another kind or has more than 2^63 - 1 elements.
    """

    def __init__(self, space: gym.Space[Any], role: str) -> None:
        if not isinstance(space, DiscreteSpace):
            raise AgentError(
                f"the {role} space is {space}: these learners take Discrete and MultiDiscrete "
                "spaces, wrap the environment to make it one of them"
            )
        self.space: DiscreteSpace = space
        self._role = role
        self._dtype: Any = space.dtype
        self._shape: tuple[int, ...] = space.shape or ()
        counts = space.n if isinstance(space, spaces.Discrete) else space.nvec
        self.sizes: tuple[int, ...] = tuple(np.ravel(counts).tolist())
        self._starts: list[int] = np.ravel(space.start).tolist()
        self.size: int = math.prod(self.sizes)
        if self.size > _LARGEST_SIZE:
            raise AgentError(
                f"the {role} space {space} has {self.size:.1e} elements: a table is indexed by at "
                "most 2^63 - 1 of them"
            )
        self._first = np.array(self._starts, dtype=np.int64)
        self._known: dict[bytes, int] = {}
        self._elements: DiscreteArray | None = None
        if self.size <= _MOST_KNOWN:
            self._elements = self.labels(np.arange(self.size))

    def index(self, label: DiscreteValue) -> int:
        """Return the number of an element, in 0..size-1.

        Raises:
            AgentError: if it is not an element of the space.
        """
        array = np.asarray(label)
        if array.dtype != self._dtype or array.shape != self._shape:
            return self._count_up(array)
        key = array.tobytes()
        index = self._known.get(key)
        if index is None:
            index = self._count_up(array)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = index
        return index

    def label(self, index: int) -> DiscreteValue:
        """Return the element of a number in 0..size-1, in the type that the space samples."""
        if self._elements is None:
            element: DiscreteValue = self.labels(np.array([index]))[0]
        else:
            element = self._elements[index].copy()
        return element

    def indices(self, labels: DiscreteArray) -> npt.NDArray[np.int64]:
        """Return the numbers of several elements, int64 [n].

        Raises:
            AgentError: if one is not an element of the space.
        """
        if labels.shape[1:] != self._shape or labels.dtype.kind not in "iu":
            self._refuse(labels[0])
        parts = labels.reshape(len(labels), len(self.sizes)).astype(np.int64, copy=False)
        try:
            columns = tuple((parts - self._first).T)
            numbers: npt.NDArray[np.int64] = np.ravel_multi_index(columns, self.sizes)
        except ValueError:
            inside = (parts >= self._first) & (parts - self._first < self.sizes)
            self._refuse(labels[int(inside.all(axis=1).argmin())])
        return numbers

    def labels(self, indices: npt.NDArray[np.int64]) -> DiscreteArray:
        """Return the elements of several numbers, [n] or [n, n_axes]."""
        if self._elements is not None:
            return self._elements[indices]
        offsets = np.stack(np.unravel_index(indices, self.sizes), axis=1)
        parts = (offsets + self._first).astype(self._dtype)
        return parts.reshape(len(indices), *self._shape)

    def restore(self, saved: int | list[Any]) -> DiscreteValue:
        """Return the element that was saved with ``save_label``."""
        restored: DiscreteValue = np.array(saved, dtype=self._dtype)[()]
        return restored

    def _count_up(self, label: DiscreteArray) -> int:
        parts: list[int] = label.ravel().tolist()
        if len(parts) != len(self.sizes) or label.dtype.kind not in "iu":
            self._refuse(label)
        index = 0
        for part, count, start in zip(parts, self.sizes, self._starts, strict=True):
            offset = part - start
            if not 0 <= offset < count:
                self._refuse(label)
            index = index * count + offset
        return index

    def _refuse(self, label: DiscreteArray) -> NoReturn:
        raise AgentError(f"the {self._role} {label} is not in the space {self.space}")


def offsets(index: int, sizes: Sequence[int]) -> Position:
    """Return the offsets on axes of these sizes that a number in C order stands for."""
    position = []
    for size in reversed(sizes):
        index, offset = divmod(index, size)
        position.append(offset)
    return tuple(position[::-1])


def save_label(label: DiscreteValue) -> Any:
    """Return an element of a space as numbers and lists for JSON."""
    return np.asarray(label).tolist()


def space_to_json(space: DiscreteSpace) -> SavedSpace:
    """Return kind, sizes, starts and dtype of a space."""
    if isinstance(space, spaces.Discrete):
        sizes = {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    else:
        sizes = {
            "kind": "MultiDiscrete",
            "nvec": space.nvec.tolist(),
            "start": space.start.tolist(),
        }
    return {**sizes, "dtype": str(space.dtype)}


def space_from_json(saved: SavedSpace) -> DiscreteSpace:
    """Return the space that ``space_to_json`` wrote."""
    dtype: Any = np.dtype(saved["dtype"])
    if saved["kind"] == "Discrete" and dtype == np.int64:
        return spaces.Discrete(saved["n"], start=saved["start"])
    if saved["kind"] == "Discrete":  # only newer releases of Gymnasium have, and take, a dtype
        return spaces.Discrete(saved["n"], start=saved["start"], dtype=dtype)
    return spaces.MultiDiscrete(saved["nvec"], dtype=dtype, start=saved["start"])
