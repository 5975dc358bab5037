"""Whether neighbours on an axis mean alike: the order of each file against others (paper §3).

An agent moves one value at a time, so the number of steps between two values should follow how
unlike they are. `order_correlation` measures that over all pairs. Likeness is WordNet's path
similarity, and for the words that the embedded CLIP knows, the cosine of its text embeddings too.

``meanings.tsv`` and ``hypernyms.tsv`` say what the words mean and what is above that in WordNet;
``tools/vocabularies`` makes them.
"""

import csv
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.results import Case, Report, Results, measure
from rldf_gym.grammar import load_grammar, order_correlation
from rldf_gym.grammar.builders import Taxonomy

FILE, ALPHABETICAL, RANDOM = "file", "alphabetical", "random"
_ORDERS = (FILE, ALPHABETICAL, RANDOM)
WORDNET, CLIP = "WordNet path", "embedded CLIP"
_EMBEDDED_WORLD = "base"
_HERE = Path(__file__).parent


def run(quick: bool) -> Results:
    """Measure the order of every axis whose words have a meaning in WordNet."""
    seeds = 2 if quick else 20
    axes = [axis for axis in _meanings() if not quick or len(_meanings()[axis]) < 100]
    cases = [
        {"grammar": grammar, "axis": axis, "similarity": similarity, "order": order, "seed": seed}
        for grammar, axis in axes
        for similarity in ((WORDNET, CLIP) if grammar == _EMBEDDED_WORLD else (WORDNET,))
        for order, seed in [(FILE, 0), (ALPHABETICAL, 0), *((RANDOM, s) for s in range(seeds))]
    ]
    return measure("locality", {"seeds": seeds}, cases, _measure, quick=quick)


def _measure(case: Case) -> Mapping[str, Any]:
    words = load_grammar(case["grammar"]).axis(case["axis"]).values
    table = similarities(case["grammar"], case["axis"], case["similarity"])
    order = _order(words, case["order"], case["seed"])
    between = table[order[:-1], order[1:]]
    return {
        "n_values": len(words),
        "correlation": order_correlation(table, order.tolist()),
        "neighbours": float(between.mean()),
    }


def _order(words: Sequence[str], order: str, seed: int) -> npt.NDArray[np.int64]:
    if order == RANDOM:
        return np.random.default_rng(seed).permutation(len(words))
    if order == ALPHABETICAL:
        return np.array(sorted(range(len(words)), key=lambda label: words[label].casefold()))
    return np.arange(len(words))


@functools.cache
def similarities(grammar: str, axis: str, similarity: str) -> npt.NDArray[np.float64]:
    """How alike the values of an axis are, in the order of the file: ``[n_values, n_values]``."""
    words = load_grammar(grammar).axis(axis).values
    if similarity == WORDNET:
        meanings = _meanings()[grammar, axis]
        return Taxonomy(_hypernyms().__getitem__).path_similarities([meanings[w] for w in words])
    from rldf_gym.perception import make_perception

    embeddings = make_perception("embedded").clip.embed_texts([f"a photo of {w}" for w in words])
    return (embeddings @ embeddings.T).astype(np.float64)


@functools.cache
def _meanings() -> dict[tuple[str, str], dict[str, int]]:
    """The meaning of each word, by grammar and axis."""
    axes: dict[tuple[str, str], dict[str, int]] = {}
    for grammar, axis, word, meaning in _rows("meanings.tsv"):
        axes.setdefault((grammar, axis), {})[word] = int(meaning)
    return axes


@functools.cache
def _hypernyms() -> dict[int, tuple[int, ...]]:
    """What is directly above each meaning."""
    return {
        int(meaning): tuple(map(int, above.split())) for meaning, _, above in _rows("hypernyms.tsv")
    }


def _rows(name: str) -> list[list[str]]:
    with (_HERE / name).open(encoding="utf-8", newline="") as file:
        lines = (line for line in file if not line.startswith("#"))
        return list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def report(results: Results) -> Report:
    """Tabulate each axis: its own order, the alphabet, and random orders."""
    lines = [
        "# Semantic locality of the axes",
        "",
        "Spearman's rank correlation, over all pairs of values of an axis, of the number of steps "
        "between the two with how unlike they are (1 is best, 0 is no order at all). Likeness is "
        "WordNet's path similarity; where the embedded CLIP knows the words, the cosine of its "
        "text embeddings too. The file's order keeps WordNet's tree together, so it has to win "
        "by WordNet's measure; how far a line can follow a tree is what the figure says. Where the "
        "alphabet is near 0, its ratio says little: compare with the greatest of the random "
        "orders. Random: "
        f"mean of {results.settings['seeds']} orders, and the greatest of them. Neighbours: mean "
        "likeness of values one step apart, for the file's order, the alphabet and random orders.",
        "",
        "| axis | values | likeness | file | alphabetical | random (greatest) "
        "| file over alphabetical | neighbours: file, alphabetical, random |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    axes = dict.fromkeys(
        (row["grammar"], row["axis"], row["similarity"], row["n_values"]) for row in results.rows
    )
    for grammar, axis, similarity, n_values in axes:
        rows = [
            row
            for row in results.rows
            if (row["grammar"], row["axis"], row["similarity"]) == (grammar, axis, similarity)
        ]
        own, alphabet, random = (_values(rows, o, "correlation") for o in _ORDERS)
        near = " / ".join(f"{_values(rows, o, 'neighbours').mean():.3f}" for o in _ORDERS)
        ratio = f"{own[0] / alphabet[0]:.1f}" if alphabet[0] > 0 else "alphabet not above 0"
        lines.append(
            f"| {grammar} {axis} | {n_values:,} | {similarity} | {own[0]:.3f} | {alphabet[0]:.3f} "
            f"| {random.mean():.3f} ({random.max():.3f}) | {ratio} | {near} |"
        )
    return Report("\n".join(lines))


def _values(rows: Sequence[Mapping[str, Any]], order: str, name: str) -> npt.NDArray[np.float64]:
    return np.array([row[name] for row in rows if row["order"] == order])
