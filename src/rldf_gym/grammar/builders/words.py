"""Grammars from lists of words: a text file is one axis, a column of a CSV file is one too."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rldf_gym.grammar.builders.lark_file import (
    BuiltGrammar,
    Vocabulary,
    check_size,
    plain_word,
    rule_name,
    write_grammar,
)
from rldf_gym.grammar.faults import GrammarError

_LONGEST_WORD = 1_000
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def grammar_from_words(paths: Sequence[Path], sentence: str | None = None) -> BuiltGrammar:
    """Make a grammar with one axis for each list of words.

    A ``.csv`` file has one axis per column, named by its header; commas, semicolons or tabs
    separate the columns. Any other file has one word per line and is one axis, named like the file.
    Empty lines, empty cells and repetitions are left out; the order of the words is kept.

    Args:
        paths: The files, in the order of their axes.
        sentence: The prompt with each axis in braces, such as ``"a photo of a {colour} {animal}"``.
            By default ``"a photo of"`` and the axes in order.

    Raises:
        GrammarError: A file that cannot be read or holds no words, an axis with fewer than two or
            too many words, a sentence that misses an axis or names an unknown one, or words that
            make two states share a prompt.
    """
    notes: list[str] = []
    axes: dict[str, Vocabulary] = {}
    for path in paths:
        for title, words in _read(path, notes).items():
            name = rule_name(title, "axis")
            name = name if name not in axes else f"{name}_{len(axes) + 1}"
            renamed = f"Called {title!r} in {path.name}." if name != title.lower() else ""
            axes[name] = Vocabulary(name, tuple(words), renamed)
    if not axes:
        raise GrammarError("no list of words given; name at least one file")
    if sentence is None:
        sentence = " ".join(["a photo of", *(f"{{{name}}}" for name in axes)])
    head = ["Made from lists of words: " + ", ".join(path.name for path in paths) + "."]
    return write_grammar(_parts(sentence, axes), head, paths[0].stem, notes=notes)


def _read(path: Path, notes: list[str]) -> dict[str, list[str]]:
    """The words of each axis in a file, by its title."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() != ".csv":
                lines = ((number, line) for number, line in enumerate(file, 1))
                return {path.stem: _distinct(path, path.stem, lines, notes)}
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            rows = csv.reader(file, strict=True, delimiter=delimiter)
            header = [plain_word(title) for title in next(rows, [])]
            _check_header(path, header)
            table = list(_rows(path, rows, len(header)))
    except UnicodeDecodeError as error:
        raise GrammarError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    except csv.Error as error:
        raise GrammarError(f"{path}: not a CSV file: {error}") from error
    except OSError as error:
        raise GrammarError(f"{path}: cannot be read: {error.strerror}") from error
    return {
        title: _distinct(path, title, ((line, row[column]) for line, row in table), notes)
        for column, title in enumerate(header)
    }


def _rows(path: Path, rows: Iterator[list[str]], width: int) -> Iterator[tuple[int, list[str]]]:
    """The rows below the header with their lines; all as wide as the header."""
    for number, row in enumerate(rows, 2):
        check_size(path.name, number - 1)
        if len(row) > width:
            raise GrammarError(
                f"{path}, row {number}: {len(row)} cells under {width} headers; put words with"
                " commas in double quotes"
            )
        yield number, row + [""] * (width - len(row))


def _check_header(path: Path, header: list[str]) -> None:
    if not header or "" in header or len(set(header)) < len(header):
        raise GrammarError(
            f"{path}: the first line names the columns, each differently, not {header}"
        )


def _distinct(
    path: Path, title: str, lines: Iterator[tuple[int, str]], notes: list[str]
) -> list[str]:
    words: dict[str, int] = {}
    repeated: dict[str, int] = {}
    for number, text in lines:
        try:
            word = plain_word(text)
        except GrammarError as error:
            raise GrammarError(f"{path}, line {number}: {error}") from error
        if len(word) > _LONGEST_WORD:
            raise GrammarError(
                f"{path}, line {number}: a word of {len(word):,} characters; write at most"
                f" {_LONGEST_WORD:,}, more than any text encoder reads"
            )
        if word in words:
            repeated[word] = number
        elif word:
            words[word] = number
            check_size(path.name, len(words))
    if len(words) < 2:
        raise GrammarError(
            f"{path}: {title!r} holds {len(words)} different words; an axis needs at least two"
        )
    if repeated:
        shown = ", ".join(repr(word) for word in list(repeated)[:3])
        more = f" and {len(repeated) - 3} more" if len(repeated) > 3 else ""
        notes.append(f"{path.name}: {title!r} repeats {shown}{more}; each is kept once")
    return list(words)


def _parts(sentence: str, axes: dict[str, Vocabulary]) -> list[str | Vocabulary]:
    """The sentence cut at its placeholders."""
    names = _PLACEHOLDER.findall(sentence)
    if sorted(names) != sorted(axes):
        raise GrammarError(
            f"the sentence {sentence!r} has to hold each axis once, in braces:"
            f" {', '.join(f'{{{name}}}' for name in axes)}"
        )
    pieces = _PLACEHOLDER.split(sentence)
    parts = (axes[piece] if place % 2 else piece for place, piece in enumerate(pieces))
    return [part for part in parts if part]
