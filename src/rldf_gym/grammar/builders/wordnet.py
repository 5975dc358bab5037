"""Read WordNet's nouns from its database files.

WordNet (Princeton University, version 3.0) sorts nouns into *synsets*, sets of words of one
meaning, each below more general ones, its hypernyms. It is not part of this package; Debian and
Ubuntu have it as ``wordnet-base``, NLTK as its corpus ``wordnet``.
"""

import difflib
import math
import os
import re
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rldf_gym.grammar.builders.taxonomy import Taxonomy
from rldf_gym.grammar.faults import GrammarError

_PLACES = ("/usr/share/wordnet", "/usr/local/WordNet-3.0/dict", "/usr/share/wordnet-3.0")
_NAME = re.compile(r"(?P<lemma>.+)\.n\.(?P<sense>\d{1,3})")
_ENDING = re.compile(r"\.[a-z]\.\d*$")
_DEROGATORY = {"ethnic_slur", "disparagement", "obscenity", "vulgarism", "dirty_word"}
"""Usage marks of synsets whose words hurt people."""


@dataclass(frozen=True)
class Synset:
    """One meaning.

    Attributes:
        offset: Where it stands in ``data.noun``; WordNet 3.0's offsets are the numbers in
            ImageNet's class ids.
        category: The number of its lexicographer file: 5 animal, 6 artifact, 13 food, 20 plant,
            and so on; see the manual page ``lexnames(5WN)``.
        lemmas: Its words, the most usual first.
        gloss: What it means.
        hypernyms: Offsets of the synsets directly above.
        hyponyms: Offsets of the synsets directly below.
        usage: Offsets of the synsets that say how its words are used.
    """

    offset: int
    category: int
    lemmas: tuple[str, ...]
    gloss: str
    hypernyms: tuple[int, ...]
    hyponyms: tuple[int, ...]
    usage: tuple[int, ...]


class WordNet:
    """WordNet's nouns; synsets are read when they are asked for.

    ``taxonomy`` knows how alike two of them are.

    Args:
        folder: Where ``index.noun`` and ``data.noun`` are. By default ``$WNSEARCHDIR``,
            ``$WNHOME/dict``, or where systems put them.

    Raises:
        GrammarError: No such files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        found = next(
            (
                each
                for each in (_usual_folders() if folder is None else [folder])
                if (each / "data.noun").is_file() and (each / "index.noun").is_file()
            ),
            None,
        )
        if found is None:
            where = "on this machine" if folder is None else f"in {folder}"
            raise GrammarError(
                f"no WordNet {where}: install the package wordnet-base of Debian or Ubuntu, or name"
                " a folder that holds data.noun and index.noun"
            )
        self.folder = found
        self._data = (found / "data.noun").read_bytes()
        self._synsets: dict[int, Synset] = {}
        self.taxonomy = Taxonomy(lambda offset: self.at(offset).hypernyms)

    def synset(self, name: str) -> Synset:
        """Return the synset of a name such as ``dog.n.01``: a word and which of its meanings.

        Raises:
            GrammarError: There is none; suggests the nearest names.
        """
        asked = name.strip().replace(" ", "_").lower()
        read = _NAME.fullmatch(asked)
        lemma = read["lemma"] if read else _ENDING.sub("", asked)
        senses = self.senses(lemma)
        if read and 1 <= int(read["sense"]) <= len(senses):
            return senses[int(read["sense"]) - 1]
        words = [lemma] if senses else self._near(lemma)
        near = [
            f"{word}.n.{number:02} ({_brief(sense.gloss)})"
            for word in words
            for number, sense in enumerate(self.senses(word)[: 8 if senses else 1], 1)
            if not self.is_derogatory(sense)
        ]
        raise GrammarError(f"no synset {name!r} in WordNet; near: {'; '.join(near) or 'none'}")

    def senses(self, word: str) -> list[Synset]:
        """Return the meanings of a word or phrase, the most frequent first."""
        return [self.at(offset) for offset in self._index.get(word.lower().replace(" ", "_"), ())]

    def name(self, synset: Synset) -> str:
        """Return the name of a synset, such as ``dog.n.01``."""
        lemma = synset.lemmas[0].lower()
        return f"{lemma}.n.{self._index[lemma].index(synset.offset) + 1:02}"

    def at(self, offset: int) -> Synset:
        """Return the synset at an offset of ``data.noun``.

        Raises:
            GrammarError: None begins there.
        """
        if offset not in self._synsets:
            line = self._data[offset : self._data.find(b"\n", offset)].decode()
            if not line.startswith(f"{offset:08} "):
                raise GrammarError(f"no synset begins at {offset} of {self.folder / 'data.noun'}")
            self._synsets[offset] = _synset(line)
        return self._synsets[offset]

    def is_derogatory(self, synset: Synset) -> bool:
        """Return whether WordNet marks its words as slurs or obscene."""
        return any(not _DEROGATORY.isdisjoint(self.at(mark).lemmas) for mark in synset.usage)

    @cached_property
    def _index(self) -> dict[str, tuple[int, ...]]:
        """The offsets of each word's meanings."""
        entries: dict[str, tuple[int, ...]] = {}
        for line in (self.folder / "index.noun").read_text(encoding="utf-8").splitlines():
            if not line.startswith(" "):
                lemma, _, *rest = line.split()
                entries[lemma] = tuple(map(int, rest[-int(rest[0]) :]))
        return entries

    def _near(self, lemma: str) -> list[str]:
        """The words most like one that is unknown; of those as like, the ones of most meanings."""
        # Words that begin alike and are about as long, because comparing all takes seconds.
        likely = [
            word
            for word in self._index
            if word[:1] == lemma[:1] and abs(len(word) - len(lemma)) <= math.ceil(len(lemma) / 4)
        ]

        def rank(word: str) -> tuple[float, int]:
            ratio = difflib.SequenceMatcher(None, lemma, word).ratio()
            return -ratio, -len(self._index[word])

        return sorted(difflib.get_close_matches(lemma, likely, 50, 0.6), key=rank)[:8]


def _usual_folders() -> list[Path]:
    folders = [Path(place) for place in _PLACES]
    if home := os.environ.get("WNHOME"):
        folders.insert(0, Path(home) / "dict")
    if search := os.environ.get("WNSEARCHDIR"):
        folders.insert(0, Path(search))
    return folders


def _synset(line: str) -> Synset:
    """A line of ``data.noun``; its format is described in the manual page ``wndb(5WN)``."""
    head, _, gloss = line.partition(" | ")
    fields = head.split()
    n_words = int(fields[3], 16)
    lemmas = tuple(fields[4 : 4 + 2 * n_words : 2])
    pointers = fields[5 + 2 * n_words :]
    to: dict[str, list[int]] = {}
    for symbol, offset, part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=False):
        if part == "n":
            to.setdefault(symbol, []).append(int(offset))
    return Synset(
        offset=int(fields[0]),
        category=int(fields[1]),
        lemmas=lemmas,
        gloss=gloss.strip(),
        hypernyms=tuple(to.get("@", []) + to.get("@i", [])),
        hyponyms=tuple(to.get("~", []) + to.get("~i", [])),
        usage=tuple(to.get(";u", [])),
    )


def _brief(gloss: str) -> str:
    return textwrap.shorten(gloss.partition(";")[0], 60, placeholder="...")
