"""Values for the axes that vary: exact shares, drawn lazily and without state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rldf_agents.errors import AgentError
from rldf_gym.grammar import Grammar

_ROUNDS = 4
_SUM_TOLERANCE = 1e-9
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
Shares = tuple[float, ...]


def mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return a well-mixed hash of each uint64 (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        values = values + _GOLDEN
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed


def permute(places: NDArray[np.uint64], size: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return where a random permutation of ``range(size)`` sends each place.

    A Feistel network with cycle walking (Black and Rogaway 2002): any single place costs the same,
    and nothing is kept.

    Args:
        places: uint64 ``[n]``, each below ``size``.
        size: of the permuted range, at least 1.
        keys: uint64 ``[n]``; places with the same key belong to the same permutation.
    """
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    mask = np.uint64((1 << int(half)) - 1)

    def scramble(values: NDArray[np.uint64], round_keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> half, values & mask
        for each in round_keys:
            left, right = right, left ^ (mix(right ^ each) & mask)
        scrambled: NDArray[np.uint64] = (left << half) | right
        return scrambled

    with np.errstate(over="ignore"):
        round_keys = mix(keys + np.arange(_ROUNDS, dtype=np.uint64)[:, np.newaxis])
        found = scramble(places, round_keys)
        while (outside := found >= size).any():
            found[outside] = scramble(found[outside], round_keys[:, outside])
    return found


def sample(
    shares: Sequence[float], places: NDArray[np.uint64], size: int, keys: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Return a label for each place, so that all places together have the given shares.

    Systematic sampling in random order: of ``size`` places, a label with share p gets p times
    ``size``, rounded up or down, with p times ``size`` as its expectation.

    Args:
        shares: of each label; they sum to 1.
        places: uint64 ``[n]``, each below ``size``.
        size: number of places in all.
        keys: uint64 ``[n]``; see `permute`.

    Returns:
        int64 ``[n]``.
    """
    limits = np.cumsum(shares)
    limits[np.flatnonzero(shares)[-1] :] = 1.0
    start = mix(~keys).astype(np.float64) / 2.0**64
    points = np.minimum((permute(places, size, keys) + start) / size, np.nextafter(1.0, 0.0))
    return np.searchsorted(limits, points, side="right").astype(np.int64)


def read_marginals(grammar: Grammar, texts: Sequence[str]) -> dict[int, Shares]:
    """Return the shares of the values of axes, by the axis's number.

    Args:
        grammar: whose axes these are.
        texts: ``axis:value=share,value=share`` each; values that are not named share the rest
            equally.

    Raises:
        AgentError: another form, an unknown or repeated value, or shares that cannot be.
        GrammarError: an unknown axis.
    """
    marginals: dict[int, Shares] = {}
    for text in texts:
        name, _, rest = text.partition(":")
        axis = grammar.axis_index(name)
        if axis in marginals:
            raise AgentError(f"--marginal {name} is given twice: name all its values in one")
        marginals[axis] = _shares(text, grammar.axes[axis].values, rest)
    return marginals


def _shares(text: str, values: Sequence[str], rest: str) -> Shares:
    given: dict[str, float] = {}
    for part in rest.split(","):
        value, equals, share = part.rpartition("=")
        try:
            number = float(share)
        except ValueError:
            number = -1.0
        if not equals or not 0 <= number <= 1:
            raise AgentError(
                f"--marginal {text}: give axis:value=share, with shares from 0 to 1, such as"
                " scene:park=0.5,beach=0.3"
            )
        if value not in values or value in given:
            fault = "is given twice" if value in given else "is no value of that axis"
            raise AgentError(f"--marginal {text}: {value!r} {fault}; values: {', '.join(values)}")
        given[value] = number
    others = len(values) - len(given)
    left = 1.0 - sum(given.values())
    if left < -_SUM_TOLERANCE or (left > _SUM_TOLERANCE and not others):
        raise AgentError(f"--marginal {text}: the shares sum to {1 - left:g}; make it 1")
    return tuple(given.get(value, max(left, 0.0) / max(others, 1)) for value in values)


def all_marginals(
    grammar: Grammar, varying: Sequence[int], given: Mapping[int, Shares]
) -> dict[int, Shares]:
    """Return the shares for every axis that varies: the given ones, else equal ones.

    Raises:
        AgentError: shares for an axis that does not vary.
    """
    for axis in given:
        if axis not in varying:
            name = grammar.axis_names[axis]
            raise AgentError(f"--marginal {name}: this axis is fixed by the class; leave it out")
    return {
        axis: given.get(axis, (1 / len(grammar.axes[axis]),) * len(grammar.axes[axis]))
        for axis in varying
    }
