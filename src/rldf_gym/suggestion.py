"""Make a small grammar for one picture from what a large one says about it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.factory import make_evaluator, make_models
from rldf_gym.generation import Generator, LimitedVocabulary
from rldf_gym.generation.vocabulary import read_known_words, words_in
from rldf_gym.goal import Goal, Target, infer_goal
from rldf_gym.grammar import Grammar, GrammarError, compile_grammar, load_grammar
from rldf_gym.grammar.builders import AxisSelection, restrict_grammar, select_values
from rldf_gym.perception import Perception, PerceptionSpec, clip_reading

MOST_STATES = 10_000
"""States of a suggested grammar."""

_SHARE = 50
"""A suggested grammar has at most this part of the world's states, or two values an axis."""

_SECOND_OPINION = 0.25
"""Weight of CLIP's reading beside the one by detector and scene classifier."""

_OTHERS_SHOWN = 2
_LEFT_OUT = "left out"


class SuggestionError(RLDFError):
    """A picture about which a world says nothing."""


class ValueRow(NamedTuple):
    """One line of the table that explains a suggestion.

    Attributes:
        axis: name of the axis.
        value: one of its values, "" for nothing.
        probability: as read in the picture.
        outcome: what became of the value: kept, fixed, or left out.
    """

    axis: str
    value: str
    probability: float
    outcome: str


