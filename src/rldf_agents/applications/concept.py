"""How likely a picture shows a concept, such as a style, by CLIP."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from rldf_agents.applications.wider_grammar import WiderGrammar, is_wider
from rldf_agents.errors import AgentError
from rldf_gym.generation.vocabulary import read_known_words, words_in
from rldf_gym.grammar import Grammar, compile_grammar, load_grammar, shipped_grammars
from rldf_gym.grammar.builders import restrict_grammar
from rldf_gym.perception import Perception, PerceptionSpec, Reading, zero_shot

_PHOTO = re.compile(r"^(?:a|an|the) (?:photo|picture|image) of ", re.IGNORECASE)


@dataclass(frozen=True)
class Concept:
    """Words for what a picture may show beside what a grammar describes.

    Attributes:
        words: as the user gave them.
        grammar: describes the rest of a picture, without these words.
        wider: where some grammar has the words as a value of an axis: that grammar; else None.
        axis: number of this axis in the wider grammar.
        label: of the words on this axis.
    """

    words: str
    grammar: Grammar
    wider: WiderGrammar | None = None
    axis: int = 0
    label: int = 0

    @property
    def counterparts(self) -> tuple[str, ...]:
        """What the words are compared with: the axis's other values, or the sentence without."""
        if self.wider is None:
            return (f"no {self.words}",)
        values = self.wider.wide.axes[self.axis].values
        return tuple(value or "(nothing)" for value in values if value != values[self.label])

    @property
    def axis_name(self) -> str | None:
        """Name of the axis that has the words, None where there is none."""
        return None if self.wider is None else self.wider.wide.axis_names[self.axis]

    def probability(self, reading: Reading, spec: PerceptionSpec) -> float:
        """Return how likely a picture shows the concept, 0 to 1.

        A softmax of the perception's logit scale, which is calibrated where the perception is,
        times the cosines of the picture with sentences that describe the rest of it and differ in
        the concept alone: they say each value of the concept's axis, or have the words and lack
        them. The wider grammar's other axes are read by CLIP first.

        Args:
            reading: of the picture, in the concept's grammar.
            spec: of the perception that read it.
        """
        embedding = reading.embedding
        if self.wider is not None:
            values = self.wider.labels(reading.values)
            values[self.axis] = -1
            found = zero_shot(self.wider.wide, embedding, values, spec.embed, spec.logit_scale)
            return float(found.probabilities[self.axis][self.label])
        prompt = self.grammar.decode(reading.values)
        texts = spec.embed([prompt, *_sentences_with(self.words, prompt)])
        without, together = texts[0], texts[1:].sum(axis=0)
        together /= np.linalg.norm(together)
        return float(1 / (1 + np.exp(spec.logit_scale * ((without - together) @ embedding))))


def _sentences_with(words: str, prompt: str) -> Iterator[str]:
    """Yield sentences whose mean embedding stands for both (Radford et al. 2021, §3.1.4)."""
    yield f"{prompt}, {words}"
    if opening := _PHOTO.match(prompt):
        yield f"a {words} of {prompt[opening.end() :]}"


def find_concept(words: str, grammar: Grammar, perception: Perception) -> Concept:
    """Return a concept that is to vanish from what a grammar says, and how to score it.

    If the grammar itself has the words, the concept's grammar is what is left of it without them.
    The axis to compare the words on is looked for in the grammar, then in the shipped grammars
    that are wider than it, the smallest first.

    Args:
        words: such as "painting".
        grammar: of the target.
        perception: scores the concept.

    Raises:
        AgentError: no words, or words that the perception's CLIP model never learned.
        GrammarError: the grammar says nothing else.
    """
    asked = " ".join(words.split())
    vocabulary = getattr(perception.clip, "vocabulary", None)
    known = None if vocabulary is None else read_known_words(vocabulary)
    if not any(map(str.isalnum, asked)):
        raise AgentError(f"--concept {words!r} has no words: give some, such as painting")
    if known is not None and (unknown := sorted(set(words_in(asked)) - known)):
        raise AgentError(
            f"--concept {asked!r}: the CLIP model of this perception never learned"
            f" {', '.join(map(repr, unknown))}; use words that it knows, or models that read any"
            " text, such as --generator sd14"
        )
    for wide in itertools.chain([grammar], _wider_grammars(grammar, asked)):
        for number, axis in enumerate(wide.axes):
            values = [value.casefold() for value in axis.values]
            if asked.casefold() in values and _all_known(axis.values, known):
                label = values.index(asked.casefold())
                rest = _without(grammar, number, label) if wide is grammar else grammar
                return Concept(asked, rest, WiderGrammar(rest, wide), number, label)
    return Concept(asked, grammar)


def _wider_grammars(grammar: Grammar, words: str) -> Iterator[Grammar]:
    found = [load_grammar(name) for name in shipped_grammars(words)]
    found = [each for each in found if each.source != grammar.source and is_wider(grammar, each)]
    yield from sorted(found, key=lambda each: each.n_states)


def _all_known(values: Collection[str], known: Collection[str] | None) -> bool:
    return known is None or set(words_in(" ".join(values))) <= set(known)


def _without(grammar: Grammar, axis: int, label: int) -> Grammar:
    """Return a grammar without one value of an axis."""
    labels = [list(range(len(each))) for each in grammar.axes]
    labels[axis].remove(label)
    built = restrict_grammar(grammar, labels)
    words = grammar.axes[axis].values[label]
    return compile_grammar(built.source, f"{grammar.name} without {words}")
