"""Write vocabulary trees and a sentence as the text of a ``.lark`` file that people can edit."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TypeAlias

from rldf_gym.grammar.faults import GrammarError
from rldf_gym.grammar.grammar import compile_grammar

MOST_WORDS = 10_000
"""Values of one axis that a builder writes; Lark needs about a second for 3,000."""

_LINE_LENGTH = 100
_BLANKS = re.compile("[\\s\u200b\u2060\ufeff]+")
"""Blanks of any width, zero too; joiners of zero width stay, as some scripts need them."""


@dataclass(frozen=True)
class AliasedWord:
    """A word that perception calls something else.

    Attributes:
        text: As the prompt shows it.
        alias: What perception calls it.
    """

    text: str
    alias: str


@dataclass(frozen=True)
class Vocabulary:
    """A named list of words and smaller vocabularies, in order: an axis or one of its groups.

    Attributes:
        name: What the rule is called; characters that Lark does not allow are replaced.
        members: Words as the prompt shows them, words with an alias, and groups of words; ``""``
            is left out of the prompt.
        comment: One line to write above the rule, or nothing.
    """

    name: str
    members: tuple["Member", ...]
    comment: str = ""

    def words(self) -> Iterator[str]:
        """Yield the words depth first, which is their order along the axis."""
        for member in self.members:
            if isinstance(member, Vocabulary):
                yield from member.words()
            else:
                yield member if isinstance(member, str) else member.text


Member: TypeAlias = str | AliasedWord | Vocabulary
"""What a vocabulary holds."""

Sentence: TypeAlias = Sequence[str | Vocabulary]
"""Fixed text, with the blanks around it, and axes, in the order of the prompt."""


@dataclass(frozen=True)
class BuiltGrammar:
    """The text of a grammar file, with notes about the input.

    Attributes:
        source: A Lark grammar that `compile_grammar` accepts.
        notes: What was left out or renamed, one sentence each, for the user.
    """

    source: str
    notes: tuple[str, ...] = ()


def write_grammar(
    sentence: Sentence,
    head: Sequence[str],
    name: str,
    notes: Iterable[str] = (),
    separated: bool | None = None,
) -> BuiltGrammar:
    """Write a grammar file and compile it, so that every file that a builder returns works.

    Where blanks surround every axis, the file ignores blanks and holds words only. Where an axis
    touches its neighbour, as in ``{red|blue}, {oil|acrylic} painting``, the texts of the file hold
    their own blanks.

    Args:
        sentence: Fixed text, with the blanks around it, and axes.
        head: Lines of comment for the top of the file, such as source and licence.
        name: What messages call the grammar.
        notes: What to report about the input.
        separated: Whether the file ignores blanks; None if blanks surround every axis.

    Raises:
        GrammarError: The sentence is not a grammar; see `compile_grammar`.
    """
    for part in sentence:
        if not isinstance(part, str):
            check_size(part.name, sum(1 for _ in part.words()))
    if separated is None:
        separated = _is_separated(sentence)
    rules = _Rules(plain_word if separated else _single_blanks)
    parts = (rules.literal(part) if isinstance(part, str) else rules.add(part) for part in sentence)
    start = " ".join(filter(None, parts))
    blocks = [
        "\n".join(f"// {' '.join(line.splitlines())}".rstrip() for line in head),
        f"start: {start}",
        *rules.blocks,
        '// One blank between words.\n%ignore " "' if separated else "",
    ]
    source = "\n\n".join(filter(None, blocks)) + "\n"
    compile_grammar(source, name)
    return BuiltGrammar(source, tuple(notes))


def _is_separated(sentence: Sentence) -> bool:
    """Whether a blank stands between every axis and its neighbours."""
    for left, right in pairwise(sentence):
        left_blank = isinstance(left, str) and left[-1:].isspace()
        right_blank = isinstance(right, str) and right[:1].isspace()
        if not (left_blank or right_blank or (isinstance(left, str) and isinstance(right, str))):
            return False
    return True


def check_size(axis: str, n_words: int) -> None:
    """Reject an axis that is too long to compile.

    Raises:
        GrammarError: More than `MOST_WORDS`.
    """
    if n_words > MOST_WORDS:
        raise GrammarError(
            f"{axis!r} holds more than {MOST_WORDS:,} words, too many for one axis; keep the most"
            " frequent ones, or make several grammars"
        )


def rule_name(text: str, fallback: str = "words") -> str:
    """Return a name that Lark allows for a rule, as close to the text as possible."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", ascii_text).strip("_")
    if not words:
        return fallback
    return words if words[0].isalpha() else f"{fallback}_{words}"


def plain_word(text: str) -> str:
    """Return a word with one blank between its parts and none around it, in Unicode's NFC.

    Raises:
        GrammarError: It holds a control character, which no prompt can show.
    """
    return _single_blanks(text).strip()


def _single_blanks(text: str) -> str:
    word = _BLANKS.sub(" ", unicodedata.normalize("NFC", text))
    if control := next((c for c in word if unicodedata.category(c) == "Cc"), None):
        raise GrammarError(f"the word {word!r} holds the control character {control!r}; remove it")
    return word


class _Rules:
    """The rules of a file while it is written; each gets a name of its own."""

    def __init__(self, cleaned: Callable[[str], str]) -> None:
        self.blocks: list[str] = []
        self._cleaned = cleaned
        self._names = {"start"}

    def literal(self, text: str) -> str:
        """Return how a rule spells a text; nothing for an empty one."""
        word = self._cleaned(text)
        escaped = word.replace("\\", r"\\").replace('"', r"\"")
        return f'"{escaped}"' if word else ""

    def add(self, axis: Vocabulary) -> str:
        """Write an axis with all its groups as one block; return how the sentence calls it."""
        lines: list[str] = []
        name = self._add(axis, lines)
        self.blocks.append("\n".join(lines))
        return name

    def _add(self, vocabulary: Vocabulary, lines: list[str]) -> str:
        name = self._unused(rule_name(vocabulary.name))
        if vocabulary.comment:
            lines.append(f"// {vocabulary.comment}")
        below: list[str] = []
        members = [self._member(member, below) for member in vocabulary.members]
        lines += rule_lines(f"{name}:", members)
        lines += below
        return name

    def _member(self, member: Member, below: list[str]) -> str:
        if isinstance(member, str):
            return self.literal(member)
        if isinstance(member, AliasedWord):
            return f"{self.literal(member.text)} -> {rule_name(member.alias)}"
        return self._add(member, below)

    def _unused(self, name: str) -> str:
        numbered = (f"{name}_{number}" for number in range(2, len(self._names) + 3))
        free = next(each for each in chain([name], numbered) if each not in self._names)
        self._names.add(free)
        return free


def rule_lines(head: str, alternatives: Sequence[str]) -> list[str]:
    """Return the lines of a rule; each line but the first begins with a bar."""
    lines = [head]
    for number, alternative in enumerate(alternatives):
        bar = " |" if number else ""
        addition = f"{bar} {alternative}" if alternative else bar
        if number and len(lines[-1]) + len(addition) > _LINE_LENGTH:
            lines.append(f"    | {alternative}".rstrip())
        else:
            lines[-1] += addition
    return lines
