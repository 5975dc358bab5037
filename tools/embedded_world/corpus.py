"""The rendered pictures that models learn from and are measured on.

Each picture has labels (`LABELS`), boxes, and the grammar it belongs to, from which its caption
follows. A tenth of the combinations is *held out*: the text-to-image model never sees them.
"""

import functools
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rldf_gym.grammar import Grammar, load_grammar
from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.backgrounds import SCENES, SIDE
from tools.embedded_world.cutouts import ACTIONS, NOUNS, Cutouts
from tools.embedded_world.renderer import Description, Renderer

GRAMMARS = ("base", "extended", "actions")
LABELS = ("noun", "things", "people", "action", "scene", "weather", "time_of_day", "tidy")
MAX_BOXES = 8
_CHUNK = 500
_HELD_OUT_SEED = 20_231_127  # the paper's date; fixes which combinations are held out
_HELD_OUT_SHARE = 0.1
_SHARES = {"base": 0.5, "extended": 0.3, "actions": 0.2}


def held_out_combinations() -> tuple[frozenset[tuple[int, ...]], frozenset[tuple[int, ...]]]:
    """Return the held-out combinations of base (noun, frequency, density, scene) and of actions.

    An extended picture is held out where its base part is.
    """
    rng = np.random.default_rng(_HELD_OUT_SEED)

    def tenth(sizes: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
        total = int(np.prod(sizes))
        chosen = rng.permutation(total)[: round(total * _HELD_OUT_SHARE)]
        return frozenset(tuple(int(v) for v in np.unravel_index(i, sizes)) for i in chosen)

    base = tenth((len(NOUNS), 2, 3, len(SCENES)))
    return base, tenth((2, len(ACTIONS), len(SCENES)))


def state_of(grammar: Grammar, labels: Sequence[int]) -> np.ndarray:
    """Return the state, int64 [n_axes], that a picture with these labels was made from."""
    named = dict(zip(LABELS, (int(value) for value in labels), strict=True))
    counts = {"frequency": named["things"], "density": named["people"]}
    state = []
    for axis in grammar.axes:
        if axis.name in counts:
            words = ("no", "one", "many")
            state.append(axis.values.index(words[min(counts[axis.name], 2)]))
        else:
            state.append(named[axis.name])
    return np.array(state, np.int64)


def sentence(grammar: str, labels: Sequence[int]) -> str:
    """Return the sentence of ``grammar`` that describes a picture with these labels."""
    compiled = _grammar(grammar)
    return compiled.decode(state_of(compiled, labels))


@functools.cache
def _grammar(name: str) -> Grammar:
    return load_grammar(name)


def _sample(rng: np.random.Generator, grammar: str, tidy: bool) -> Description:
    many_people, many_things = 3, 3 if tidy else int(rng.integers(3, 5))
    scene = SCENES[rng.integers(len(SCENES))]
    if grammar == "actions":
        people = (1, many_people)[rng.integers(2)]
        action = ACTIONS[rng.integers(len(ACTIONS))]
        return Description(scene, None, 0, people, action, tidy=tidy)
    noun = NOUNS[rng.integers(len(NOUNS))]
    things = (1, many_things)[rng.integers(2)]
    people = (0, 1, many_people)[rng.integers(3)]
    if grammar == "base":
        return Description(scene, noun, things, people, tidy=tidy)
    weather = WEATHERS[rng.integers(len(WEATHERS))]
    hour = TIMES_OF_DAY[rng.integers(len(TIMES_OF_DAY))]
    return Description(scene, noun, things, people, weather=weather, time_of_day=hour, tidy=tidy)


def _labels(d: Description) -> list[int]:
    return [
        -1 if d.noun is None else NOUNS.index(d.noun),
        d.things,
        d.people,
        -1 if d.action is None else ACTIONS.index(d.action),
        SCENES.index(d.scene),
        WEATHERS.index(d.weather),
        TIMES_OF_DAY.index(d.time_of_day),
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
        return cls(*(np.load(folder / f"{name}.npy") for name in names))

    def __len__(self) -> int:
        return len(self.labels)

    def sentence(self, i: int) -> str:
        """Return the caption of picture ``i`` in its own grammar."""
        return sentence(GRAMMARS[self.grammars[i]], self.labels[i])

    @cached_property
    def held_out(self) -> np.ndarray:
        """Bool [n]: pictures of held-out combinations."""
        base, actions = held_out_combinations()

        def is_held_out(labels: np.ndarray, grammar: int) -> bool:
            noun, things, people, action, scene = (int(v) for v in labels[:5])
            if GRAMMARS[grammar] == "actions":
                return (min(people, 2) - 1, action, scene) in actions
            return (noun, min(things, 2) - 1, min(people, 2), scene) in base

        rows = zip(self.labels, self.grammars, strict=True)
        return np.array([is_held_out(labels, grammar) for labels, grammar in rows])


def _render_chunk(
    cutouts: Path, seed: int, chunk: int, tidy_share: float
) -> tuple[np.ndarray, ...]:
    renderer = Renderer(Cutouts.load(cutouts))
    rng = np.random.default_rng([seed, chunk])
    pictures = np.empty((_CHUNK, SIDE, SIDE, 3), np.uint8)
    labels = np.empty((_CHUNK, len(LABELS)), np.int16)
    boxes = np.full((_CHUNK, MAX_BOXES, 5), -1, np.int16)
    grammars = rng.choice(len(GRAMMARS), _CHUNK, p=[_SHARES[g] for g in GRAMMARS])
    for i, grammar in enumerate(grammars):
        description = _sample(rng, GRAMMARS[grammar], bool(rng.uniform() < tidy_share))
        pictures[i], found = renderer.render(rng, description)
        labels[i] = _labels(description)
        boxes[i, : len(found)] = found
    return pictures, labels, boxes, grammars.astype(np.uint8)


def render_corpus(
    cutouts: Path, folder: Path, count: int, seed: int, tidy_share: float, workers: int
) -> None:
    """Render ``count`` pictures (rounded up to whole chunks) into ``folder``.

    The same seed gives the same pictures, whatever the number of workers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = -(-count // _CHUNK)
    total = chunks * _CHUNK
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
        jobs = [pool.submit(_render_chunk, cutouts, seed, i, tidy_share) for i in range(chunks)]
        for i, job in enumerate(tqdm(jobs, desc=f"rendering {folder.name}", unit="chunk")):
            rows = slice(i * _CHUNK, (i + 1) * _CHUNK)
            for array, values in zip(arrays, job.result(), strict=True):
                array[rows] = values
    for array in arrays:
        array.flush()
    facts = {"count": total, "seed": seed, "tidy_share": tidy_share}
    (folder / "corpus.json").write_text(json.dumps(facts, indent=2) + "\n")
