"""A world of a million states without pictures, for measuring learners: a seeded tabular stand-in.

Six axes of ten values span a generated grammar. In place of a text-to-image model, a table with one
entry for every axis writes the state's labels into a tiny picture; some of them wrongly, as real
models do, decided by a hash of seed and state, so that a state's picture never changes. In place of
a detector, a scene classifier and CLIP, three tables read those labels back. Environment, rewards,
goal, world and store are the real ones. It measures the learners, not the pictures.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rldf_gym.grammar import Grammar, compile_grammar
from rldf_gym.perception import Output, Perception

MISREAD = 0.02
"""Chance that an axis is misread in a state's picture.

The embedded world misreads 2.8 % (base) and 1.6 % (extended) of its states' axes.
"""

_N_VALUES = 10
_COUNTED = {"frequency": 1, "density": 0}
"""Axes whose words are numbers, and the least number."""
_NAMED = ("noun", "scene", "weather", "time_of_day")
_SURE = 0.9
_COIN = 2.0**-32


def synthetic_grammar() -> Grammar:
    """The grammar of 10^6 states: frequency, noun, density, scene, weather, time of day."""
    words = {name: [f"{name}{i}" for i in range(_N_VALUES)] for name in _NAMED}
    words |= {name: [str(least + i) for i in range(_N_VALUES)] for name, least in _COUNTED.items()}
    axes = [f"{name}: " + " | ".join(f'"{word}"' for word in words[name]) for name in words]
    sentence = (
        'start: "a photo of" frequency noun "and" density "people in" scene'
        ' "on a" weather time_of_day'
    )
    return compile_grammar("\n".join([sentence, *axes, '%ignore " "', ""]), "synthetic")


def paint(labels: ArrayLike) -> NDArray[np.uint8]:
    """The picture that shows these labels ``[n_axes]``: uint8 ``[1, n_axes, 3]``."""
    row = np.asarray(labels, np.uint8)
    return np.repeat(row[np.newaxis, :, np.newaxis], 3, axis=2)


def synthetic_arguments(
    goal: Sequence[int], seed: int = 0, misread: float = MISREAD
) -> dict[str, Any]:
    """Arguments of ``gym.make("RLDF-v0", ...)`` for a world with this goal state.

    Args:
        goal: labels ``[6]``, each 0 to 9; the target picture shows them without a mistake.
        seed: which states are misread, and as what.
        misread: chance that an axis is misread in a state, 0 to 1.
    """
    grammar = synthetic_grammar()
    return {
        "grammar": grammar,
        "target": paint(goal),
        "generator": TabularGenerator(grammar, seed, misread),
        "perception": tabular_perception(grammar),
        "store": None,
    }


@dataclass(frozen=True)
class TabularGenerator:
    """A stand-in for a text-to-image model: paints the prompt's labels, some of them wrongly.

    Attributes:
        grammar: of the prompts.
        seed: which states are misread, and as what.
        misread: chance that an axis is misread in a state, 0 to 1.
        name: for messages.
    """

    grammar: Grammar
    seed: int = 0
    misread: float = MISREAD
    name: str = "tabular stand-in"

    @cached_property
    def fingerprint(self) -> str:
        """Identity of everything that decides the pictures, sha256 hex."""
        parts = ("tabular generator", self.grammar.fingerprint, self.seed, self.misread)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """One picture for every prompt: uint8 ``[n, 1, n_axes, 3]``; their seeds change nothing."""
        return np.stack([paint(self.shown(self._words.labels(prompt))) for prompt in prompts])

    def shown(self, state: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the state's picture shows: labels int64 ``[n_axes]``, equal to it but for misreads.

        A misread label is any other of its axis, with equal chances.
        """
        key = self.seed.to_bytes(8, "big", signed=True) + state.astype(">i8").tobytes()
        digest = hashlib.blake2b(key, digest_size=8 * len(state)).digest()
        draws = np.frombuffer(digest, ">u4").astype(np.int64).reshape(2, -1)
        sizes = self.grammar.nvec
        others = (state + 1 + draws[1] % (sizes - 1)) % sizes
        return np.where(draws[0] * _COIN < self.misread, others, state)

    @cached_property
    def _words(self) -> "_Words":
        return _Words(self.grammar)


