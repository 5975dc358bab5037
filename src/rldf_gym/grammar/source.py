"""The rules of a grammar file as Lark reads them, with the lines they stand on."""

import graphlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from lark import Lark, Token, Tree
from lark.exceptions import LarkError, UnexpectedInput
from lark.grammar import NonTerminal
from lark.load_grammar import Grammar as LarkGrammar
from lark.load_grammar import GrammarBuilder

from rldf_gym.grammar.faults import GrammarError

LarkTree: TypeAlias = Tree[Any]
"""A piece of a rule: ``expansions``, ``alias``, ``expansion``, ``maybe``, ``expr`` or ``value``."""

_BLANKS = re.compile(r"""\"(?: |\\[tnrf])\"|/(?:\\[stnrf ]|[\[\]()|+*? ])+/""")
"""A Lark literal that can match nothing but blanks, such as ``" "`` or ``/[ \\t]+/``."""

_SUBJECT = re.compile(r"(?:Rule|Terminal) '?(\w+)'?")
"""The rule that a complaint of Lark's is about, where it has no better place."""

_ELSEWHERE = re.compile(r"^[ \t]*(%import[ \t]+\..*|%declare\b.*)", re.MULTILINE)
"""Directives that take rules from another file, or leave them to a program's own code."""


@dataclass(frozen=True)
class RuleFile:
    """A grammar file that Lark has read, not yet compiled into axes.

    Attributes:
        name: What messages call the grammar.
        source: The text of the file.
        rules: For each rule, its alternatives.
        terminals: For each named terminal, its definition.
        separator: The text between two words: ``" "`` if the file ignores blanks, else nothing.
        read: The file as Lark read it.
    """

    name: str
    source: str
    rules: Mapping[str, LarkTree]
    terminals: Mapping[str, LarkTree]
    separator: str
    read: LarkGrammar

    def line(self, rule: str) -> int:
        """The line, counted from 1, on which a rule is defined."""
        return line_of(self.source, rule)

    def definition(self, name: str) -> LarkTree:
        """Return what a rule or a named terminal is defined as.

        Raises:
            GrammarError: A terminal with words in a row or optional ones, whose blanks Lark would
                not skip, or one that is defined elsewhere.
        """
        if name in self.rules:
            return self.rules[name]
        tree = self.terminals.get(name)
        parts = () if tree is None else tuple(tree.iter_subtrees())
        in_a_row = any(part.data == "expansion" and len(part.children) > 1 for part in parts)
        if tree is None or in_a_row or any(part.data == "maybe" for part in parts):
            raise self.fault(
                name,
                "is a terminal that is more than a list of words; write a rule for it instead,"
                " with a name in small letters",
            )
        return tree

    def fault(self, rule: str, complaint: str, line: int | None = None) -> GrammarError:
        """The error that says what is wrong with a rule, and on which line."""
        where = self.line(rule) if line is None else line
        return GrammarError(f"grammar {self.name!r}, line {where}, rule {rule!r}: {complaint}")


def read_rules(source: str, name: str) -> RuleFile:
    """Let Lark read a grammar.

    Raises:
        GrammarError: Lark cannot read it, a symbol is unknown, it has no ``start``, it leaves rules
            to another file, or a rule leads back to itself.
    """
    if not source.strip():
        raise GrammarError(f"grammar {name!r} is empty: give it at least a rule named start")
    if found := _ELSEWHERE.search(source):
        line = source.count("\n", 0, found.start(1)) + 1
        raise GrammarError(
            f"grammar {name!r}, line {line}: {found[1].strip()!r} leaves words to other files;"
            " a grammar is one file, so that its fingerprint covers all of it: write them out here"
        )
    builder = GrammarBuilder()
    try:
        builder.load_grammar(source, name)
        read = builder.build()
    except (LarkError, OSError) as error:
        raise GrammarError(_lark_complaint(source, name, error)) from error
    terminals = {str(term): tree for term, (tree, _priority) in read.term_defs}
    rules = {str(rule): tree for rule, _parameters, tree, _options in read.rule_defs}
    ignored = [terminals[term] for term in read.ignore]
    file = RuleFile(name, source, rules, terminals, _separator(name, ignored), read)
    if "start" not in rules:
        raise GrammarError(f"grammar {name!r} has no rule named start: every sentence begins there")
    _reject_recursion(file)
    return file


def check_usable_by_lark(file: RuleFile) -> None:
    """Have Lark compile the file as it stands, rules and terminals.

    The parser's own tables would take as long again and reject nothing more.

    Raises:
        GrammarError: Lark rejects the file.
    """
    try:
        Lark(file.read, parser=None, lexer="basic")
    except (LarkError, AssertionError) as error:
        raise GrammarError(_lark_complaint(file.source, file.name, error)) from error


def line_of(source: str, rule: str) -> int:
    """The line, counted from 1, on which a rule or terminal is defined (its last definition)."""
    head = rf"^[ \t]*(?:%(?:override|extend)[ \t]+)?[!?]*{re.escape(rule)}\b[^:\n\"/|]*:"
    starts = [found.start() for found in re.finditer(head, source, re.MULTILINE)]
    return source.count("\n", 0, starts[-1]) + 1 if starts else 1


def _lark_complaint(source: str, name: str, error: Exception) -> str:
    """Lark's own words, with the line where Lark names a rule only."""
    words = str(error)
    if isinstance(error, OSError):
        words = f"%import of {error.filename!r}, which is not one of Lark's own grammars"
    elif isinstance(error, UnexpectedInput):
        words = f"{words}\n\n{error.get_context(source)}"
    culprit = re.search(r"\(in (?:rule|terminal) (\w+)\)", words) or _SUBJECT.match(words)
    if culprit is None:
        return f"grammar {name!r} cannot be read: {words}"
    return f"grammar {name!r}, line {line_of(source, culprit[1])}, rule {culprit[1]!r}: {words}"


def _separator(name: str, ignored: list[LarkTree]) -> str:
    separator = ""
    for literal in (token for tree in ignored for token in _tokens(tree, "STRING", "REGEXP")):
        if not _BLANKS.fullmatch(literal):
            raise GrammarError(
                f"grammar {name!r}, line {literal.line}: %ignore {literal} would let one prompt be"
                ' written in several ways; ignore blanks only, as in %ignore " "'
            )
        try:
            if re.fullmatch(literal[1:-1], " "):
                separator = " "
        except re.error as error:
            raise GrammarError(
                f"grammar {name!r}, line {literal.line}: %ignore {literal} is no pattern: {error}"
            ) from error
    return separator


def _tokens(tree: LarkTree, *kinds: str) -> Iterator[Token]:
    return tree.scan_values(lambda leaf: isinstance(leaf, Token) and leaf.type in kinds)


def _reject_recursion(file: RuleFile) -> None:
    uses = {
        rule: {
            value.children[0].name
            for value in tree.find_data("value")
            if isinstance(value.children[0], NonTerminal)
        }
        for rule, tree in file.rules.items()
    }
    try:
        graphlib.TopologicalSorter(uses).prepare()
    except graphlib.CycleError as error:
        circle = [str(rule) for rule in reversed(error.args[1])]
        raise file.fault(
            circle[0],
            f"leads back to itself ({' -> '.join(circle)}), so its sentences never end;"
            " take the circle apart",
        ) from error
