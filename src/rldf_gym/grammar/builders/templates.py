"""Grammars from prompt templates in the syntax of dynamicprompts: ``{a|b}`` and ``__wildcard__``.

Each choice of the template is one axis. Choices inside a choice are written out, so that
``{cat|{big|small} dog}`` is one axis of three values. The wildcard ``__animal__`` is the list in
``animal.txt``, one value per line, which may hold choices too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, islice, product
from pathlib import Path
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from rldf_gym.grammar.builders.lark_file import (
    MOST_WORDS,
    BuiltGrammar,
    Vocabulary,
    check_size,
    plain_word,
    write_grammar,
)
from rldf_gym.grammar.faults import GrammarError

_SYNTAX = Lark(
    r"""
    start: (TEXT | BAR | choice | WILDCARD)*
    choice: "{" SAMPLER? option (BAR option)* "}"
    option: WEIGHT? (TEXT | choice | WILDCARD)*

    BAR: "|"
    SAMPLER.3: /[~!@]/
    WEIGHT.3: /\s*\d+(\.\d*)?::/
    WILDCARD.2: /__[~!@]?\w((?!__)[\w\/ -])*__/
    TEXT: /((?!__)[^{}|])+/
    """,
    parser="lalr",
    maybe_placeholders=False,
)
_COMMENT = re.compile(r"#[^\n]*|/\*.*?\*/", re.DOTALL)
_COMMAND = re.compile(r"[$%]\{[^}]*\}?|\{[^{}|]*\$\$|__[^_]*[*(][^_]*__")
"""Variables, wrappers, several values at once, patterns and parameters of wildcards."""


def grammar_from_template(
    template: str, wildcards: Path | None = None, name: str = "template"
) -> BuiltGrammar:
    """Make a grammar of which every prompt is one that the template can give.

    Weights (``2::red``) and samplers (``{~a|b}``) say how often a value is drawn; a grammar holds
    each value once, so they are left out.

    Args:
        template: Such as ``"a {red|blue} __animal__ in {park|garden}"``.
        wildcards: The folder with the wildcards' ``.txt`` files.
        name: What messages call the grammar.

    Raises:
        GrammarError: A template that cannot be read, a wildcard without a file or that uses itself,
            syntax that is no plain choice (``{2$$a|b}``, ``${variable}``), or prompts that can be
            chosen in two ways.
    """
    try:
        return _Reader(wildcards).grammar(template, name)
    except RecursionError as error:
        raise GrammarError(f"template {name!r} nests its choices too deeply") from error


class _Reader:
    """Reads one template; remembers wildcards, and which of them are being read."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lists: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._notes: list[str] = []

    def grammar(self, template: str, name: str) -> BuiltGrammar:
        sentence: list[str | Vocabulary] = []
        numbers = count(1)
        for part in _parsed(template, name).children:
            if isinstance(part, Tree):
                sentence.append(self._axis(f"choice_{next(numbers)}", part))
            elif part.type == "WILDCARD":
                sentence.append(self._axis(_title(part), Tree("choice", [Tree("option", [part])])))
            else:
                sentence.append(str(part))
        head = [f"Made from the template: {plain_word(template)}"]
        return write_grammar(sentence, head, name, self._notes)

    def _axis(self, name: str, choice: Tree[Any]) -> Vocabulary:
        """A choice as an axis; where there are several options, a wildcard is a group."""
        members: list[str | Vocabulary] = []
        known: set[str] = set()
        options = _options(choice)
        for parts in options:
            values = self._new(self._values(parts), known, name)
            if len(options) > 1 and len(values) > 1 and _is_wildcard(parts):
                members.append(Vocabulary(_title(parts[0]), tuple(values)))
            else:
                members += values
        return Vocabulary(name, tuple(members))

    def _new(self, values: Iterable[str], known: set[str], axis: str) -> list[str]:
        """The values that an axis does not have yet."""
        new: list[str] = []
        for value in values:
            word = plain_word(value)
            if word in known:
                self._notes.append(f"{axis!r} repeats {word!r}; it is kept once")
            else:
                known.add(word)
                new.append(value)
                check_size(axis, len(known))
        return new

    def _values(self, parts: Sequence[Any]) -> Iterator[str]:
        """Every text that a row of parts can say, with its blanks."""
        rows = (list(islice(self._texts(part), MOST_WORDS + 1)) for part in parts)
        return ("".join(row) for row in product(*rows))

    def _texts(self, part: Any) -> Iterator[str]:
        if isinstance(part, Tree):
            for parts in _options(part):
                yield from self._values(parts)
        elif part.type == "WILDCARD":
            yield from self._wildcard(_title(part))
        else:
            yield str(part)

    def _wildcard(self, title: str) -> list[str]:
        if title in self._open:
            circle = " -> ".join([*self._open[self._open.index(title) :], title])
            raise GrammarError(f"the wildcard __{title}__ uses itself ({circle})")
        if title not in self._lists:
            self._open.append(title)
            lines = (line.strip() for line in self._file(title).splitlines())
            values = (
                text
                for line in lines
                if line and not line.startswith("#")
                for text in self._values(_parsed(line, f"__{title}__").children)
            )
            self._lists[title] = list(islice(values, MOST_WORDS + 1))
            self._open.pop()
        return self._lists[title]

    def _file(self, title: str) -> str:
        if self._folder is None:
            raise GrammarError(f"the template uses __{title}__; name the folder of its wildcards")
        path = self._folder / f"{title}.txt"
        try:
            return path.read_text(encoding="utf-8-sig")
        except FileNotFoundError as error:
            found = (each.relative_to(self._folder) for each in self._folder.rglob("*.txt"))
            known = ", ".join(sorted(each.with_suffix("").as_posix() for each in found))
            raise GrammarError(
                f"no wildcard __{title}__: there is no {path}; known: {known or 'none'}"
            ) from error
        except UnicodeDecodeError as error:
            raise GrammarError(f"{path}: not UTF-8 text; save it as UTF-8") from error
        except OSError as error:
            raise GrammarError(f"{path}: cannot be read: {error.strerror}") from error


def _parsed(template: str, name: str) -> Tree[Any]:
    text = _COMMENT.sub("", template)
    if command := _COMMAND.search(text):
        raise GrammarError(
            f"template {name!r}: {command[0]!r} is no plain choice; a grammar holds {{a|b}} and"
            " __wildcard__ only, so write the choices out"
        )
    try:
        return _SYNTAX.parse(text)
    except UnexpectedInput as error:
        raise GrammarError(
            f"template {name!r} has a brace or __ without its partner\n\n{error.get_context(text)}"
        ) from error


def _options(choice: Tree[Any]) -> list[list[Any]]:
    """The parts of each option of a choice, without weights."""
    return [
        [part for part in option.children if isinstance(part, Tree) or part.type != "WEIGHT"]
        for option in choice.children
        if isinstance(option, Tree)
    ]


def _is_wildcard(parts: Sequence[Any]) -> bool:
    return len(parts) == 1 and isinstance(parts[0], Token) and parts[0].type == "WILDCARD"


def _title(wildcard: Token) -> str:
    return wildcard.strip("_~!@ ")
