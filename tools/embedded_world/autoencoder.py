"""Trains the autoencoder: 128x128 pictures to 16x16 latents of 12 channels and back.

Learns on 64x64 crops, mostly centred on figures, so that most of the work goes into what has to
be recognised; both halves are convolutional and take whole pictures afterwards.

The decoder is wide at low resolutions and linear at the highest one, where a convolution costs
most: the last layers only lay out what was computed at half the side, as in EDSR (Lim et al. 2017,
arXiv:1707.02921).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from tools.embedded_world.corpus import Corpus
from tools.embedded_world.training_loop import Plan, StepRandom, fit, mixed_precision

LATENT_CHANNELS = 12
_CROP = 64
_ENCODER_WIDTH, _DECODER_WIDTH = 32, 64
_PERCEPTUAL_WEIGHT = 0.1
_ON_FIGURE = 0.75  # share of crops that are centred on a figure
_LATENT_NOISE = 0.05


def build_autoencoder() -> AutoencoderTiny:
    """Return an untrained AutoencoderTiny with factor 8."""
    return AutoencoderTiny(
        encoder_block_out_channels=(_ENCODER_WIDTH,) * 4,
        decoder_block_out_channels=(_DECODER_WIDTH,) * 4,
        latent_channels=LATENT_CHANNELS,
        num_encoder_blocks=(0, 1, 2, 2),
        num_decoder_blocks=(4, 3, 1, 0),
    )


def crops(corpus: Corpus, rng: np.random.Generator, count: int) -> Tensor:
    """Return float32 [count, 3, 64, 64] in -1..1, cut from random pictures."""
    side = corpus.pictures.shape[1]
    chosen = np.empty((count, _CROP, _CROP, 3), np.uint8)
    for row, i in enumerate(rng.integers(len(corpus), size=count)):
        boxes = corpus.boxes[i]
        boxes = boxes[boxes[:, 0] >= 0]
        left, top = rng.integers(0, side - _CROP + 1, 2)
        if len(boxes) and rng.uniform() < _ON_FIGURE:
            box = boxes[rng.integers(len(boxes))]
            play = rng.integers(-16, 17, 2)
            left = np.clip((box[1] + box[3]) // 2 - _CROP // 2 + play[0], 0, side - _CROP)
            top = np.clip((box[2] + box[4]) // 2 - _CROP // 2 + play[1], 0, side - _CROP)
        chosen[row] = corpus.pictures[i, top : top + _CROP, left : left + _CROP]
    return torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 127.5 - 1


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def reconstruction_loss(restored: Tensor, original: Tensor) -> Tensor:
    """L1 + L2 + L1 of the differences between neighbouring pixels."""
    error = restored - original
    edges = sum(
        (a - b).abs().mean() for a, b in zip(_edges(restored), _edges(original), strict=True)
    )
    return error.abs().mean() + error.square().mean() + edges


class PerceptualLoss(nn.Module):
    """Distance of the features that a network for pictures computes in its first layers.

    Source: LPIPS without learned weights (Zhang et al. 2018, arXiv:1801.03924, Eq. 1).

    Args:
        tower: a timm residual network, frozen.
    """

    def __init__(self, tower: Any) -> None:
        super().__init__()
        stem = nn.Sequential(tower.conv1, tower.bn1, tower.act1)
        self._stages = nn.ModuleList(
            [stem, nn.Sequential(tower.maxpool, tower.layer1), tower.layer2]
        )

    def forward(self, restored: Tensor, original: Tensor) -> Tensor:
        """Return the mean over stages for pictures float32 [n, 3, H, W] in -1..1."""
        total = restored.new_zeros(())
        for stage in self._stages:
            restored, original = stage(restored), stage(original)
            apart = functional.normalize(restored, dim=1) - functional.normalize(original, dim=1)
            total = total + apart.square().sum(1).mean()
        return total / len(self._stages)


def train_autoencoder(
    corpus: Corpus,
    plan: Plan,
    batch: int,
    start: Path | None = None,
    perceptual: PerceptualLoss | None = None,
) -> AutoencoderTiny:
    """Train, and set the scaling factor so that scaled latents have unit variance.

    Args:
        corpus: pictures.
        plan: how long, how fast.
        batch: crops a step.
        start: folder of an autoencoder whose encoder is kept as it is, and with it the latents
            that a denoising network has learned; None to train both halves.
        perceptual: a further term of the loss.
    """
    torch.manual_seed(plan.seed)
    model = build_autoencoder()
    if start is not None:
        kept = AutoencoderTiny.from_pretrained(start)
        model.encoder.load_state_dict(kept.encoder.state_dict())
        model.encoder.requires_grad_(False)
        model.register_to_config(scaling_factor=kept.config.scaling_factor)
    model.to(plan.device, memory_format=torch.channels_last)

    def loss(step: int, random: StepRandom) -> Tensor:
        original = crops(corpus, random.numpy, batch).to(plan.device)
        original = original.contiguous(memory_format=torch.channels_last)
        with mixed_precision(plan.device):
            latents = model.encode(original).latents.float()
            noise = torch.randn(latents.shape, generator=random.torch).to(plan.device)
            restored = model.decode(latents + _LATENT_NOISE * noise).sample.float()
            total = reconstruction_loss(restored, original)
            if perceptual is not None:
                total = total + _PERCEPTUAL_WEIGHT * perceptual(restored, original).float()
        if start is None:
            mean, spread = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
            total = total + 0.01 * (mean.square().mean() + (spread - 1).square().mean())
        return total

    fit(model, loss, plan)
    if start is None:
        latents = encode(model, corpus.pictures[:2000], plan.device).astype(np.float32)
        model.register_to_config(scaling_factor=round(float(1 / latents.std()), 4))
    return model


@torch.inference_mode()
def encode(model: AutoencoderTiny, pictures: np.ndarray, device: str) -> np.ndarray:
    """Return unscaled latents, float16 [n, LATENT_CHANNELS, 16, 16], of uint8 pictures."""
    model.eval()
    parts = []
    for start in tqdm(range(0, len(pictures), 64), desc="encoding", mininterval=10, leave=False):
        pixels = torch.from_numpy(np.ascontiguousarray(pictures[start : start + 64])).to(device)
        x = (pixels.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(
            memory_format=torch.channels_last
        )
        with mixed_precision(device):
            parts.append(model.encode(x).latents.half().cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def decode(model: AutoencoderTiny, latents: np.ndarray, device: str) -> np.ndarray:
    """Return uint8 [n, 128, 128, 3] pictures of unscaled latents."""
    model.eval()
    parts = []
    for start in range(0, len(latents), 64):
        z = torch.from_numpy(latents[start : start + 64]).to(device).float()
        with mixed_precision(device):
            pixels = model.decode(z).sample.float().clamp(-1, 1)
        parts.append(((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)


def reconstruction_quality(
    folder: Path, corpus: Corpus, count: int = 512, device: str = "cpu"
) -> dict[str, float]:
    """Return the saved model's peak signal-to-noise ratio in dB, overall and inside boxes."""
    model = AutoencoderTiny.from_pretrained(folder).float().to(device)
    pictures = np.asarray(corpus.pictures[:count])
    restored = decode(model, encode(model, pictures, device).astype(np.float32), device)
    error = np.square(restored.astype(np.float32) - pictures).mean(axis=3)
    inside = np.zeros(error.shape, bool)
    for i in range(count):
        for kind, left, top, right, bottom in corpus.boxes[i]:
            if kind >= 0:
                inside[i, top:bottom, left:right] = True
    decibels = {"all": error.mean(), "figures": error[inside].mean()}
    return {name: float(10 * np.log10(255**2 / value)) for name, value in decibels.items()}


def save_autoencoder(model: AutoencoderTiny, folder: Path) -> None:
    """Write fp16 safetensors in diffusers' folder format."""
    model.to("cpu").half().save_pretrained(folder, safe_serialization=True)
