"""Vocabulary trees from WordNet: a synset with all below it, or given words in their places."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rldf_gym.grammar.builders.lark_file import (
    BuiltGrammar,
    Member,
    Vocabulary,
    check_size,
    write_grammar,
)
from rldf_gym.grammar.builders.wordnet import Synset, WordNet
from rldf_gym.grammar.faults import GrammarError

WORDNET_NOTICE = (
    "Words and their tree: WordNet 3.0, https://wordnet.princeton.edu. Its licence:",
    "",
    "This software and database is being provided to you, the LICENSEE, by Princeton University",
    "under the following license. By obtaining, using and/or copying this software and database,",
    "you agree that you have read, understood, and will comply with these terms and conditions.:",
    "",
    "Permission to use, copy, modify and distribute this software and database and its",
    "documentation for any purpose and without fee or royalty is hereby granted, provided that you",
    "agree to comply with the following copyright notice and statements, including the disclaimer,",
    "and that the same appear on ALL copies of the software, database and documentation, including",
    "modifications that you make for internal use or for distribution.",
    "",
    "WordNet 3.0 Copyright 2006 by Princeton University. All rights reserved.",
    "",
    'THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS" AND PRINCETON UNIVERSITY MAKES NO',
    "REPRESENTATIONS OR WARRANTIES, EXPRESS OR IMPLIED. BY WAY OF EXAMPLE, BUT NOT LIMITATION,",
    "PRINCETON UNIVERSITY MAKES NO REPRESENTATIONS OR WARRANTIES OF MERCHANTABILITY OR FITNESS FOR",
    "ANY PARTICULAR PURPOSE OR THAT THE USE OF THE LICENSED SOFTWARE, DATABASE OR DOCUMENTATION",
    "WILL NOT INFRINGE ANY THIRD PARTY PATENTS, COPYRIGHTS, TRADEMARKS OR OTHER RIGHTS.",
    "",
    "The name of Princeton University or Princeton may not be used in advertising or publicity",
    "pertaining to distribution of the software and/or database. Title to copyright in this",
    "software, database and any associated documentation shall at all times remain with Princeton",
    "University and LICENSEE agrees to preserve same.",
)
"""Lines for the head of every file with WordNet's words; its licence asks for them."""


def grammar_from_wordnet(wordnet: WordNet, name: str, depth: int = 2) -> BuiltGrammar:
    """Make a grammar whose axis is a synset with everything below it.

    The axis begins with the synset's own word. Synsets that WordNet marks as slurs or obscene are
    left out. Where two synsets have one word, the second shows another of its words, or what it is
    in parentheses.

    Args:
        wordnet: Where to read.
        name: The synset, such as ``dog.n.01``.
        depth: How many levels below it to take, at least 1.

    Raises:
        GrammarError: No such synset, nothing below it, or more words than one axis can hold.
    """
    if depth < 1:
        raise GrammarError(f"the depth counts the levels below {name!r}, at least 1, not {depth}")
    root = wordnet.synset(name)
    if not root.hyponyms:
        raise GrammarError(
            f"{name!r} has nothing below it in WordNet; above it is"
            f" {', '.join(wordnet.name(wordnet.at(each)) for each in root.hypernyms)}"
        )
    words = _Words(wordnet, name)
    axis = Vocabulary(root.lemmas[0], words.below(root, depth))
    head = [f"{wordnet.name(root)} of WordNet and {depth} levels below it."]
    return write_grammar(
        ["a photo of a ", axis], [*head, *WORDNET_NOTICE], wordnet.name(root), words.notes
    )


def vocabulary_tree(wordnet: WordNet, name: str, words: Mapping[str, int]) -> Vocabulary:
    """Return words in WordNet's tree, so that those of like meaning are neighbours.

    Each word hangs below its hypernyms, the first that WordNet names where there are several;
    hypernyms with one branch fall away. Of the branches at one place, the one that holds most words
    comes first.

    Args:
        wordnet: Where to read.
        name: The name of the axis.
        words: The offset of each word's meaning.
    """
    branches: dict[int | None, dict[int, None]] = {}
    own: dict[int, list[str]] = {}
    sizes: Counter[int] = Counter()
    for word, offset in words.items():
        own.setdefault(offset, []).append(word)
        path = _path_up(wordnet, offset)
        sizes.update(path)
        for below, above in zip(path, [*path[1:], None], strict=True):
            branches.setdefault(above, {})[below] = None

    def members(offset: int | None) -> tuple[Member, ...]:
        below = sorted(branches.get(offset, {}), key=lambda each: -sizes[each])
        direct = own.get(offset, []) if offset is not None else []
        inner = [group(each) for each in below]
        return (*direct, *(each for part in inner for each in part))

    def group(offset: int) -> tuple[Member, ...]:
        inside = members(offset)
        alone = len(inside) == 1
        return inside if alone else (Vocabulary(wordnet.at(offset).lemmas[0], inside),)

    tree = members(None)
    if len(tree) == 1 and isinstance(tree[0], Vocabulary):
        tree = tree[0].members
    return Vocabulary(name, tree)


def _path_up(wordnet: WordNet, offset: int) -> list[int]:
    """The offsets from a synset up to the most general one, by the first hypernym of each."""
    path = [offset]
    while above := wordnet.at(path[-1]).hypernyms:
        path.append(above[0])
    return path


@dataclass
class _Words:
    """Gives every synset below another one a word that no other has."""

    wordnet: WordNet
    axis: str
    notes: list[str] = field(default_factory=list)
    _used: set[str] = field(default_factory=set)
    _visited: set[int] = field(default_factory=set)

    def below(self, synset: Synset, depth: int) -> tuple[str | Vocabulary, ...]:
        """The word of a synset, then those of the synsets below it."""
        self._visited.add(synset.offset)
        members: list[str | Vocabulary] = [self._word(synset)]
        for offset in synset.hyponyms if depth else ():
            lower = self.wordnet.at(offset)
            if offset in self._visited:
                continue
            if self.wordnet.is_derogatory(lower):
                self.notes.append(f"left out {self.wordnet.name(lower)}: marked as derogatory")
                continue
            inside = self.below(lower, depth - 1)
            members += inside if len(inside) == 1 else [Vocabulary(lower.lemmas[0], inside)]
        return tuple(members)

    def _word(self, synset: Synset) -> str:
        words = [lemma.replace("_", " ") for lemma in synset.lemmas]
        above = synset.hypernyms[0] if synset.hypernyms else synset.offset
        kind = self.wordnet.at(above).lemmas[0].replace("_", " ")
        numbered = (f"{words[0]} ({kind} {number})" for number in range(2, 1000))
        word = next(
            each for each in (*words, f"{words[0]} ({kind})", *numbered) if each not in self._used
        )
        if word != words[0]:
            self.notes.append(f"{self.wordnet.name(synset)} is shown as {word!r}")
        self._used.add(word)
        check_size(self.axis, len(self._used))
        return word
