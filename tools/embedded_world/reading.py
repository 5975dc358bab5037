"""Reads pictures with a perception, without a store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from rldf_gym.grammar import Grammar
from rldf_gym.perception import LabelDecoder, Perception, Reading, clip_reading

_CHUNK = 64


@dataclass(frozen=True)
class ReadPictures:
    """What was read in pictures.

    Attributes:
        whole: by all models of the perception, [n].
        alone: by CLIP alone, [n].
        readers: which model reads each axis, [n_axes].
    """

    whole: list[Reading]
    alone: list[Reading]
    readers: tuple[str, ...]


def read_pictures(perception: Perception, grammar: Grammar, pictures: np.ndarray) -> ReadPictures:
    """Read pictures uint8 [n, H, W, 3]."""
    spec = perception.spec(_remembered(perception))
    decoder = LabelDecoder(grammar, spec)
    found = ReadPictures([], [], decoder.readers)
    for start in tqdm(range(0, len(pictures), _CHUNK), desc=f"reading {grammar.name}"):
        batch = pictures[start : start + _CHUNK]
        seen = {name: model(batch) for name, model in perception.models().items()}
        for i in range(len(batch)):
            reading = decoder.read(**{name: outputs[i] for name, outputs in seen.items()})
            alone = clip_reading(grammar, reading.embedding, spec.embed, spec.logit_scale)
            found.whole.append(reading)
            found.alone.append(alone)
    return found


def read_states(
    perception: Perception, grammar: Grammar, pictures: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the perception reads, and what CLIP alone reads, int64 [n, n_axes]."""
    found = read_pictures(perception, grammar, pictures)
    whole, alone = (np.stack([r.values for r in some]) for some in (found.whole, found.alone))
    return whole, alone


def _remembered(perception: Perception) -> Callable[[Sequence[str]], np.ndarray]:
    known: dict[str, np.ndarray] = {}

    def embed(prompts: Sequence[str]) -> np.ndarray:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        if new:
            known.update(zip(new, perception.clip.embed_texts(new), strict=True))
        return np.stack([known[prompt] for prompt in prompts])

    return embed
