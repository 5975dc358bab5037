"""A world small enough to check by eye: every axis of a state is painted as one grey cell.

It shows how to plug in one's own generator and perception: any objects that meet the protocols.
A cell left black means that nothing is there to be seen.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rldf_gym import grammar as grammars
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Output, Perception
from rldf_gym.store import Store

CELL = 8
DARKEST, STEP = 20, 20
load_grammar = functools.cache(grammars.load_grammar)
COUNTS = {"no": 0, "one": 1, "many": 2}


def paint(grammar: Grammar, state: Sequence[int]) -> np.ndarray:
    """The state's picture, uint8 [CELL, CELL * n_axes, 3]; a label of -1 stays black."""
    labels = np.asarray(state)
    greys = np.where(labels < 0, 0, DARKEST + STEP * labels).astype(np.uint8)
    cells = np.repeat(np.repeat(greys[np.newaxis], CELL, axis=0), CELL, axis=1)
    return np.repeat(cells[..., np.newaxis], 3, axis=2)


def labels_in(picture: np.ndarray) -> list[int]:
    """What `paint` painted: a label for every cell, -1 for a black one."""
    greys = picture[CELL // 2, CELL // 2 :: CELL, 0].astype(int)
    return [-1 if grey < DARKEST // 2 else round((grey - DARKEST) / STEP) for grey in greys]


@dataclass
class PaintedGenerator:
    """Paints prompts; `mistakes` maps a prompt to the labels that it paints instead."""

    grammar: Grammar
    mistakes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    name: str = "painted"
    fingerprint: str = "painted-1"
    calls: list[list[str]] = field(default_factory=list)

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        self.calls.append(list(prompts))
        states = [self.mistakes.get(p, self.grammar.encode(p).tolist()) for p in prompts]
        return np.stack([paint(self.grammar, state) for state in states])


@dataclass
class PaintedDetector:
    """Sees as many boxes of the noun, and of people, as the cells say."""

    grammar: Grammar
    fingerprint: str = "painted-detector-1"
    threshold: float = 0.1
    looked_at: int = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        return (*self.grammar.axis("noun").classes, "person")

    def __call__(self, pictures: np.ndarray) -> list[Output]:
        self.looked_at += len(pictures)
        names = self.grammar.axis_names
        return [self._see(dict(zip(names, labels_in(p), strict=True))) for p in pictures]

    def _see(self, label: Mapping[str, int]) -> Output:
        nouns = [label["noun"]] * self._count("frequency", label) if label["noun"] >= 0 else []
        people = [len(self.class_names) - 1] * self._count("density", label)
        classes = np.array(nouns + people, np.int64)
        sure = np.full(len(classes), 0.9, np.float32)
        boxes = np.tile(np.array([0.1, 0.1, 0.4, 0.4], np.float32), (len(classes), 1))
        return {"classes": classes, "confidences": sure, "boxes": boxes}

    def _count(self, axis: str, label: Mapping[str, int]) -> int:
        value = label[axis]
        return 0 if value < 0 else COUNTS[self.grammar.axis(axis).values[value]]


@dataclass
class PaintedScenes:
    """Sees the scene's cell; is at a loss where it is black."""

    grammar: Grammar
    fingerprint: str = "painted-scenes-1"

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.grammar.axis("scene").classes

    def __call__(self, pictures: np.ndarray) -> list[Output]:
        scene = self.grammar.axis_index("scene")
        return [{"probabilities": self._see(labels_in(picture)[scene])} for picture in pictures]

    def _see(self, label: int) -> np.ndarray:
        n_scenes = len(self.class_names)
        if label < 0:
            return np.full(n_scenes, 1 / n_scenes, np.float32)
        return np.eye(n_scenes, dtype=np.float32)[label]


@dataclass
class PaintedClip:
    """Embeds pictures and prompts as one-hot labels: the cosine is the share of equal labels."""

    grammar: Grammar
    fingerprint: str = "painted-clip-1"
    logit_scale: float = 20.0
    texts_embedded: int = 0

    def __call__(self, pictures: np.ndarray) -> list[Output]:
        return [{"embedding": self._embed(labels_in(picture))} for picture in pictures]

    def embed_texts(self, prompts: Sequence[str]) -> np.ndarray:
        self.texts_embedded += len(prompts)
        return np.stack([self._embed(self._labels(prompt)) for prompt in prompts])

    def _labels(self, text: str) -> Sequence[int]:
        """The state of a sentence; of a single value, its label and -1 for the other axes."""
        values = [axis.values for axis in self.grammar.axes]
        if any(text in each for each in values):
            return [each.index(text) if text in each else -1 for each in values]
        return self.grammar.encode(text).tolist()

    def _embed(self, labels: Sequence[int]) -> np.ndarray:
        parts = [
            np.full(n, n**-0.5) if label < 0 else np.eye(n)[label]
            for n, label in zip(self.grammar.nvec, labels, strict=True)
        ]
        return (np.concatenate(parts) / np.sqrt(len(parts))).astype(np.float32)


def painted_perception(grammar: Grammar) -> Perception:
    return Perception(PaintedClip(grammar), PaintedDetector(grammar), PaintedScenes(grammar))


def painted_world(
    grammar: str = "base", store: Store | None = None, **mistakes: object
) -> StateEvaluator:
    """A world of its own, in memory unless a store is given."""
    compiled = load_grammar(grammar)
    generator = PaintedGenerator(compiled, **mistakes)
    return StateEvaluator(
        compiled, generator, painted_perception(compiled), store or Store.open(None)
    )


def painted_arguments(grammar: str = "base", target: Sequence[int] = (1, 5, 1, 3)) -> dict:
    """Arguments of gym.make("RLDF-v0", ...) for a painted world with that goal state."""
    compiled = load_grammar(grammar)
    return {
        "grammar": grammar,
        "target": paint(compiled, target),
        "generator": PaintedGenerator(compiled),
        "perception": painted_perception(compiled),
        "store": None,
    }
