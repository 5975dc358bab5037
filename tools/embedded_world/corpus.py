"""The rendered pictures that models learn from and are measured on.

Each picture has labels (`LABELS`), boxes, and the grammar it belongs to, from which its caption
follows. A tenth of the combinations is *held out*: the text-to-image model never sees them.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from rldf_gym.grammar import Grammar, load_grammar
from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.backgrounds import SCENES, SIDE
from tools.embedded_world.cutouts import ACTIONS, NOUNS, Cutouts
from tools.embedded_world.renderer import Description, Renderer

GRAMMARS = ("base", "extended", "actions", "objects")
LABELS = (
    "noun",
    "things",
    "people",
    "action",
    "scene",
    "weather",
    "time_of_day",
    "second_noun",
    "second_things",
    "tidy",
)
MAX_BOXES = 8
_T = TypeVar("_T")
_TIDY_MANY = 3  # one number for a text-to-image model to learn; loose pictures have two to four
CHUNK = 500
_HELD_OUT_SEED = 20_231_127  # the paper's date; fixes which combinations are held out
_HELD_OUT_SHARE = 0.1
_HELD_OUT_AXES = {  # an extended picture is held out where its base part is
    "base": ("noun", "frequency", "density", "scene"),
    "extended": ("noun", "frequency", "density", "scene"),
    "actions": ("density", "action", "scene"),
    "objects": ("first_count", "first_noun", "second_count", "second_noun", "scene"),
}
_SHARES = {"base": 0.36, "extended": 0.26, "actions": 0.16, "objects": 0.22}
_COUNTS = {  # axis: the label that it counts
    "frequency": "things",
    "density": "people",
    "first_count": "things",
    "second_count": "second_things",
}
_LOOSE_SIZES = (0.75, 1.3)
_OVERHANG, _OVERHANGING_SHARE = 0.35, 0.35


@functools.cache
def held_out_combinations(grammar: str) -> frozenset[tuple[int, ...]]:
    """Return the held-out combinations of labels, in the order of ``_HELD_OUT_AXES``."""
    rng = np.random.default_rng(_HELD_OUT_SEED)
    drawn: dict[tuple[str, ...], frozenset[tuple[int, ...]]] = {}
    for name, axes in _HELD_OUT_AXES.items():
        if axes not in drawn:
            sizes = tuple(len(_grammar(name).axis(axis).values) for axis in axes)
            total = int(np.prod(sizes))
            chosen = rng.permutation(total)[: round(total * _HELD_OUT_SHARE)]
            rows = (np.unravel_index(i, sizes) for i in chosen)
            drawn[axes] = frozenset(tuple(int(v) for v in row) for row in rows)
    return drawn[_HELD_OUT_AXES[grammar]]


def held_out(grammar: Grammar, states: np.ndarray) -> np.ndarray:
    """Return bool [n]: states of combinations that the text-to-image model never learns."""
    combinations = held_out_combinations(grammar.name)
    columns = [grammar.axis_index(axis) for axis in _HELD_OUT_AXES[grammar.name]]
    return np.array([tuple(int(v) for v in state[columns]) in combinations for state in states])


def state_of(grammar: Grammar, labels: Sequence[int]) -> np.ndarray:
    """Return the state, int64 [n_axes], that a picture with these labels was made from."""
    named = dict(zip(LABELS, (int(value) for value in labels), strict=True))
    state = []
    for axis in grammar.axes:
        if axis.name in _COUNTS:
            count = min(named[_COUNTS[axis.name]], 2)
            state.append(axis.values.index(("no", "one", "many")[count]))
        else:
            state.append(named["noun" if axis.name == "first_noun" else axis.name])
    return np.array(state, np.int64)


def true_states(grammar: Grammar, labels: np.ndarray) -> np.ndarray:
    """Return the states that rendered pictures were made from, int64 [n, n_axes]."""
    return np.stack([state_of(grammar, row) for row in labels])


def sentence(grammar: str, labels: Sequence[int]) -> str:
    """Return the sentence of ``grammar`` that describes a picture with these labels."""
    compiled = _grammar(grammar)
    return compiled.decode(state_of(compiled, labels))


def in_style(photo_sentence: str, style: str) -> str:
    """Return a sentence that begins with "a photo of" with another style in its place."""
    return photo_sentence.replace("photo", style, 1)


@functools.cache
def _grammar(name: str) -> Grammar:
    return load_grammar(name)


def sample_description(rng: np.random.Generator, grammar: str, tidy: bool) -> Description:
    """Return a random picture of a grammar, composed tidily or loosely."""
    return dataclasses.replace(
        _content(rng, grammar, _TIDY_MANY if tidy else int(rng.integers(2, 5))),
        tidy=tidy,
        size=1.0 if tidy else float(rng.uniform(*_LOOSE_SIZES)),
        overhang=_OVERHANG if not tidy and rng.uniform() < _OVERHANGING_SHARE else 0.0,
    )


def _content(rng: np.random.Generator, grammar: str, many: int) -> Description:
    def one_of(values: Sequence[_T]) -> _T:
        return values[int(rng.integers(len(values)))]

    scene = one_of(SCENES)
    if grammar == "actions":
        return Description(scene, None, 0, one_of((1, many)), one_of(ACTIONS))
    noun, things = one_of(NOUNS), one_of((1, many))
    if grammar == "objects":
        second_noun, second_things = one_of(NOUNS), one_of((1, many))
        return Description(
            scene, noun, things, 0, second_noun=second_noun, second_things=second_things
        )
    people = one_of((0, 1, many))
    if grammar == "base":
        return Description(scene, noun, things, people)
    weather, hour = one_of(WEATHERS), one_of(TIMES_OF_DAY)
    return Description(scene, noun, things, people, weather=weather, time_of_day=hour)


def _labels(d: Description) -> list[int]:
    return [
        -1 if d.noun is None else NOUNS.index(d.noun),
        d.things,
        d.people,
        -1 if d.action is None else ACTIONS.index(d.action),
        SCENES.index(d.scene),
        WEATHERS.index(d.weather),
        TIMES_OF_DAY.index(d.time_of_day),
        -1 if d.second_noun is None else NOUNS.index(d.second_noun),
        d.second_things,
        int(d.tidy),
    ]


@dataclass(frozen=True)
class Corpus:
    """A folder of rendered pictures.

    Attributes:
        pictures: uint8 [n, SIDE, SIDE, 3].
        labels: int16 [n, len(LABELS)]; -1 where a label does not apply.
        boxes: int16 [n, MAX_BOXES, 5] of class, left, top, right, bottom; class -1 is padding.
        grammars: uint8 [n], index into `GRAMMARS`.
    """

    pictures: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    grammars: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> "Corpus":
        """Open a corpus that `render_corpus` has written."""
        if not (folder / "corpus.json").exists():
            raise SystemExit(f"No finished corpus in {folder}; run the `render` command first.")
        names = ("pictures", "labels", "boxes", "grammars")
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))

    def __len__(self) -> int:
        return len(self.labels)

    def sentence(self, i: int) -> str:
        """Return the caption of picture ``i`` in its own grammar."""
        return sentence(GRAMMARS[self.grammars[i]], self.labels[i])

    @cached_property
    def held_out(self) -> np.ndarray:
        """Bool [n]: pictures of held-out combinations."""
        marked = np.zeros(len(self), bool)
        for number, name in enumerate(GRAMMARS):
            grammar, rows = _grammar(name), np.flatnonzero(self.grammars == number)
            marked[rows] = held_out(grammar, true_states(grammar, self.labels[rows]))
        return marked


@dataclass(frozen=True)
class CorpusPlan:
    """What to render.

    Attributes:
        count: pictures, rounded up to whole chunks.
        seed: decides every picture.
        tidy_share: share of pictures that are composed tidily, 0..1.
        split: cut-outs to use, one of `cutouts.SPLITS`.
    """

    count: int
    seed: int
    tidy_share: float
    split: str = "models"


def render_chunk(cutouts: Cutouts, plan: CorpusPlan, chunk: int) -> tuple[np.ndarray, ...]:
    """Render one chunk; return what `Corpus` holds, in its order."""
    renderer = Renderer(cutouts)
    rng = np.random.default_rng([plan.seed, chunk])
    pictures = np.empty((CHUNK, SIDE, SIDE, 3), np.uint8)
    labels = np.empty((CHUNK, len(LABELS)), np.int16)
    boxes = np.full((CHUNK, MAX_BOXES, 5), -1, np.int16)
    grammars = rng.choice(len(GRAMMARS), CHUNK, p=[_SHARES[g] for g in GRAMMARS])
    for i, grammar in enumerate(grammars):
        description = sample_description(
            rng, GRAMMARS[grammar], bool(rng.uniform() < plan.tidy_share)
        )
        pictures[i], found = renderer.render(rng, description)
        labels[i] = _labels(description)
        boxes[i, : len(found)] = found
    return pictures, labels, boxes, grammars.astype(np.uint8)


def render_corpus(cutouts: Path, folder: Path, plan: CorpusPlan, workers: int) -> None:
    """Render a corpus into ``folder``.

    The same plan gives the same pictures, whatever the number of workers.
    """
    loaded = Cutouts.load(cutouts, plan.split)
    folder.mkdir(parents=True, exist_ok=True)
    chunks = -(-plan.count // CHUNK)
    total = chunks * CHUNK
    shapes = {
        "pictures": ((total, SIDE, SIDE, 3), np.uint8),
        "labels": ((total, len(LABELS)), np.int16),
        "boxes": ((total, MAX_BOXES, 5), np.int16),
        "grammars": ((total,), np.uint8),
    }
    arrays = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
        for name, (shape, dtype) in shapes.items()
    ]
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(render_chunk, loaded, plan, i) for i in range(chunks)]
        for i, job in enumerate(tqdm(jobs, desc=f"rendering {folder.name}", unit="chunk")):
            rows = slice(i * CHUNK, (i + 1) * CHUNK)
            for array, values in zip(arrays, job.result(), strict=True):
                array[rows] = values
    for array in arrays:
        array.flush()
    facts = dataclasses.asdict(plan)
    (folder / "corpus.json").write_text(json.dumps(facts, indent=2) + "\n")
