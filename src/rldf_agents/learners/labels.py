"""Discrete and MultiDiscrete spaces as ranges of integers 0..size-1, the indices of a table."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rldf_agents.contracts import Label
from rldf_agents.errors import AgentError

_LARGEST_SIZE = 2**63 - 1
"""Indices are stored as int64."""

DiscreteSpace = spaces.Discrete | spaces.MultiDiscrete
SavedSpace = dict[str, Any]


class Labels:
    """The elements of one Discrete or MultiDiscrete space, numbered in C order.

    Args:
        space: may start anywhere (``Discrete.start``, ``MultiDiscrete.start``) and be of any shape.
        role: what to call it in messages, "observation" or "action".

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
        if isinstance(space, spaces.Discrete):
            self._shape: tuple[int, ...] | None = None
            self._counts, self._starts = [int(space.n)], [int(space.start)]
        else:
            self._shape = space.nvec.shape
            self._counts, self._starts = space.nvec.ravel().tolist(), space.start.ravel().tolist()
        self._axes = list(zip(self._counts, self._starts, strict=True))
        self.size: int = math.prod(self._counts)
        if self.size > _LARGEST_SIZE:
            raise AgentError(
                f"the {role} space {space} has {self.size:.1e} elements: a table is indexed by at "
                "most 2^63 - 1 of them"
            )

    def index(self, label: Label) -> int:
        """Return the number of an element, in 0..size-1.

        Raises:
            AgentError: if it is not an element of the space.
        """
        parts = [int(label)] if self._shape is None else np.ravel(label).tolist()
        if len(parts) != len(self._axes):
            raise AgentError(f"the {self._role} {label} is not in the space {self.space}")
        index = 0
        for part, (count, start) in zip(parts, self._axes, strict=True):
            offset = part - start
            if not 0 <= offset < count:
                raise AgentError(f"the {self._role} {label} is not in the space {self.space}")
            index = index * count + offset
        return index

    def label(self, index: int) -> Label:
        """Return the element of a number in 0..size-1, in the type that the space samples."""
        if self._shape is None:
            return self._scalar(index + self._starts[0])
        parts = []
        for count, start in reversed(self._axes):
            index, offset = divmod(index, count)
            parts.append(offset + start)
        return np.array(parts[::-1], dtype=self.space.dtype).reshape(self._shape)

    def restore(self, saved: int | list[Any]) -> Label:
        """Return the element that was saved with ``save_label``."""
        if isinstance(saved, int):
            return self._scalar(saved)
        return np.array(saved, dtype=self.space.dtype)

    def _scalar(self, value: int) -> Label:
        dtype: Any = self.space.dtype
        scalar: Label = dtype.type(value)
        return scalar


def save_label(label: Label) -> Any:
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
