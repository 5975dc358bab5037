"""Stable Diffusion 1.4 and SD-Turbo with random weights of their true sizes, on a CUDA device."""

import contextlib
import dataclasses
import functools
import gc
import itertools
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rldf_gym.generation import PRESETS, DiffusersGenerator, FailedImagesError
from rldf_gym.model_files import EMBEDDED

PAPER = "SD 1.4: the paper's recipe (fp16, attention slicing, one by one)"
OURS = "SD 1.4: ours, best batch"
FORMS = (
    PAPER,
    OURS,
    "SD 1.4: ours, best batch, compiled",
    "SD-Turbo: ours, best batch",
    "SD-Turbo: ours, best batch, compiled",
)
_MATRIX = 8192
_TIMED_BATCHES = 3


def is_available() -> bool:
    """Whether there is a CUDA device."""
    import torch

    return torch.cuda.is_available()


def measure(form: str, quick: bool) -> Mapping[str, Any]:
    """Pictures per second, memory peak and share of the card's matrix rate of one form."""
    import torch

    name = "sd14" if form.startswith("SD 1.4") else "sd-turbo"
    flops = _flops_of_a_picture(name)
    # The peak is this form's alone: what made and counted the networks is gone before it.
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    batch, warm_up, draw = _paper() if form == PAPER else _ours(name, "compiled" in form)
    start = time.perf_counter()
    for _ in range(1 if quick else _TIMED_BATCHES):
        draw()
    torch.cuda.synchronize()
    rate = batch * (1 if quick else _TIMED_BATCHES) / (time.perf_counter() - start)
    return {
        "card": torch.cuda.get_device_name(),
        "batch": batch,
        "pictures_per_second": rate,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
        "warm_up_s": warm_up,
        "matrix_tflops": _matrix_rate() / 1e12,
        "tflop_a_picture": flops / 1e12,
        "share_of_matrix_rate": rate * flops / _matrix_rate(),
    }


def _paper() -> tuple[int, float, Callable[[], object]]:
    import diffusers
    import torch

    preset = PRESETS["sd14"]
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        _folder("sd14"), torch_dtype=torch.float16, local_files_only=True
    ).to("cuda")
    pipeline.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(
        pipeline.scheduler.config
    )
    pipeline.enable_attention_slicing()

    def draw() -> object:
        return pipeline(
            "a photo of one dog and no people in park",
            negative_prompt=preset.negative_prompt,
            num_inference_steps=preset.steps,
            guidance_scale=preset.guidance_scale,
            height=preset.height,
            width=preset.width,
            generator=torch.Generator("cpu").manual_seed(0),
        ).images

    pipeline.set_progress_bar_config(disable=True)
    draw()
    return 1, 0.0, draw


def _ours(name: str, compiled: bool) -> tuple[int, float, Callable[[], object]]:
    generator = _generator(name, "default" if compiled else None)
    prompts = itertools.cycle(
        ("a photo of one dog and no people in park", "a photo of many car and one people in snow")
    )

    def draw() -> None:
        # Random weights may well draw black, or overflow.
        with contextlib.suppress(FailedImagesError):
            batch = generator.batch_size
            generator(list(itertools.islice(prompts, batch)), range(batch))

    draw()  # A few pictures, from which it learns how many fit.
    draw()
    return generator.batch_size, sum(generator.warm_up_seconds.values()), draw


def _generator(name: str, compiled: str | None) -> DiffusersGenerator:
    changes = {"vae": None, "variant": None, "compile": compiled, "batch_size": None}
    preset = dataclasses.replace(PRESETS[name], repository=str(_folder(name)), **changes)
    return DiffusersGenerator(name, preset, "cuda")


@functools.cache
def _matrix_rate() -> float:
    """Floating point operations per second of large float16 products: what the card can do."""
    import torch

    left, right = torch.randn(2, _MATRIX, _MATRIX, dtype=torch.float16, device="cuda")
    for _ in range(5):
        left @ right
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        left @ right
    torch.cuda.synchronize()
    return 20 * 2 * _MATRIX**3 / (time.perf_counter() - start)


@functools.cache
def _flops_of_a_picture(name: str) -> float:
    """Counted by torch, text encoders and decoder included."""
    from torch.utils.flop_counter import FlopCounterMode

    generator = _generator(name, None)
    suppressed = contextlib.suppress(FailedImagesError)
    with FlopCounterMode(display=False) as counter, suppressed:
        generator(["a photo of one dog"], [0])
    return float(counter.get_total_flops())


@functools.cache
def _folder(name: str) -> Path:
    """A pipeline of the model's true sizes with random weights, in diffusers' format."""
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    is_2 = name == "sd-turbo"
    tokenizer = CLIPTokenizer.from_pretrained(
        EMBEDDED / "text_to_image" / "tokenizer", model_max_length=77
    )
    width, heads, layers = (1024, 16, 23) if is_2 else (768, 12, 12)
    text = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        hidden_act="gelu" if is_2 else "quick_gelu",
        max_position_embeddings=77,
        eos_token_id=tokenizer.eos_token_id,
    )
    unet = {"attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True} if is_2 else {}
    with torch.device("cuda"):
        pipeline = diffusers.StableDiffusionPipeline(
            vae=diffusers.AutoencoderKL(
                block_out_channels=(128, 256, 512, 512),
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                latent_channels=4,
                layers_per_block=2,
                sample_size=512,
            ),
            text_encoder=CLIPTextModel(text),
            tokenizer=tokenizer,
            unet=diffusers.UNet2DConditionModel(
                sample_size=64,
                cross_attention_dim=width,
                block_out_channels=(320, 640, 1280, 1280),
                layers_per_block=2,
                **unet,
            ),
            scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="trailing")
            if is_2
            else diffusers.PNDMScheduler(steps_offset=1, skip_prk_steps=True),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    folder = Path(tempfile.mkdtemp(prefix="rldf-gym-")) / name
    pipeline.to(torch.float16).save_pretrained(folder)
    return folder
