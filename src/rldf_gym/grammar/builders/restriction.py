"""Write the part of a grammar that has only some of its values."""

from collections.abc import Iterator, Sequence
from itertools import groupby, takewhile

from rldf_gym.grammar.axes import Axis
from rldf_gym.grammar.builders.lark_file import (
    AliasedWord,
    BuiltGrammar,
    Member,
    Vocabulary,
    write_grammar,
)
from rldf_gym.grammar.grammar import Grammar


def restrict_grammar(
    grammar: Grammar, labels: Sequence[Sequence[int]], head: Sequence[str] = ()
) -> BuiltGrammar:
    """Write a grammar whose prompts are those of another with only some of its values.

    An axis with one value left becomes fixed text, or nothing where that value is empty. Names of
    axes, groups, aliases and the comment at the top of the file, which may hold a licence, stay.

    Args:
        grammar: The grammar to write a part of.
        labels: For each axis ``[n_axes]``, the labels to keep, at least one, in ascending order.
        head: Lines of comment for the top of the file.

    Raises:
        GrammarError: No axis has two values left.
    """
    separator = grammar.template.separator
    axes = zip(grammar.axes, labels, strict=True)
    sentence: list[str | Vocabulary] = []
    for texts in grammar.template.places:
        part: str | Vocabulary = texts[0]
        if len(texts) > 1:
            axis, kept = next(axes)
            part = texts[kept[0]] if len(kept) == 1 else vocabulary_of(axis, texts, kept, separator)
        sentence.append(part)
    comment = takewhile(lambda line: line.startswith("//"), grammar.source.lstrip().splitlines())
    lines = [*head, *(line.removeprefix("//").strip() for line in comment)]
    if separator:
        sentence = list(join_texts(sentence))
    return write_grammar(sentence, lines, grammar.name, separated=bool(separator))


def vocabulary_of(
    axis: Axis, texts: Sequence[str], labels: Sequence[int], separator: str
) -> Vocabulary:
    """Return some values of an axis as they are in its sentence, with names, groups and aliases."""
    members: list[tuple[tuple[str, ...], Member]] = []
    for label in labels:
        text, seen = texts[label].removesuffix(separator), axis.classes[label]
        word = AliasedWord(text, seen) if text and seen != text else text
        members.append((axis.groups[label], word))
    tree = _tree(members)
    while len(tree) == 1 and isinstance(tree[0], Vocabulary):
        tree = tree[0].members
    return Vocabulary(axis.name.lower(), tree)


def _tree(members: Sequence[tuple[tuple[str, ...], Member]]) -> tuple[Member, ...]:
    """Return words, each with the names of its groups, as nested groups of at least two."""
    found: list[Member] = []
    for group, inside in groupby(members, key=lambda member: member[0][:1]):
        if not group:
            found += [word for _, word in inside]
            continue
        below = _tree([(names[1:], word) for names, word in inside])
        found += below if len(below) == 1 else [Vocabulary(group[0], below)]
    return tuple(found)


def join_texts(sentence: Sequence[str | Vocabulary]) -> Iterator[str | Vocabulary]:
    """Yield the parts of a sentence, neighbouring texts as one."""
    text = ""
    for part in sentence:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
        yield part
        text = ""
    if text:
        yield text
