"""Random batches of rendered pictures for the models that read pictures.

Some of the pictures that the shipped perception learns from have passed through the autoencoder
(with some noise on their latents), because it will mostly read generated pictures. The judge
learns from renders only.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from tqdm import tqdm

from tools.embedded_world.augmentations import change_appearance, warp
from tools.embedded_world.autoencoder import decode, encode
from tools.embedded_world.corpus import GRAMMARS, Corpus
from tools.embedded_world.styles import STYLE_NAMES, STYLES
from tools.embedded_world.training_loop import StepRandom

_CHUNK = 500
_RESTORED_SHARE = 0.4
_WARPED_SHARE = 0.4
_GRAINY_SHARE = 0.4
_CHANGED_SHARES = (0.3, 0.7)  # where the weather has to stay readable, and elsewhere
_STYLED_SHARE = 0.6  # of pictures with weather; `_STYLE_SHARES` says how many stay photos
_STYLE_SHARES = (0.40, 0.20, 0.32, 0.08)


@dataclass(frozen=True)
class Batch:
    """Pictures and what is known of them.

    Attributes:
        pictures: float32 [n, 3, H, W] in 0..1.
        labels: int64 [n, len(corpus.LABELS)].
        styles: int64 [n], index into `styles.STYLE_NAMES`.
        boxes: float32 [n, MAX_BOXES, 5] of class and left, top, right, bottom in 0..1.
        indices: int64 [n], rows of the corpus.
    """

    pictures: Tensor
    labels: Tensor
    styles: Tensor
    boxes: Tensor
    indices: np.ndarray


@dataclass(frozen=True)
class PictureSource:
    """A corpus, and restored copies of its first pictures, to sample batches from."""

    corpus: Corpus
    restored: np.ndarray | None = None

    def sample(self, random: StepRandom, count: int, device: str) -> Batch:
        """Return a random batch: some pictures as they are, the others changed in many ways."""
        rng = random.numpy
        indices = rng.integers(len(self.corpus), size=count)
        pixels = self.corpus.pictures[indices]
        if self.restored is not None:
            through = np.flatnonzero(rng.uniform(size=count) < _RESTORED_SHARE)
            indices[through] %= len(self.restored)
            pixels[through] = self.restored[indices[through]]
        boxes = self.corpus.boxes[indices].astype(np.float32)
        boxes[..., 1:] /= pixels.shape[1]
        mirrored = rng.uniform(size=count) < 0.5
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        boxes[mirrored] = boxes[mirrored][..., [0, 3, 2, 1, 4]]
        boxes[mirrored, :, 1::2] = 1 - boxes[mirrored, :, 1::2]
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device).float() / 255
        x, boxes = warp(x, boxes, rng.uniform(size=count) < _WARPED_SHARE, rng)
        with_weather = self.corpus.grammars[indices] == GRAMMARS.index("extended")
        changed = rng.uniform(size=count) < np.where(with_weather, *_CHANGED_SHARES)
        styled = np.where(with_weather, rng.uniform(size=count) < _STYLED_SHARE, changed)
        x, styles = change_some(x, styled, changed, rng)
        return Batch(
            x.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(self.corpus.labels[indices].astype(np.int64)).to(device),
            torch.from_numpy(styles).to(device),
            torch.from_numpy(boxes).to(device),
            indices,
        )


def change_some(
    pictures: Tensor, styled: np.ndarray, changed: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """Give the ``styled`` (bool [n]) pictures a random style, change the ``changed`` ones.

    Returns:
        The pictures, and their styles int64 [n].
    """
    pictures, styles = _in_styles(pictures, styled, rng)
    return change_appearance(_vary(pictures, rng), changed, rng), styles


def _in_styles(
    pictures: Tensor, chosen: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, np.ndarray]:
    """Give the ``chosen`` (bool [n]) pictures a random style; return styles int64 [n] too."""
    styles = rng.choice(len(STYLE_NAMES), len(pictures), p=_STYLE_SHARES)
    styles[~chosen] = 0
    pictures = pictures.clone()
    for number, name in enumerate(STYLE_NAMES):
        rows = np.flatnonzero(styles == number)
        for part in np.array_split(rows, 3):  # so that a filter's own variants mix in a batch
            if number and len(part):
                pictures[part] = STYLES[name](pictures[part], rng)
    return pictures, styles


def _vary(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Change light a little, and add weak grain to some."""
    light = torch.from_numpy(rng.uniform(0.92, 1.08, (len(pictures), 1, 1, 1)).astype(np.float32))
    pictures = pictures * light.to(pictures.device)
    rows = np.flatnonzero(rng.uniform(size=len(pictures)) < _GRAINY_SHARE)
    shape = (len(rows), *pictures.shape[1:])
    grain = float(rng.uniform(0, 0.03)) * torch.from_numpy(rng.standard_normal(shape, np.float32))
    pictures[rows] += grain.to(pictures.device)
    return pictures.clamp(0, 1)


def restored_pictures(
    corpus: Corpus, autoencoder: AutoencoderTiny, path: Path, count: int, seed: int, device: str
) -> np.ndarray:
    """Return uint8 pictures that went through the autoencoder, made once and kept in ``path``."""
    if path.exists():
        return np.load(path)
    rng = np.random.default_rng(seed)
    parts = []
    for start in tqdm(range(0, count, _CHUNK), desc="restoring pictures", mininterval=10):
        latents = encode(autoencoder, corpus.pictures[start : start + _CHUNK], device)
        spread = rng.uniform(0, 0.35, (len(latents), 1, 1, 1))
        noisy = latents.astype(np.float32) + spread * rng.normal(size=latents.shape)
        parts.append(decode(autoencoder, noisy.astype(np.float32), device))
    pictures = np.concatenate(parts)
    partial = path.with_suffix(".partial.npy")
    np.save(partial, pictures)
    partial.replace(path)
    return pictures
