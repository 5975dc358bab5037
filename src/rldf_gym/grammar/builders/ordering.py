"""Put the values of an axis in an order that keeps those of like meaning together (paper §3).

Only the order of the alternatives in the file changes; names, groups, aliases and comments stay.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from rldf_gym.grammar.builders.lark_file import BuiltGrammar, rule_lines
from rldf_gym.grammar.builders.wordnet import WordNet
from rldf_gym.grammar.faults import GrammarError
from rldf_gym.grammar.grammar import Grammar, compile_grammar
from rldf_gym.grammar.locality import semantic_order
from rldf_gym.grammar.source import LarkTree, RuleFile, read_rules
from rldf_gym.grammar.vocabulary import Vocabulary

_PIECE = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\\n])*"i? | /(?!/)(?:\\.|[^/\\\n])+/[imslux]*)
    | (?P<comment>//[^\n]*) | (?P<end>\n(?!\s*(?://[^\n]*\s*)*\|))
    | (?P<bar>\|) | (?P<open>[(\[]) | (?P<close>[)\]])
    """,
    re.VERBOSE,
)


def order_axis(
    grammar: Grammar, axis: str, embed: Callable[[Sequence[str]], npt.ArrayLike]
) -> BuiltGrammar:
    """Reorder an axis by the similarity of its values; groups stay together.

    An empty value stays first. See `semantic_order` for the order.

    Args:
        grammar: The grammar to change a copy of.
        axis: The name of the axis.
        embed: Gives the embeddings ``[n_values, d]`` of words, none of them zero.

    Raises:
        GrammarError: No such axis, embeddings without a direction, or a rule that cannot be
            rewritten: its alternatives hold comments, or ``%extend`` or ``%override`` defines it.
    """
    words = [value for value in grammar.axis(axis).values if value]
    table = np.asarray(embed(words), dtype=np.float64)
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), np.finfo(float).tiny)
    embeddings = dict(zip(words, unit, strict=True))
    file = read_rules(grammar.source, grammar.name)
    vocabulary = Vocabulary(file)
    source = grammar.source
    for rule, tree in dict(_rules_below(file, axis)).items():
        means = []
        for alternative in tree.children:
            phrases = vocabulary.of_tree(alternative, rule) or ()
            rows = [embeddings[each.value] for each in phrases if each.value]
            means.append(np.mean(rows, axis=0) if rows else None)
        source = _reordered(source, file, rule, _order(means))
    ordered = compile_grammar(source, grammar.name)
    moved = sum(
        one != other
        for one, other in zip(grammar.axis(axis).values, ordered.axis(axis).values, strict=True)
    )
    return BuiltGrammar(source, (f"{axis}: {moved} of {len(words)} values moved",))


def wordnet_embedding(wordnet: WordNet) -> Callable[[Sequence[str]], npt.ArrayLike]:
    """Return a function that embeds words by where their first meaning stands in WordNet.

    The function raises GrammarError for words that WordNet does not have.
    """

    def embed(words: Sequence[str]) -> npt.NDArray[np.float64]:
        senses = {word: wordnet.senses(word)[:1] for word in words}
        if unknown := [word for word, found in senses.items() if not found]:
            raise GrammarError(
                f"WordNet does not have {', '.join(map(repr, unknown[:10]))}"
                + (f" and {len(unknown) - 10} more" if len(unknown) > 10 else "")
                + "; order the axis by text embeddings instead, or reword them"
            )
        return wordnet.taxonomy.embeddings([[found[0].offset] for found in senses.values()])

    return embed


def _rules_below(file: RuleFile, rule: str) -> Iterator[tuple[str, LarkTree]]:
    """Every rule of a vocabulary tree that has a choice."""
    tree = file.rules[rule]
    if len(tree.children) > 1:
        yield rule, tree
    for value in tree.find_data("value"):
        name = getattr(value.children[0], "name", "")
        if name in file.rules:
            yield from _rules_below(file, name)


def _order(means: Sequence[npt.NDArray[np.float64] | None]) -> list[int]:
    """Labels of alternatives, those without words first."""
    empty = [label for label, mean in enumerate(means) if mean is None]
    known = [label for label, mean in enumerate(means) if mean is not None]
    table = np.array([means[label] for label in known], dtype=np.float64)
    return empty + [known[place] for place in semantic_order(table)]


def _reordered(source: str, file: RuleFile, rule: str, order: Sequence[int]) -> str:
    head = re.search(rf"^[!?]*{re.escape(rule)}\b[^:\n\"/|]*:", source, re.MULTILINE)
    if head is None:
        raise file.fault(rule, "is defined by %extend or %override; write it out as one rule")
    slices, end = _alternatives(source, head.end(), file, rule)
    lines = rule_lines(head[0], [slices[label] for label in order])
    return source[: head.start()] + "\n".join(lines) + source[end:]


def _alternatives(source: str, start: int, file: RuleFile, rule: str) -> tuple[list[str], int]:
    """The texts between the bars of a rule, and where its last line ends."""
    slices, depth, begin, end = [], 0, start, len(source)
    for piece in _PIECE.finditer(source, start):
        kind = piece.lastgroup
        if kind == "end" or (kind == "comment" and _ends_rule(source, piece.end())):
            end = piece.start()
            break
        if kind == "comment":
            raise file.fault(rule, "has comments between its alternatives; move them above it")
        depth += (kind == "open") - (kind == "close")
        if kind == "bar" and not depth:
            slices.append(source[begin : piece.start()])
            begin = piece.end()
    slices.append(source[begin:end])
    return [" ".join(_unbroken(each)) for each in slices], end


def _ends_rule(source: str, position: int) -> bool:
    return not re.match(r"\s*(?://[^\n]*\s*)*\|", source[position:])


def _unbroken(alternative: str) -> Iterator[str]:
    """The lines of an alternative."""
    return filter(None, (line.strip() for line in alternative.splitlines()))
