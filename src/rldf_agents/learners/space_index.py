"""Discrete and MultiDiscrete spaces as indices 0..size-1, the rows and columns of a table."""

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

_CACHE_SIZE = 2**16
"""Environments return to the same observations: so many indices and elements are cached."""

DiscreteSpace = spaces.Discrete | spaces.MultiDiscrete
Indices = npt.NDArray[np.int64]

Position = tuple[int, ...]
"""An element as offsets from the start of each axis, from 0."""


class Grid:
    """Number the points of a grid in C order.

    Single points use Python's integers, where NumPy's calls would cost more than the arithmetic.

    Args:
        sizes: number of values on each axis.

    Attributes:
        sizes: the same.
        size: number of points.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.size = math.prod(self.sizes)
        self._strides = [math.prod(self.sizes[axis + 1 :]) for axis in range(len(self.sizes))]

    def position(self, index: int) -> Position:
        """Return the point of an index in 0..size-1."""
        return tuple(
            [index // stride % size for stride, size in zip(self._strides, self.sizes, strict=True)]
        )

    def index(self, position: Sequence[int]) -> int:
        """Return the index of a point."""
        return sum([value * stride for value, stride in zip(position, self._strides, strict=True)])

    def positions(self, indices: npt.ArrayLike) -> Indices:
        """Return the points of several indices, int64 [n] to int64 [n, n_axes]."""
        columns = np.unravel_index(np.asarray(indices, dtype=np.int64), self.sizes)
        return np.stack(columns, axis=-1)

    def indices(self, positions: Indices) -> Indices:
        """Return the indices of several points, int64 [n, n_axes] to int64 [n].

        Raises:
            ValueError: if a point is outside the grid.
        """
        numbers: Indices = np.ravel_multi_index(tuple(positions.T), self.sizes)
        return numbers


class SpaceIndex:
    """Number the elements of one Discrete or MultiDiscrete space in C order.

    Args:
        space: may start anywhere (``Discrete.start``, ``MultiDiscrete.start``) and have any shape.
        role: its name in messages, "observation" or "action".

    Attributes:
        space: the same.
        grid: the offsets from the start of each axis; a Discrete space is one axis.
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
        self.grid = Grid(np.ravel(counts).tolist())
        self.size = self.grid.size
        if self.size > _LARGEST_SIZE:
            raise AgentError(
                f"the {role} space {space} has {self.size:.1e} elements: learners index at "
                "most 2^63 - 1 of them"
            )
        self._start = np.ravel(space.start).astype(np.int64)
        self._index_of: dict[bytes, int] = {}
        # With at most one dimension the bytes of an element say its shape.
        self._cached_ndim = len(self._shape) if len(self._shape) < 2 else -1
        self._all_values: DiscreteArray | None = None
        self._each_value: list[Any] = []
        if self.size <= _CACHE_SIZE:
            self._all_values = self.values(np.arange(self.size))
            self._each_value = list(self._all_values)

    def index(self, value: DiscreteValue) -> int:
        """Return the index of an element, in 0..size-1.

        Raises:
            AgentError: if it is not an element of the space.
        """
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
        if array.ndim != self._cached_ndim or array.dtype != self._dtype:
            return int(self.indices(array[np.newaxis])[0])
        key = array.tobytes()
        index = self._index_of.get(key)
        if index is None:
            index = int(self.indices(array[np.newaxis])[0])
            if len(self._index_of) >= _CACHE_SIZE:
                self._index_of.clear()
            self._index_of[key] = index
        return index

    def value(self, index: int) -> DiscreteValue:
        """Return a copy of the element of an index in 0..size-1, in the type the space samples."""
        if self._each_value:
            element: DiscreteValue = self._each_value[index].copy()
        else:
            element = self.values(np.array([index]))[0]
        return element

    def indices(self, values: DiscreteArray) -> Indices:
        """Return the indices of several elements, int64 [n].

        Raises:
            AgentError: if one is not an element of the space.
        """
        if values.shape[1:] != self._shape or values.dtype.kind not in "iu":
            self._reject(values[0])
        parts = values.reshape(len(values), len(self.grid.sizes)).astype(np.int64, copy=False)
        offsets = parts - self._start
        try:
            return self.grid.indices(offsets)
        except ValueError:
            inside = ((offsets >= 0) & (offsets < self.grid.sizes)).all(axis=1)
            self._reject(values[int(inside.argmin())])

    def values(self, indices: Indices) -> DiscreteArray:
        """Return the elements of several indices, [n] or [n, n_axes]."""
        if self._all_values is not None:
            return self._all_values[indices]
        parts = (self.grid.positions(indices) + self._start).astype(self._dtype)
        return parts.reshape(len(indices), *self._shape)

    def _reject(self, value: DiscreteArray) -> NoReturn:
        raise AgentError(f"the {self._role} {value} is not in the space {self.space}")