@dataclass(frozen=True, eq=False)
class Suggestion:
    """A small grammar for one picture.

    Attributes:
        grammar: its `source` is the file to write.
        world: the grammar that the picture was read in, with the words that the models know.
        axes: what is kept of each axis of the world.
        goal: what the picture means in the world.
    """

    grammar: Grammar
    world: Grammar
    axes: tuple[AxisSelection, ...]
    goal: Goal

    def rows(self) -> list[ValueRow]:
        """Return all kept values of every axis and the most probable others, in that order."""
        rows = []
        for each in self.axes:
            ranked = (-each.probabilities).argsort(kind="stable").tolist()
            others = [label for label in ranked if label not in each.labels][:_OTHERS_SHOWN]
            rows += [
                ValueRow(
                    each.axis.name,
                    each.axis.values[label],
                    float(each.probabilities[label]),
                    each.outcome if label in each.labels else _LEFT_OUT,
                )
                for label in ranked
                if label in each.labels or label in others
            ]
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the suggestion as JSON values, with every row of `rows`."""
        return {
            "world": self.world.name,
            "world_states": self.world.n_states,
            "states": self.grammar.n_states,
            "prompt": self.goal.prompt,
            "axes": [
                {
                    "axis": each.axis.name,
                    "kept": len(each.labels),
                    "values": len(each.axis),
                    "probability": round(each.kept_probability, 4),
                    "entropy": round(each.entropy, 4),
                    "says_nothing": each.says_nothing,
                }
                for each in self.axes
            ],
            "rows": [
                {
                    **row._asdict(),
                    "probability": round(row.probability, 4),
                    "kept": row.outcome != _LEFT_OUT,
                }
                for row in self.rows()
            ],
            "source": self.grammar.source,
        }


def suggest_grammar(
    target: Target | None,
    world: str | Path | Grammar | None = None,
    top: int = 8,
    generator: str | Generator = "embedded",
    perception: str | Path | Perception = "auto",
    store: str | Path | None = "default",
    device: str | None = None,
) -> Suggestion:
    """Read a picture in a large grammar and keep what it may show; see `select_values`.

    Values with words that the generator or the perception's CLIP model never learned are left out
    first. Deterministic; generates nothing.

    Args:
        target: the picture; None takes the one that ships with the package.
        world: the large grammar; None takes `default_world`.
        top: most values of an axis, at least 2.
        generator: what will generate the grammar's images.
        perception: what reads the picture; "auto" takes the generator's.
        store: as in ``gym.make("RLDF-v0")``.
        device: of the models, likewise.

    Raises:
        SuggestionError: the world has no words for what the picture shows, or ``top`` is too small.
        RLDFError: an argument that cannot be used; the message names it and how to fix it.

    Warns:
        LowConfidenceWarning, OutsideWarning, LowSimilarityWarning: as `infer_goal`.
    """
    if isinstance(top, bool) or not isinstance(top, int) or top < 2:
        raise SuggestionError(f"top is {top!r}: give a whole number of at least 2")
    made, models = make_models(generator, perception, device)
    whole = load_grammar(default_world(made) if world is None else world)
    whole = _with_known_words(whole, made, models)
    evaluator = make_evaluator(whole, made, models, store, device=device)
    goal = infer_goal(evaluator, target)
    if not _says_something(goal):
        raise SuggestionError(
            f"no grammar suggested: the models have no words for what the picture shows (nearest:"
            f" {goal.prompt!r}, similarity {goal.similarity:.2f}). Use models that know more, such"
            " as --generator sd14, or write a grammar"
        )
    axes = select_values(evaluator.grammar, _pooled(goal, evaluator.spec), top, most_states(whole))
    head = [
        f"Made for one picture, which reads as {goal.prompt!r},",
        f"from the grammar {whole.name}:",
    ]
    built = restrict_grammar(whole, [each.labels for each in axes], head)
    return Suggestion(compile_grammar(built.source, "suggested"), whole, axes, goal)


def _says_something(goal: Goal) -> bool:
    """Return whether the models have words for a picture; a sketch is unlike all of its sentences.

    Where nothing measures how far outside a picture is, its similarity has to do.
    """
    return goal.described if goal.outside_score is None else not goal.outside


def _pooled(goal: Goal, spec: PerceptionSpec) -> list[NDArray[np.float32]]:
    """Return the probabilities of every axis by its reader, pooled with those by CLIP.

    A linear opinion pool (Stone 1961): where the two disagree, the picture is unsure.
    """
    embedding = goal.reading.embedding
    second = clip_reading(goal.grammar, embedding, spec.embed, spec.logit_scale).probabilities
    return [
        (1 - _SECOND_OPINION) * one + _SECOND_OPINION * other
        for one, other in zip(goal.reading.probabilities, second, strict=True)
    ]


def most_states(world: Grammar) -> int:
    """Return the most states of a grammar suggested from a world."""
    least: int = 2 ** min(world.n_axes, MOST_STATES.bit_length() - 1)
    return min(MOST_STATES, max(world.n_states // _SHARE, least))


def default_world(generator: Generator) -> str:
    """Return the name of the largest shipped grammar that a generator has words for."""
    return "world" if _known_words(generator) is None else "embedded"


def _known_words(generator: Generator) -> frozenset[str] | None:
    return generator.known_words if isinstance(generator, LimitedVocabulary) else None


def _with_known_words(grammar: Grammar, generator: Generator, perception: Perception) -> Grammar:
    vocabulary = getattr(perception.clip, "vocabulary", None)
    known = [_known_words(generator), None if vocabulary is None else read_known_words(vocabulary)]
    limits = [words for words in known if words is not None]
    if not limits:
        return grammar
    words = frozenset.intersection(*limits)
    labels = [_labels_of(axis.values, words) for axis in grammar.axes]
    for axis, kept in zip(grammar.axes, labels, strict=True):
        if not kept:
            raise SuggestionError(
                f"the models know none of the words of axis {axis.name!r} in grammar"
                f" {grammar.name!r}: use models that read any text, such as --generator sd14, or"
                " the grammar embedded"
            )
    if [len(kept) for kept in labels] == grammar.nvec.tolist():
        return grammar
    try:
        return compile_grammar(restrict_grammar(grammar, labels).source, grammar.name)
    except GrammarError as error:
        raise SuggestionError(
            f"the models know too few words of grammar {grammar.name!r}: {error}"
        ) from error


def _labels_of(values: Sequence[str], known: Collection[str]) -> list[int]:
    return [label for label, value in enumerate(values) if set(words_in(value)) <= set(known)]