@dataclass(frozen=True)
class TabularDetector:
    """A stand-in for a detector: as many boxes of the noun, and of people, as the labels say."""

    grammar: Grammar
    fingerprint: str = "tabular detector"
    threshold: float = 0.1

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The nouns, and people last."""
        return (*self.grammar.axis("noun").classes, "person")

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Boxes of every picture uint8 ``[n, 1, n_axes, 3]``."""
        names = self.grammar.axis_names
        return [self._see(dict(zip(names, _labels(p), strict=True))) for p in pictures]

    def _see(self, labels: dict[str, int]) -> Output:
        things, people = (least + labels[name] for name, least in _COUNTED.items())
        classes = np.repeat([labels["noun"], len(self.class_names) - 1], [things, people])
        return {
            "classes": classes.astype(np.int64),
            "confidences": np.full(len(classes), _SURE, np.float32),
            "boxes": np.zeros((len(classes), 4), np.float32),
        }


@dataclass(frozen=True)
class TabularScenes:
    """A stand-in for a scene classifier: all probability on the scene's label."""

    grammar: Grammar
    fingerprint: str = "tabular scenes"

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The scenes."""
        return self.grammar.axis("scene").classes

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Probabilities for every picture uint8 ``[n, 1, n_axes, 3]``."""
        axis, certain = self.grammar.axis_index("scene"), np.eye(_N_VALUES, dtype=np.float32)
        return [{"probabilities": certain[_labels(picture)[axis]]} for picture in pictures]


@dataclass(frozen=True)
class TabularClip:
    """A stand-in for CLIP: the cosine of picture and prompt is the share of equal labels."""

    grammar: Grammar
    fingerprint: str = "tabular clip"
    logit_scale: float = 40.0

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Unit embeddings of pictures uint8 ``[n, 1, n_axes, 3]``."""
        return [{"embedding": self._embed(np.array(_labels(picture)))} for picture in pictures]

    def embed_texts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings float32 ``[n, 10 * n_axes]`` of prompts."""
        return np.stack([self._embed(self._words.labels(prompt)) for prompt in prompts])

    def _embed(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        one_hot = np.zeros(self.grammar.nvec.sum(), np.float32)
        one_hot[self._offsets + labels] = self.grammar.n_axes**-0.5
        return one_hot

    @cached_property
    def _words(self) -> "_Words":
        return _Words(self.grammar)

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return np.cumsum(self.grammar.nvec) - self.grammar.nvec


def tabular_perception(grammar: Grammar) -> Perception:
    """Stand-ins for CLIP, detector and scene classifier that read what `paint` painted."""
    return Perception(TabularClip(grammar), TabularDetector(grammar), TabularScenes(grammar))


def _labels(picture: NDArray[np.uint8]) -> list[int]:
    """What `paint` painted."""
    labels: list[int] = picture[0, :, 0].tolist()
    return labels


class _Words:
    """Reads prompts by the place of every axis's word: ten times faster than parsing them.

    Every value of the synthetic grammar is a single word that is always there.
    """

    def __init__(self, grammar: Grammar) -> None:
        ends = (grammar.nvec * 0, grammar.nvec - 1)
        first, last = (grammar.decode(state).split() for state in ends)
        places = [i for i, (a, b) in enumerate(zip(first, last, strict=True)) if a != b]
        tables = [{word: i for i, word in enumerate(axis.values)} for axis in grammar.axes]
        self._labels = list(zip(places, tables, strict=True))

    def labels(self, prompt: str) -> NDArray[np.int64]:
        words = prompt.split()
        return np.array([labels[words[place]] for place, labels in self._labels], np.int64)
