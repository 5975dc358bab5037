"""Variations of a found prompt with further attributes, such as weather and time of day."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rldf_agents.applications.trajectory import Frame, StateVisit
from rldf_agents.applications.trials import Seeded, visit_of
from rldf_agents.applications.wider_grammar import WiderGrammar, is_wider
from rldf_agents.errors import AgentError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal
from rldf_gym.grammar import Grammar, compile_grammar, load_grammar, shipped_grammars
from rldf_gym.grammar.builders import extend_grammar
from rldf_gym.perception import Reading, zero_shot

_MOST_SHUFFLED = 100_000
"""Combinations of values up to which each comes once before any comes again."""


class Attributes:
    """Axes of a wider grammar that vary, while what its narrower grammar says stays.

    The wider grammar's other axes have the values that CLIP reads in the target.

    Args:
        evaluator: of the narrow grammar.
        goal: in the narrow grammar.
        names: of the axes that vary.
        source: the wider grammar, or one whose phrases with these axes are appended to the narrow
            one's sentences. None for the smallest shipped grammar that is wider and has the axes.

    Raises:
        AgentError: no such grammar, or an axis that the narrow grammar has itself.
        GrammarError: an unknown axis.
        GenerationError: words that the generator never learned.
    """

    def __init__(
        self,
        evaluator: StateEvaluator,
        goal: Goal,
        names: Sequence[str],
        source: str | Path | Grammar | None = None,
    ) -> None:
        narrow = evaluator.grammar
        if own := [name for name in names if name in narrow.axis_names]:
            raise AgentError(
                f"--vary {own[0]}: grammar {narrow.name!r} has this axis itself, so that the search"
                " keeps its value; name an axis of a wider grammar"
            )
        wide = _wider_grammar(narrow, names, source)
        self._evaluator = StateEvaluator(
            *(wide, evaluator.generator, evaluator.perception, evaluator.store),
            evaluator.generation_seed,
        )
        self._evaluator.counts = evaluator.counts
        self._wider, self._goal = WiderGrammar(narrow, self._evaluator.grammar), goal
        self._axes = tuple(self._wider.wide.axis_index(name) for name in names)
        self._values = self._combinations()

    def look_at(self, images: Sequence[Seeded]) -> list[StateVisit]:
        """Return what is read in images of narrow states with seeds, each with other attributes."""
        states = [self._in_target(np.array(state)) for state, _ in images]
        for state in states:
            state[list(self._axes)] = next(self._values)
        readings = self._evaluator.readings(states, [seed for _, seed in images])
        return list(map(self._visit, images, states, readings))

    def frame(self, visit: StateVisit) -> Frame:
        """Return a visit of `images` with its prompt, image and attributes."""
        wide, state = self._wider.wide, np.array(visit.attributes)
        seeded = self._evaluator.with_seed(visit.seed or 0)
        words = {wide.axes[i].name: wide.axes[i].values[visit.attributes[i]] for i in self._axes}
        return Frame(visit, wide.decode(state), seeded.picture(state), words)

    def _visit(self, image: Seeded, wide_state: NDArray[np.int64], reading: Reading) -> StateVisit:
        state, seed = image
        meant = self._wider.labels(self._goal.reading.values)
        return replace(
            visit_of(self._goal, state, seed, reading),
            matches=bool(np.array_equal(reading.values[meant >= 0], meant[meant >= 0])),
            attributes=tuple(wide_state.tolist()),
        )

    def _in_target(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a state in the wider grammar, its other axes as CLIP reads them in the target."""
        labels, spec = self._wider.labels(state), self._evaluator.spec
        labels[list(self._axes)] = 0
        if (labels >= 0).all():
            return labels
        embedding = self._goal.reading.embedding
        labels[list(self._axes)] = -1
        found = zero_shot(self._wider.wide, embedding, labels, spec.embed, spec.logit_scale)
        return found.values

    def _combinations(self) -> Iterator[NDArray[np.int64]]:
        """Yield combinations of values, each once in random order before any comes again."""
        sizes = [len(self._wider.wide.axes[axis]) for axis in self._axes]
        n, random = math.prod(sizes), np.random.default_rng(self._evaluator.generation_seed)
        while True:
            small = n <= _MOST_SHUFFLED
            order = random.permutation(n) if small else random.integers(n, size=_MOST_SHUFFLED)
            for number in order.tolist():
                yield np.array(np.unravel_index(number, sizes), np.int64)


def _wider_grammar(
    narrow: Grammar, names: Sequence[str], source: str | Path | Grammar | None
) -> Grammar:
    if source is not None:
        other = load_grammar(source)
        if is_wider(narrow, other):
            return other
        extended = extend_grammar(narrow, other, names)
        return compile_grammar(extended.source, f"{narrow.name} with {', '.join(names)}")
    shipped = (load_grammar(name) for name in shipped_grammars())
    wider = [g for g in shipped if set(names) <= set(g.axis_names) and is_wider(narrow, g)]
    if not wider:
        raise AgentError(
            f"--vary {', '.join(names)}: no shipped grammar says all that {narrow.name!r} says and"
            " has these axes; name a grammar that has them with --vary-in"
        )
    return min(wider, key=lambda each: each.n_states)
