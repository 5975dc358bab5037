"""Find the state that matches the example pictures of a class."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rldf_agents.cloning.source import SourceClass
from rldf_agents.errors import AgentError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal, LowConfidenceWarning, infer_goal
from rldf_gym.grammar import Grammar

ALL_AXES = "all"
_CANDIDATES = 4
_TRIES = 4
_VERIFIED = 0.5
_NAMED = 0.1
"""Probability at which a value that has the class's name is tried before likelier ones."""

MOST_GENERATED = _CANDIDATES * _TRIES
"""Pictures that the search for a class generates at most."""


@dataclass(frozen=True)
class ClassMatch:
    """What was found for a class.

    Attributes:
        name: of the class.
        labels: of the found state on the class axes.
        words: their values.
        probability: of these values in the examples, the mean, 0 to 1.
        agreement: share of the examples that read so, 0 to 1.
        verified: share of the generated pictures of these values that read so, 0 to 1.
        n_examples: number of examples.
    """

    name: str
    labels: tuple[int, ...]
    words: tuple[str, ...]
    probability: float
    agreement: float
    verified: float
    n_examples: int


def class_axes(grammar: Grammar, names: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of the axes that make a class.

    Args:
        grammar: of the clone.
        names: of axes; none for the object axes, ``ALL_AXES`` for all.

    Raises:
        AgentError: no name for a grammar without an object axis.
        GrammarError: an unknown axis.
    """
    if ALL_AXES in names:
        return tuple(range(grammar.n_axes))
    axes = tuple(sorted({grammar.axis_index(name) for name in names}))
    if axes or (axes := grammar.axes_with("object")):
        return axes
    raise AgentError(
        f"grammar {grammar.name!r} has no object axis: name what makes a class with --class-axis"
        f" ({', '.join(grammar.axis_names)}, or {ALL_AXES})"
    )


def match_class(evaluator: StateEvaluator, source: SourceClass, axes: Sequence[int]) -> ClassMatch:
    """Read the examples, and verify the likeliest values with generated pictures.

    Values are tried in the order of their mean probability in the examples; one that has the
    class's name comes first, if the examples may well show it. The first of which at least half of
    the generated pictures read so is taken; if there is none, the one with the greatest product of
    that probability and that share.

    Args:
        evaluator: reads the examples, generates and reads the pictures.
        source: the class.
        axes: numbers of the class axes.
    """
    goals = [_goal(evaluator, example) for example in source.examples]
    read = np.array([goal.state for goal in goals])
    tried: list[ClassMatch] = []
    candidates = list(_candidates(goals, axes))
    candidates.sort(key=lambda each: not _is_named(evaluator.grammar, source.name, axes, *each))
    for labels, probability in candidates:
        tried.append(
            ClassMatch(
                name=source.name,
                labels=labels,
                words=tuple(
                    evaluator.grammar.axes[axis].values[label]
                    for axis, label in zip(axes, labels, strict=True)
                ),
                probability=probability,
                agreement=float((read[:, axes] == labels).all(axis=1).mean()),
                verified=_verified(evaluator, read, axes, labels),
                n_examples=len(goals),
            )
        )
        if tried[-1].verified >= _VERIFIED:
            return tried[-1]
    return max(tried, key=lambda match: match.probability * match.verified)


def _is_named(
    grammar: Grammar, name: str, axes: Sequence[int], labels: Sequence[int], probability: float
) -> bool:
    """Return whether a class has the name of a value that its examples may well show."""
    words = [grammar.axes[axis].values[label] for axis, label in zip(axes, labels, strict=True)]
    return probability >= _NAMED and name.replace("_", " ").casefold() in map(str.casefold, words)


def _goal(evaluator: StateEvaluator, example: NDArray[np.uint8]) -> Goal:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowConfidenceWarning)
        return infer_goal(evaluator, example)


def _candidates(
    goals: Sequence[Goal], axes: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield the likeliest labels of the class axes with their probability, the best first."""
    means = [
        np.mean([_distribution(goal, axis) for goal in goals], axis=0).astype(float)
        for axis in axes
    ]
    best = [np.argsort(-mean, kind="stable")[:_CANDIDATES].tolist() for mean in means]
    first = tuple(order[0] for order in best)
    # With several axes, one of them at a time takes another value.
    others = {
        (*first[:place], label, *first[place + 1 :])
        for place, order in enumerate(best)
        for label in order[1:]
    }
    scored = [
        (labels, float(np.prod([mean[label] for mean, label in zip(means, labels, strict=True)])))
        for labels in (first, *sorted(others))
    ]
    scored.sort(key=lambda pair: -pair[1])
    yield from scored[:_CANDIDATES]


def _distribution(goal: Goal, axis: int) -> NDArray[np.float64]:
    if goal.probabilities:
        return goal.probabilities[axis].astype(np.float64)
    certain = np.zeros(len(goal.grammar.axes[axis]))
    certain[goal.state[axis]] = 1.0
    return certain


def _verified(
    evaluator: StateEvaluator,
    read: NDArray[np.int64],
    axes: Sequence[int],
    labels: Sequence[int],
) -> float:
    """Return the share of generated pictures that read as the labels; elsewhere as the examples."""
    states = read.copy()
    states[:, axes] = labels
    states = np.unique(states, axis=0)[:_TRIES]
    # Python's numbers: the last seeds would overflow an int64.
    seeds = [evaluator.generation_seed + number // len(states) for number in range(_TRIES)]
    readings = evaluator.readings(states[np.arange(_TRIES) % len(states)], seeds)
    return float(np.mean([(reading.values[list(axes)] == labels).all() for reading in readings]))
