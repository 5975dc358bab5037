"""Chooses the benchmarks' target pictures among test renders, which no model has learned from.

The first twenty, ``benchmarks/targets/*.png``, stay as they are; the others are spread over the
values of all axes, every state once. Those of the grammar "embedded" are rendered anew, because the
corpora have no pictures with all of its axes.
"""

import copy
import csv
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rldf_gym.grammar import Grammar, load_grammar
from tools.embedded_world.corpus import GRAMMARS, Corpus, sentence, state_of
from tools.embedded_world.cutouts import Cutouts
from tools.embedded_world.renderer import Description, Renderer

TARGETS = {"base": 100, "extended": 30}
DESCRIBED = 10
"""Targets of each grammar in the folder "described"."""
_SEED = 4
_RENDERED, _RENDERED_SEED = 300, 6
_PHOTOS = 0.5
_SEEN_CHANGE, _SEEN_SHARE = 0.1, 0.02
"""A figure is seen if, without it, a picture differs by this share of its range in this share of
the figure's box."""
_WEBP_QUALITY = 90


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


def write_described_targets(corpus: Corpus, folder: Path) -> None:
    """Write ``folder/GRAMMAR/NUMBER.webp`` for every grammar, with what each shows.

    The prompts are in ``folder/GRAMMAR/prompts.csv``.
    """
    for name in GRAMMARS:
        (folder / name).mkdir(parents=True, exist_ok=True)
        rows = []
        for number, i in enumerate(choose_targets(corpus, name, [], DESCRIBED)):
            path = folder / name / f"{number:02}.webp"
            Image.fromarray(corpus.pictures[i]).save(path, method=6, quality=_WEBP_QUALITY)
            rows.append((path.name, sentence(name, corpus.labels[i].tolist())))
        _write_prompts(folder / name, rows)


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


def render_targets(cutouts: Cutouts, folder: Path) -> None:
    """Render pictures of random states of the grammar "embedded".

    Half of them are photos, the others in any style. A picture whose style leaves nothing of one of
    its things or people is not used: its prompt would say what nobody can see. Writes
    ``folder/NUMBER.webp`` and ``folder/prompts.csv``, which says what each shows.
    """
    grammar, renderer = load_grammar("embedded"), Renderer(cutouts)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str]] = []
    for number in itertools.count():
        if len(rows) == _RENDERED:
            break
        rng = np.random.default_rng([_RENDERED_SEED, number])
        words = _random_words(grammar, rng)
        picture = _picture(renderer, _described(words, rng), words["style"], rng)
        if picture is None:
            continue
        name = f"{number:03}.webp"
        Image.fromarray(picture).save(folder / name, method=6, quality=_WEBP_QUALITY)
        state = [grammar.axis(axis).values.index(word) for axis, word in words.items()]
        rows.append((name, grammar.decode(state)))
    _write_prompts(folder, rows)


def _write_prompts(folder: Path, rows: Sequence[tuple[str, str]]) -> None:
    with (folder / "prompts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("picture", "prompt"), *rows])


def _random_words(grammar: Grammar, rng: np.random.Generator) -> dict[str, str]:
    words = {axis.name: axis.values[int(rng.integers(len(axis)))] for axis in grammar.axes}
    if rng.uniform() < _PHOTOS:
        words["style"] = "photo"
    return words


def _described(words: dict[str, str], rng: np.random.Generator) -> Description:
    loose, many = bool(rng.integers(2)), int(rng.integers(2, 5))
    count = {"no": 0, "one": 1, "many": many}
    return Description(
        words["scene"],
        words["noun"],
        count[words["frequency"]],
        count[words["density"]],
        weather=words["weather"],
        time_of_day=words["time_of_day"],
        tidy=not loose,
        size=float(rng.uniform(0.75, 1.3)) if loose else 1.0,
    )


def _picture(
    renderer: Renderer, described: Description, style: str, rng: np.random.Generator
) -> np.ndarray | None:
    """Return a picture in which every figure can be seen, or None."""

    def render(left_out: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        own = copy.deepcopy(rng)
        pixels, boxes = renderer.render(own, described, left_out)
        return _in_style(pixels, style, own), boxes

    picture, boxes = render()
    least = _SEEN_CHANGE * max(1, np.subtract(*np.percentile(picture, (99, 1))))
    for number, (_, left, top, right, bottom) in enumerate(boxes.tolist()):
        change = np.abs(picture.astype(int) - render(number)[0]).max(axis=2)
        if (change[top:bottom, left:right] >= least).mean() < _SEEN_SHARE:
            return None
    return picture


def _in_style(picture: np.ndarray, style: str, rng: np.random.Generator) -> np.ndarray:
    import torch

    from tools.embedded_world.styles import STYLES

    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    return (STYLES[style](pixels, rng)[0].permute(1, 2, 0) * 255).round().byte().numpy()
