"""Append phrases of one grammar to the sentences of another."""

from collections.abc import Sequence

from rldf_gym.grammar.axes import Axis
from rldf_gym.grammar.builders.lark_file import BuiltGrammar, Vocabulary, write_grammar
from rldf_gym.grammar.builders.restriction import join_texts, vocabulary_of
from rldf_gym.grammar.faults import GrammarError
from rldf_gym.grammar.grammar import Grammar

Phrase = list[tuple[tuple[str, ...], Axis | None]]
"""Places of a sentence with the axis that each is, None for fixed text."""


def extend_grammar(grammar: Grammar, other: Grammar, names: Sequence[str]) -> BuiltGrammar:
    """Write a grammar whose sentences end with phrases of another that have axes of these names.

    The other sentence is cut before each fixed text that an axis follows: "a photo of a" emotion
    age, "with a" colour "umbrella", "in" city. A phrase comes with all its axes.

    Args:
        grammar: Its sentences come first, unchanged.
        other: The axes' grammar.
        names: Of axes in any phrase of the other sentence but the first.

    Raises:
        GrammarError: An axis that there is not, or that only the first phrase has; or a grammar
            that writes its own blanks.
    """
    if not (grammar.template.separator and other.template.separator):
        raise GrammarError(
            f"{grammar.name!r} and {other.name!r} can be joined only if both ignore blanks"
        )
    phrases = _phrases(other)[1:]
    chosen: list[Phrase] = []
    for name in names:
        axis = other.axis(name)
        phrase = next((each for each in phrases if any(a is axis for _, a in each)), None)
        if phrase is None:
            raise GrammarError(
                f"axis {name!r} of grammar {other.name!r} begins its sentence, so that it cannot be"
                " appended to another"
            )
        if phrase not in chosen:
            chosen.append(phrase)
    whole = [part for phrase in (_places(grammar), *chosen) for part in phrase]
    sentence: list[str | Vocabulary] = [
        texts[0] if axis is None else vocabulary_of(axis, texts, range(len(axis)), " ")
        for texts, axis in whole
    ]
    head = [f"The grammar {grammar.name} with {', '.join(names)} of {other.name}."]
    return write_grammar(list(join_texts(sentence)), head, grammar.name, separated=True)


def _phrases(grammar: Grammar) -> list[Phrase]:
    places = _places(grammar)
    found: list[Phrase] = [[]]
    for place, after in zip(places, [*places[1:], None], strict=True):
        if place[1] is None and after is not None and after[1] is not None and found[-1]:
            found.append([])
        found[-1].append(place)
    return found


def _places(grammar: Grammar) -> Phrase:
    axes = iter(grammar.axes)
    return [(t, next(axes) if len(t) > 1 else None) for t in grammar.template.places]
