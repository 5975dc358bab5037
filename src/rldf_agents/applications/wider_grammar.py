"""A grammar inside a wider one: the same sentences, with more said about the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rldf_agents.errors import AgentError
from rldf_gym.grammar import Grammar


@dataclass(frozen=True)
class WiderGrammar:
    """A grammar that has every axis of another by the same name, with all its values, and more.

    Attributes:
        narrow: the other.
        wide: the wider one.

    Raises:
        AgentError: it lacks an axis or a value, or has no further axis; the message says which.
    """

    narrow: Grammar
    wide: Grammar

    def __post_init__(self) -> None:
        for axis in self.narrow.axes:
            known = self.wide.axis(axis.name).values if axis.name in self.wide.axis_names else ()
            if missing := [value for value in axis.values if value not in known]:
                lacking = f"value {missing[0]!r} of axis" if known else "axis"
                raise AgentError(
                    f"grammar {self.wide.name!r} cannot say all that {self.narrow.name!r} says: it"
                    f" lacks the {lacking} {axis.name!r}"
                )

    def labels(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a state in the wider grammar, -1 on the axes that the other lacks.

        Args:
            state: int64 ``[n_axes]`` of the narrow grammar, -1 where nothing is known.
        """
        found = np.full(self.wide.n_axes, -1, np.int64)
        for axis, label in zip(self.narrow.axes, state.tolist(), strict=True):
            if label >= 0:
                wide_axis = self.wide.axis_index(axis.name)
                found[wide_axis] = self.wide.axes[wide_axis].values.index(axis.values[label])
        return found


def is_wider(narrow: Grammar, wide: Grammar) -> bool:
    """Return whether a grammar has all axes and values of another."""
    try:
        WiderGrammar(narrow, wide)
    except AgentError:
        return False
    return True
