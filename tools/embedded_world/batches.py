"""Random batches of rendered pictures for the models that read pictures.

Half of the pictures that the shipped perception learns from have passed through the autoencoder
(with some noise on their latents), because it will mostly read pictures that a diffusion model
drew. The judge never sees those: it learns from renders alone.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur
from tqdm import tqdm

from tools.embedded_world.autoencoder import decode, encode
from tools.embedded_world.corpus import Corpus
from tools.embedded_world.training_loop import StepRandom

_CHUNK = 500


@dataclass(frozen=True)
class Batch:
    """Pictures and what is known of them.

    Attributes:
        pictures: float32 [n, 3, H, W] in 0..1.
        labels: int64 [n, len(corpus.LABELS)].
        boxes: float32 [n, MAX_BOXES, 5] of class and left, top, right, bottom in 0..1.
        indices: int64 [n], rows of the corpus.
    """

    pictures: Tensor
    labels: Tensor
    boxes: Tensor
    indices: np.ndarray


@dataclass(frozen=True)
class PictureSource:
    """A corpus, and restored copies of its first pictures, to draw batches from."""

    corpus: Corpus
    restored: np.ndarray | None = None

    def draw(self, random: StepRandom, count: int, device: str) -> Batch:
        """Return a random batch with mirroring, light, blur and grain varied."""
        rng, side = random.numpy, self.corpus.pictures.shape[1]
        indices = rng.integers(len(self.corpus), size=count)
        pictures = self.corpus.pictures[indices]
        if self.restored is not None:
            through = np.flatnonzero(rng.uniform(size=count) < 0.5)
            indices[through] %= len(self.restored)
            pictures[through] = self.restored[indices[through]]
        boxes = self.corpus.boxes[indices].astype(np.float32)
        boxes[..., 1:] /= side
        mirrored = rng.uniform(size=count) < 0.5
        pictures[mirrored] = pictures[mirrored, :, ::-1]
        boxes[mirrored] = boxes[mirrored][..., [0, 3, 2, 1, 4]]
        boxes[mirrored, :, 1::2] = 1 - boxes[mirrored, :, 1::2]
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).to(device).float() / 255
        x = x.contiguous(memory_format=torch.channels_last)
        labels = torch.from_numpy(self.corpus.labels[indices].astype(np.int64)).to(device)
        return Batch(_vary(x, rng), labels, torch.from_numpy(boxes).to(device), indices)


def _vary(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    if rng.uniform() < 0.3:
        pictures = gaussian_blur(pictures, [5, 5], [float(rng.uniform(0.3, 1.2))])
    shape = (len(pictures), 1, 1, 1)
    light = torch.from_numpy(rng.uniform(0.92, 1.08, shape).astype(np.float32))
    grain = float(rng.uniform(0, 0.03)) * torch.randn(
        pictures.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**62)))
    )
    return (pictures * light.to(pictures.device) + grain.to(pictures.device)).clamp(0, 1)


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
