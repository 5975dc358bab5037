"""Enumerate the states around a state, and prompts that have every value."""

from collections.abc import Iterator

import numpy as np

from rldf_gym.grammar.grammar import Grammar


def neighbours(grammar: Grammar, index: int) -> Iterator[int]:
    """Yield the numbers of the states one unit along one axis from the state of that number."""
    state = grammar.state(index)
    for stride, label, size in zip(grammar.strides, state, grammar.nvec, strict=True):
        if label > 0:
            yield index - int(stride)
        if label < size - 1:
            yield index + int(stride)


def prompts_with_every_value(grammar: Grammar) -> Iterator[str]:
    """Yield prompts that together have every value of every axis, and all fixed words."""
    for axis, size in enumerate(grammar.nvec):
        for value in range(size):
            state = np.zeros(grammar.n_axes, np.int64)
            state[axis] = value
            yield grammar.decode(state)
