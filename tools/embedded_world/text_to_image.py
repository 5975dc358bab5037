"""Trains the text-to-image model: a small CLIP text encoder and a U-Net on 16x16 latents.

References: v-prediction, Salimans & Ho 2022 (arXiv:2202.00512); min-SNR weighting, Hang et al.
2023 (arXiv:2303.09556); squared-cosine schedule, Nichol & Dhariwal 2021 (arXiv:2102.09672);
classifier-free guidance, Ho & Salimans 2022 (arXiv:2207.12598), whose effect the second phase
writes into the model, so that drawing needs one U-Net call a step (the idea of Tang et al. 2025,
arXiv:2502.12154, with a frozen teacher).
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderTiny,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from tools.embedded_world.autoencoder import LATENT_CHANNELS, encode
from tools.embedded_world.corpus import GRAMMARS, Corpus, in_style
from tools.embedded_world.renderer import PERSON_CLASS
from tools.embedded_world.styles import painting
from tools.embedded_world.tokenizer import CONTEXT_LENGTH, moved_embeddings, write_tokenizer
from tools.embedded_world.training_loop import Plan, StepRandom, fit, mixed_precision

LATENT_SIDE = 16
_TEXT_WIDTH = 128
_BLOCKS = (64, 128, 160)
_NO_CAPTION_SHARE = 0.1
_MIN_SNR = 5.0
_PERSON_WEIGHT, _THING_WEIGHT = 3.0, 2.0  # against 1 for the background
_PAINTED_SHARE = 0.33
_ENCODED, _ENCODING_SEED = 512, 3
_GUIDANCE = 2.0  # the guidance scale that the second phase writes into the model


class TextToImage(nn.Module):
    """The two networks that learn together."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=_TEXT_WIDTH,
                intermediate_size=4 * _TEXT_WIDTH,
                projection_dim=_TEXT_WIDTH,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=CONTEXT_LENGTH,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        self.unet = UNet2DConditionModel(
            sample_size=LATENT_SIDE,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            layers_per_block=1,
            block_out_channels=_BLOCKS,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=_TEXT_WIDTH,
            attention_head_dim=4,
            norm_num_groups=16,
            addition_embed_type="text",
            addition_embed_type_num_heads=4,
        )
        for module in self.unet.modules():
            if type(module).__name__ == "ResnetBlock2D":
                nn.init.zeros_(module.conv2.weight)
                nn.init.zeros_(module.conv2.bias)
        nn.init.zeros_(self.unet.conv_out.weight)

    def load(self, pipeline: Path, tokens: dict[str, int]) -> None:
        """Load the networks of a trained pipeline whose vocabulary may be smaller."""
        old = json.loads((pipeline / "tokenizer" / "vocab.json").read_text())
        weights = CLIPTextModel.from_pretrained(pipeline / "text_encoder").float().state_dict()
        fresh = self.text_encoder.state_dict()
        (name,) = (key for key in fresh if key.endswith("token_embedding.weight"))
        weights[name] = moved_embeddings(weights[name], old, fresh[name], tokens)
        self.text_encoder.load_state_dict(weights)
        unet = UNet2DConditionModel.from_pretrained(pipeline / "unet").float()
        self.unet.load_state_dict(unet.state_dict())

    def forward(self, noisy: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """Predict the velocity, [n, LATENT_CHANNELS, 16, 16]."""
        states = self.text_encoder(tokens).last_hidden_state
        return self.unet(noisy, timesteps, states, return_dict=False)[0].float()


@dataclass(frozen=True)
class LatentSet:
    """Encoded pictures with captions.

    Attributes:
        latents: float16 [n, LATENT_CHANNELS, 16, 16], scaled to unit variance.
        tokens: int64 [n, CONTEXT_LENGTH].
        weights: float32 [n, 16, 16], loss weights of mean 1.
        no_caption: int64 [CONTEXT_LENGTH], the tokens of the empty caption.
    """

    latents: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    no_caption: np.ndarray


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> np.ndarray:
    """Return int64 [n, CONTEXT_LENGTH]."""
    batch = tokenizer(texts, padding="max_length", max_length=CONTEXT_LENGTH, truncation=True)
    return np.array(batch["input_ids"], np.int64)


def _figure_weights(boxes: np.ndarray, side: int) -> np.ndarray:
    weights = np.ones((LATENT_SIDE, LATENT_SIDE), np.float32)
    cell = side / LATENT_SIDE
    for kind, left, top, right, bottom in boxes[boxes[:, 0] >= 0]:
        rows = slice(int(top / cell), int(np.ceil(bottom / cell)))
        columns = slice(int(left / cell), int(np.ceil(right / cell)))
        weight = _PERSON_WEIGHT if kind == PERSON_CLASS else _THING_WEIGHT
        weights[rows, columns] = np.maximum(weights[rows, columns], weight)
    return weights / weights.mean()


def encode_corpus(
    corpus: Corpus,
    autoencoder: AutoencoderTiny,
    tokenizer: CLIPTokenizer,
    kept: Path,
    device: str,
) -> LatentSet:
    """Encode the tidy pictures of combinations that are not held out, some of them as paintings.

    Args:
        corpus: the pictures.
        autoencoder: encodes them.
        tokenizer: for their captions.
        kept: file that keeps the latents for a resumed run.
        device: torch device.
    """
    rng = np.random.default_rng(_ENCODING_SEED)
    tidy = np.flatnonzero((corpus.labels[:, -1] == 1) & ~corpus.held_out)
    in_clear_day = tidy[corpus.grammars[tidy] != GRAMMARS.index("extended")]
    painted = rng.choice(in_clear_day, round(len(in_clear_day) * _PAINTED_SHARE), replace=False)
    rows = np.concatenate([tidy, painted])
    if not kept.exists():
        parts = []
        for start in tqdm(range(0, len(rows), _ENCODED), desc="encoding", mininterval=10):
            part = slice(start, start + _ENCODED)
            pictures = corpus.pictures[rows[part]]
            paintings = np.arange(len(rows))[part] >= len(tidy)
            pictures[paintings] = _painted(pictures[paintings], rng)
            parts.append(encode(autoencoder, pictures, device))
        partial = kept.with_suffix(".partial.npy")
        np.save(partial, np.concatenate(parts) * np.float16(autoencoder.config.scaling_factor))
        partial.replace(kept)
    side = corpus.pictures.shape[1]
    captions = [corpus.sentence(int(i)) for i in tidy]
    captions += [in_style(corpus.sentence(int(i)), "painting") for i in painted]
    return LatentSet(
        np.load(kept, mmap_mode="r"),
        tokenize(tokenizer, captions),
        np.stack([_figure_weights(corpus.boxes[i], side) for i in rows]),
        tokenize(tokenizer, [""])[0],
    )


def _painted(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return uint8 [n, H, W, 3] pictures as paintings."""
    if not len(pictures):
        return pictures
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return (painting(x, rng) * 255).round().byte().permute(0, 2, 3, 1).numpy()


def _use_plain_attention(model: TextToImage) -> None:
    """Write attention out: on a CPU the fused kernel's backward pass costs a third of a step."""
    model.unet.set_attn_processor(AttnProcessor())
    model.text_encoder.set_attn_implementation("eager")


def noise_schedule() -> DDPMScheduler:
    """Return the schedule that training and drawing share."""
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")


@dataclass(frozen=True)
class _Batch:
    noisy: Tensor
    velocity: Tensor
    timesteps: Tensor
    tokens: Tensor
    weights: Tensor


def _noised(
    data: LatentSet, random: StepRandom, count: int, no_caption: float, device: str
) -> _Batch:
    schedule = noise_schedule()
    chosen = random.numpy.integers(len(data.latents), size=count)
    clean = torch.from_numpy(data.latents[chosen].astype(np.float32))
    noise = torch.randn(clean.shape, generator=random.torch)
    strata = (np.arange(count) + random.numpy.uniform(size=count)) / count  # spread evenly
    timesteps = torch.from_numpy((strata * schedule.config.num_train_timesteps).astype(np.int64))
    tokens = data.tokens[chosen].copy()
    tokens[random.numpy.uniform(size=count) < no_caption] = data.no_caption
    signal = schedule.alphas_cumprod[timesteps]
    snr = signal / (1 - signal)
    emphasis = torch.clamp(snr, max=_MIN_SNR) / (snr + 1)
    weights = torch.from_numpy(data.weights[chosen]) * emphasis[:, None, None]
    noisy = schedule.add_noise(clean, noise, timesteps)
    velocity = schedule.get_velocity(clean, noise, timesteps)
    parts = (noisy, velocity, timesteps, torch.from_numpy(tokens), weights[:, None])
    return _Batch(*(part.to(device) for part in parts))


def train_text_to_image(model: TextToImage, data: LatentSet, plan: Plan, batch: int) -> TextToImage:
    """First phase: denoising, with a tenth of the captions left out."""
    torch.manual_seed(plan.seed)
    model.to(plan.device, memory_format=torch.channels_last)
    _use_plain_attention(model)

    def loss(step: int, random: StepRandom) -> Tensor:
        b = _noised(data, random, batch, _NO_CAPTION_SHARE, plan.device)
        with mixed_precision(plan.device):
            predicted = model(b.noisy, b.timesteps, b.tokens)
        return (b.weights * (predicted - b.velocity).square()).mean()

    fit(model, loss, plan)
    return model


def distil_guidance(model: TextToImage, data: LatentSet, plan: Plan, batch: int) -> TextToImage:
    """Second phase: the target moves by what guidance would add, as a frozen copy sees it."""
    _use_plain_attention(model)
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    empty = torch.from_numpy(data.no_caption).to(plan.device)

    def loss(step: int, random: StepRandom) -> Tensor:
        b = _noised(data, random, batch, 0.0, plan.device)
        with mixed_precision(plan.device):
            with torch.no_grad():
                guided = teacher(b.noisy, b.timesteps, b.tokens)
                unguided = teacher(b.noisy, b.timesteps, empty.expand(len(b.tokens), -1))
            predicted = model(b.noisy, b.timesteps, b.tokens)
        target = b.velocity + (_GUIDANCE - 1) * (guided - unguided)
        return (b.weights * (predicted - target).square()).mean()

    fit(model, loss, plan)
    return model


def save_pipeline(
    model: TextToImage, autoencoder: Path, tokenizer: CLIPTokenizer, folder: Path
) -> None:
    """Write the exact `StableDiffusionPipeline` folder, fp16 safetensors."""
    scheduler = DPMSolverMultistepScheduler.from_config(
        noise_schedule().config,
        algorithm_type="dpmsolver++",
        timestep_spacing="trailing",
        lambda_min_clipped=-5.1,
        steps_offset=1,
    )
    text_encoder = copy.deepcopy(model.text_encoder).cpu()
    text_encoder.set_attn_implementation("sdpa")
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderTiny.from_pretrained(autoencoder),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=copy.deepcopy(model.unet).cpu(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(folder, safe_serialization=True)
    write_tokenizer(tokenizer, folder / "tokenizer")
