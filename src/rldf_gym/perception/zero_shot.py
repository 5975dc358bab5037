"""Reading axes by CLIP alone: the picture against prompts that differ only in that axis."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.grammar import Grammar
from rldf_gym.perception.protocols import PerceptionSpec, Reading, TextEmbedder

WIDE = 24
"""Values of an axis beyond which it is read by itself first."""

SHORTLIST = 4
"""Values of a wide axis that are compared within the prompt."""

_MAX_SWEEPS = 20


def clip_reading(
    grammar: Grammar,
    embedding: NDArray[np.float32],
    embed: TextEmbedder,
    logit_scale: float,
) -> Reading:
    """Read every axis by CLIP alone, without detector and scene classifier; see `zero_shot`."""
    unread = np.full(grammar.n_axes, -1, np.int64)
    return zero_shot(grammar, embedding, unread, embed, logit_scale)


def fill_unread(reading: Reading, grammar: Grammar, spec: PerceptionSpec) -> Reading:
    """Fill the axes in which nothing could be read by CLIP zero-shot, given those that could.

    Args:
        reading: Its read axes are kept as they are.
        grammar: The grammar of the reading.
        spec: Text embeddings and logit scale of the CLIP model whose embedding the reading has.

    Returns:
        The same reading if every axis was read.
    """
    unread = reading.values < 0
    if not unread.any():
        return reading
    filled = zero_shot(grammar, reading.embedding, reading.values, spec.embed, spec.logit_scale)
    return Reading(
        filled.values,
        np.where(unread, filled.confidence, reading.confidence),
        reading.embedding,
        tuple(
            (filled if is_unread else reading).probabilities[axis]
            for axis, is_unread in enumerate(unread.tolist())
        ),
    )


def zero_shot(
    grammar: Grammar,
    embedding: NDArray[np.float32],
    values: NDArray[np.int64],
    embed: TextEmbedder,
    logit_scale: float,
) -> Reading:
    """Fill the unread axes of a state by CLIP zero-shot.

    Every axis is compared over the prompts that differ only in it. Unread axes depend on one
    another through those prompts, so they are set in turns, the longest first, until none changes
    (coordinate ascent on the cosine), once from the first value of each and once from the last;
    the better end counts. Deterministic.

    Where an unread axis has more than `WIDE` values, every unread axis is first read by itself,
    against "a photo of ..." with each of its values (Radford et al. 2021, §3.1.4). These texts are
    the same for every image. The ascent starts from what is read so, and compares on a wide axis
    only the `SHORTLIST` best values.

    Args:
        grammar: Its axes are read.
        embedding: Unit CLIP embedding of the image, float32 `[d]`.
        values: int64 `[n_axes]`, -1 where an axis is to be read; the others are kept.
        embed: Text embeddings by the same CLIP model.
        logit_scale: Of the same CLIP model.

    Returns:
        A reading with all axes filled. The probabilities of an axis that was read here are the
        softmax of logit_scale times cosine, and its confidence that of its value; an axis that was
        given has probability and confidence 1. On a wide axis the shortlist shares what it has by
        itself, so the other values keep theirs.
    """
    free = sorted(np.flatnonzero(values < 0).tolist(), key=lambda axis: -int(grammar.nvec[axis]))
    alone: dict[int, NDArray[np.float64]] = {}
    if any(len(grammar.axes[axis]) > WIDE for axis in free):
        for axis in free:
            texts = [_alone(value) for value in grammar.axes[axis].values]
            alone[axis] = _softmax(logit_scale * (embed(texts) @ embedding))
    candidates = {axis: _candidates(axis, grammar, alone) for axis in free}
    cosines = _Cosines(grammar, embedding, embed)
    best, best_cosine = values.copy(), -np.inf
    for start in _starts(values, grammar, alone):
        state = _ascend(start, candidates, cosines)
        cosine = float(cosines(state[np.newaxis])[0])
        if cosine > best_cosine:
            best, best_cosine = state, cosine
    probabilities = [
        (np.arange(size) == label).astype(np.float32)
        for size, label in zip(grammar.nvec, best, strict=True)
    ]
    for axis, labels in candidates.items():
        shares = _softmax(logit_scale * cosines(_varied(best, axis, labels)))
        if len(labels) < len(probabilities[axis]):
            probabilities[axis] = alone[axis].astype(np.float32)
            shares *= alone[axis][labels].sum()
        probabilities[axis][labels] = shares
    confidence = [chances[label] for chances, label in zip(probabilities, best, strict=True)]
    return Reading(best, np.array(confidence, np.float32), embedding, tuple(probabilities))


def _alone(value: str) -> str:
    return f"a photo of {value}" if value else "a photo"


def _softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    weights = np.exp(logits.astype(np.float64) - logits.max())
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _candidates(
    axis: int, grammar: Grammar, alone: Mapping[int, NDArray[np.float64]]
) -> NDArray[np.int64]:
    """Return the labels of an axis that are compared within prompts, in ascending order."""
    size = len(grammar.axes[axis])
    if size <= WIDE:
        return np.arange(size)
    return np.sort(np.argsort(-alone[axis], kind="stable")[:SHORTLIST])


def _starts(
    values: NDArray[np.int64], grammar: Grammar, alone: Mapping[int, NDArray[np.float64]]
) -> list[NDArray[np.int64]]:
    if not alone:
        return [np.where(values < 0, end, values) for end in (0, grammar.nvec - 1)]
    start = values.copy()
    for axis, chances in alone.items():
        start[axis] = chances.argmax()
    return [start]


class _Cosines:
    """Cosine of one picture with the prompts of states; every prompt is embedded once."""

    def __init__(
        self, grammar: Grammar, embedding: NDArray[np.float32], embed: TextEmbedder
    ) -> None:
        self._decode = grammar.decode
        self._embedding = embedding
        self._embed = embed
        self._known: dict[str, float] = {}

    def __call__(self, states: NDArray[np.int64]) -> NDArray[np.float64]:
        prompts = [self._decode(state) for state in states]
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        if new:
            cosines = self._embed(new) @ self._embedding
            self._known.update(zip(new, cosines.tolist(), strict=True))
        return np.array([self._known[prompt] for prompt in prompts])


def _ascend(
    state: NDArray[np.int64], candidates: Mapping[int, NDArray[np.int64]], cosines: _Cosines
) -> NDArray[np.int64]:
    for _ in range(_MAX_SWEEPS):
        before = state.copy()
        for axis, labels in candidates.items():
            states = _varied(state, axis, labels)
            scores = cosines(states)
            # A tie keeps the value, so every change is a gain and the ascent ends.
            if scores.max() > scores[labels == state[axis]].item():
                state = states[scores.argmax()]
        if np.array_equal(state, before):
            break
    return state


def _varied(state: NDArray[np.int64], axis: int, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the states `[n, n_axes]` that have these labels `[n]` on that axis."""
    states = np.repeat(state[np.newaxis], len(labels), axis=0)
    states[:, axis] = labels
    return states
