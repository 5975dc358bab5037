"""Chooses the benchmarks' target pictures among test renders, which no model has learned from.

The first twenty, ``benchmarks/targets/*.png``, stay as they are; the others are spread over the
values of all axes, every state once.
"""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from rldf_gym.grammar import load_grammar
from tools.embedded_world.corpus import GRAMMARS, Corpus, state_of

TARGETS = {"base": 100, "extended": 30}
_SEED = 4


def write_targets(corpus: Corpus, folder: Path) -> None:
    """Write ``folder/GRAMMAR/NUMBER.webp``, lossless, until every grammar has its `TARGETS`."""
    first = [np.asarray(Image.open(path)).tobytes() for path in sorted(folder.glob("*.png"))]
    taken = [i for i, picture in enumerate(corpus.pictures) if picture.tobytes() in first]
    for name, total in TARGETS.items():
        kept = taken if name == "base" else []
        (folder / name).mkdir(parents=True, exist_ok=True)
        chosen = choose_targets(corpus, name, kept, total)
        for number, i in enumerate(chosen, start=len(kept)):
            path = folder / name / f"{number:02}.webp"
            Image.fromarray(corpus.pictures[i]).save(path, lossless=True, method=6, quality=100)


def choose_targets(corpus: Corpus, name: str, kept: list[int], total: int) -> list[int]:
    """Return which pictures join those kept, so that there are ``total`` with as many states.

    Each next one has the least used values, summed over the axes, of all that are left.
    """
    grammar = load_grammar(name)
    of_grammar = np.flatnonzero(corpus.grammars == GRAMMARS.index(name))
    shuffled = np.random.default_rng(_SEED).permutation(of_grammar).tolist()
    states = {i: tuple(state_of(grammar, corpus.labels[i]).tolist()) for i in [*shuffled, *kept]}
    used: Counter[tuple[int, int]] = Counter()
    for i in kept:
        used.update(enumerate(states[i]))
    taken = {states[i] for i in kept}
    chosen: list[int] = []

    def weariness(i: int) -> float:
        return sum(
            used[axis, label] * int(size)
            for (axis, label), size in zip(enumerate(states[i]), grammar.nvec, strict=True)
        )

    while len(kept) + len(chosen) < total:
        best = min((i for i in shuffled if states[i] not in taken), key=weariness)
        chosen.append(best)
        taken.add(states[best])
        used.update(enumerate(states[best]))
    return chosen
