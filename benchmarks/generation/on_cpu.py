"""The embedded model on the CPU: the plain pipeline's call against our generator's."""

import functools
import itertools
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rldf_gym.generation import DiffusersGenerator, make_generator

OURS = "ours, batches"
SAME_PIXELS = (
    "plain pipeline, one by one",
    "ours, one by one",
    "plain pipeline, batches",
    OURS,
)
HALF = "ours, batches, dtype bfloat16"
FORMS = (*SAME_PIXELS, HALF)
_BATCH = 16
_PROMPTS = [
    f"a photo of {how_many} {noun} and {people} people in {scene}"
    for noun, scene, how_many, people in itertools.product(
        ("dog", "duck", "car", "horse"), ("park", "snow"), ("one", "many"), ("no", "one", "many")
    )
]


def measure(form: str, quick: bool) -> Mapping[str, Any]:
    """Milliseconds a picture, and the largest difference from the plain pipeline's pixels."""
    prompts = _PROMPTS[:_BATCH] if quick else _PROMPTS
    size = 1 if form.endswith("one by one") else _BATCH
    dtype = "bfloat16" if form == HALF else "float32"
    draw = _plain if form.startswith("plain") else functools.partial(_ours, dtype)
    draw(prompts[:size], 0)
    wall, processor = time.perf_counter(), time.process_time()
    drawn = [draw(prompts[at : at + size], at) for at in range(0, len(prompts), size)]
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    first = drawn[0].astype(int)
    return {
        "pictures": len(prompts),
        "wall_ms": 1000 * wall / len(prompts),
        "processor_ms": 1000 * processor / len(prompts),
        "largest_difference": int(np.abs(first - _plain(prompts[:size], 0)).max()),
    }


def _ours(dtype: str, prompts: list[str], first_seed: int) -> npt.NDArray[np.uint8]:
    return _generator(dtype)(prompts, range(first_seed, first_seed + len(prompts)))


def _plain(prompts: list[str], first_seed: int) -> npt.NDArray[np.uint8]:
    """What diffusers' documentation shows, with the preset's recipe."""
    import torch

    preset = _generator("float32").preset
    seeds = range(first_seed, first_seed + len(prompts))
    pictures = _pipeline()(
        prompts,
        height=preset.height,
        width=preset.width,
        num_inference_steps=preset.steps,
        guidance_scale=preset.guidance_scale,
        generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
    ).images
    return np.stack([np.asarray(picture) for picture in pictures])


@functools.cache
def _generator(dtype: str) -> DiffusersGenerator:
    generator = make_generator("embedded", "cpu", dtype=dtype)
    assert isinstance(generator, DiffusersGenerator)
    return generator


@functools.cache
def _pipeline() -> Any:
    import diffusers
    import torch

    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        _generator("float32").preset.repository, torch_dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
