"""The words that a rule can say: a vocabulary tree, laid out depth first.

Depth first keeps siblings neighbours, which is the semantic locality of paper §3: "park" and
"garden" under ``outdoor`` end up closer than "park" and "kitchen".
"""

import re
from dataclasses import replace
from itertools import chain

from lark import Token, Tree
from lark.grammar import NonTerminal, Terminal

from rldf_gym.grammar.axes import Phrase
from rldf_gym.grammar.source import LarkTree, RuleFile

_LONGEST_TEXT = 10_000
"""Characters; rules of fixed text can double each other, and no text encoder reads this much."""

_ESCAPED = re.compile(r"\\([\"\\])")
_UNPLAIN = re.compile(r"(?<!\\)(?:\\\\)*\\[^\"\\]")
"""A backslash before anything else than a quotation mark or a backslash."""


class Vocabulary:
    """Looks up what each rule of a file can say; every rule is laid out once."""

    def __init__(self, file: RuleFile) -> None:
        self._file = file
        self._known: dict[str, tuple[Phrase, ...] | None] = {}

    def of_rule(self, name: str) -> tuple[Phrase, ...] | None:
        """All that a rule or a named terminal can say, or None if it is more than a list of words.

        Raises:
            GrammarError: One of its values stands twice, or is not plain words.
        """
        if name not in self._known:
            phrases = self.of_tree(self._file.definition(name), name)
            self._known[name] = None if phrases is None else self.distinct(phrases, name)
        return self._known[name]

    def of_tree(self, tree: LarkTree, rule: str) -> tuple[Phrase, ...] | None:
        """All that a piece of a rule can say, or None if it is more than a list of words."""
        match tree.data, tree.children:
            case "expansions", alternatives:
                return _concatenated([self.of_tree(each, rule) for each in alternatives])
            case "alias", [inner, NonTerminal() as alias]:
                return _aliased(self.of_tree(inner, rule), alias.name)
            case "expansion", [only]:
                return self.of_tree(only, rule)
            case "expansion", parts:
                return self._row([self.of_tree(part, rule) for part in parts], rule)
            case ("maybe", [inner]) | ("expr", [inner, "?"]):
                return _concatenated([self._row([], rule), self.of_tree(inner, rule)])
            case "value", [NonTerminal() | Terminal() as below]:
                return _grouped(self.of_rule(below.name), below.name)
            case "value", [Tree(data="literal", children=[Token() as literal])]:
                return (self._literal(literal, rule),)
            case "value", [Tree() as nested]:  # a terminal inside a terminal
                return self.of_tree(nested, rule)
            case "expr", [_, operator, *_]:
                raise self._file.fault(
                    rule,
                    f"repeats words with {operator!s}, and an axis is a list of values with an"
                    " end; write every choice out",
                )
        raise self._file.fault(
            rule, "uses a range or a template; write every choice out as words in double quotes"
        )

    def join(self, texts: list[str], rule: str) -> str:
        """Texts in a row, set apart as the file says.

        Raises:
            GrammarError: The text is too long for any model to read.
        """
        text = self._file.separator.join(filter(None, texts))
        if len(text) > _LONGEST_TEXT:
            raise self._file.fault(
                rule, f"says more than {_LONGEST_TEXT} characters at once; write shorter phrases"
            )
        return text

    def distinct(self, phrases: tuple[Phrase, ...], axis: str) -> tuple[Phrase, ...]:
        """The same phrases, once it is sure that no value stands twice.

        Raises:
            GrammarError: A value stands twice; names both lines.
        """
        lines: dict[str, int] = {}
        for phrase in phrases:
            if phrase.value in lines:
                raise self._file.fault(
                    axis,
                    f"has the value {phrase.value!r} twice (lines {lines[phrase.value]} and"
                    f" {phrase.line}), so two states would share a prompt; keep one of them",
                    phrase.line,
                )
            lines[phrase.value] = phrase.line
        return phrases

    def _row(self, parts: list[tuple[Phrase, ...] | None], rule: str) -> tuple[Phrase, ...] | None:
        """Words in a row are one phrase, as long as none of them is a choice."""
        words = [part[0] for part in parts if part is not None and len(part) == 1]
        if len(words) < len(parts):
            return None
        text = self.join([word.text for word in words], rule)
        line = words[0].line if words else self._file.line(rule)
        return (Phrase(text, text, None, (), line),)

    def _literal(self, literal: Token, rule: str) -> Phrase:
        word = _ESCAPED.sub(r"\1", literal[1:-1])
        if literal.type != "STRING" or not literal.endswith('"') or _UNPLAIN.search(literal):
            complaint = (
                f"holds {literal}, which is not one plain spelling; words stand in double quotes,"
                ' without patterns or flags, and a backslash only before " or \\'
            )
        elif not word:
            complaint = 'holds an empty word ""; leave the alternative empty or use [brackets]'
        elif self._file.separator and " ".join(word.split()) != word:
            complaint = (
                f"holds {literal} with blanks that %ignore skips; write one blank between words,"
                " and none around them"
            )
        else:
            return Phrase(word, word, None, (), literal.line or 1)
        raise self._file.fault(rule, complaint, literal.line)


def _concatenated(parts: list[tuple[Phrase, ...] | None]) -> tuple[Phrase, ...] | None:
    known = [part for part in parts if part is not None]
    return tuple(chain.from_iterable(known)) if len(known) == len(parts) else None


def _aliased(phrases: tuple[Phrase, ...] | None, alias: str) -> tuple[Phrase, ...] | None:
    """An alias names the class of every word under it that has none of its own."""
    if phrases is None:
        return None
    return tuple(replace(each, perceived=each.perceived or alias) for each in phrases)


def _grouped(phrases: tuple[Phrase, ...] | None, group: str) -> tuple[Phrase, ...] | None:
    if phrases is None:
        return None
    return tuple(replace(each, group=(group, *each.group)) for each in phrases)
