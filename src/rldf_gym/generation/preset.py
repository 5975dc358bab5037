"""One text-to-image model and its settings, as data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from rldf_gym.generation.protocols import GenerationError
from rldf_gym.generation.settings import require_whole

DTYPES = ("float32", "float16", "bfloat16")
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")

_DECIDED = frozenset(
    {
        *("prompt", "negative_prompt", "prompt_embeds", "negative_prompt_embeds"),
        *("num_inference_steps", "guidance_scale", "height", "width"),
        *("generator", "num_images_per_prompt", "output_type", "return_dict"),
    }
)
"""Arguments of a pipeline's call that no call option may decide a second time."""


@dataclass(frozen=True)
class GeneratorPreset:
    """One diffusers text-to-image model and the settings it is run with.

    Attributes:
        repository: a Hugging Face repository id, or a folder in the format that diffusers'
            `save_pretrained` writes.
        revision: commit of the repository; unused for a folder.
        variant: which of the repository's sets of weights, such as "fp16"; None for its main one.
        dtype: "float32", "float16" or "bfloat16".
        steps: denoising steps, at least 1; None for the pipeline's own number.
        guidance_scale: classifier-free guidance, where 1.0 or less means one pass through the
            network a step; distilled models (LCM, Flux) take it as an input and make one pass
            anyway. None for the pipeline's own.
        height: pixels, a multiple of 8; None for the model's own.
        width: pixels, a multiple of 8; None for the model's own.
        scheduler: name of a diffusers scheduler class, None for the model's own.
        scheduler_options: settings of the scheduler that replace the model's own.
        negative_prompt: what guidance steers away from; unused without guidance. None for the
            pipeline's own default, which for some models (SDXL) is not the empty text "".
        vae: repository id or folder of an autoencoder that replaces the model's own, such as a
            tiny one.
        vae_revision: commit of that repository; unused for a folder.
        safety_checker: whether the model's own safety checker, if it has one, checks every
            image; images that it rejects count as failed.
        call_options: further arguments of the pipeline's call, such as Flux's `true_cfg_scale`
            (which takes effect with a `negative_prompt` only).
        compile: a mode of `torch.compile` for the denoising network: "default",
            "reduce-overhead" (CUDA graphs) or "max-autotune"; None does not compile. Minutes of
            warm-up, then faster; worth it for thousands of images.
        attention_slicing: less memory for more time, by other kernels than PyTorch's fused ones.
        batch_size: largest number of images generated at once; None for as many as memory allows,
            or on a CPU one of a large model. The mathematics is the same.
        closed_vocabulary: whether the model understands only the whole words of its tokenizer.
        local_files_only: never download, as under the environment variable HF_HUB_OFFLINE.
        allow_pickle_weights: accept weights that are no safetensors. Unpickling runs whatever
            code a file carries: only for files whose author you trust.
        perception: the perception for these images; see `make_perception`.

    Raises:
        GenerationError: for a setting outside its range.
    """

    repository: str
    revision: str = "main"
    variant: str | None = None
    dtype: str = "float32"
    steps: int | None = 20
    guidance_scale: float | None = 7.5
    height: int | None = 512
    width: int | None = 512
    scheduler: str | None = None
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    negative_prompt: str | None = None
    vae: str | None = None
    vae_revision: str = "main"
    safety_checker: bool = False
    call_options: Mapping[str, Any] = field(default_factory=dict)
    compile: str | None = None
    attention_slicing: bool = False
    batch_size: int | None = None
    closed_vocabulary: bool = False
    local_files_only: bool = False
    allow_pickle_weights: bool = False
    perception: str = "photos"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise GenerationError(f"unknown dtype {self.dtype!r}; known: {', '.join(DTYPES)}")
        if self.compile is not None and self.compile not in COMPILE_MODES:
            known = ", ".join(COMPILE_MODES)
            raise GenerationError(f"unknown compile mode {self.compile!r}; known: {known}, None")
        for name, multiple in (("steps", 1), ("batch_size", 1), ("height", 8), ("width", 8)):
            if (value := getattr(self, name)) is not None:
                require_whole(name, value, multiple_of=multiple)
        guidance = self.guidance_scale
        if guidance is not None and not (isinstance(guidance, Real) and guidance >= 0):
            raise GenerationError(f"guidance_scale is {guidance!r}; it must be a number >= 0")
        for name in ("scheduler_options", "call_options"):
            _require_json(name, getattr(self, name))
        if decided := sorted(_DECIDED & set(self.call_options)):
            raise GenerationError(
                f"call_options has {', '.join(decided)}: that is decided by the generator's other"
                " settings (steps, guidance_scale, height, width, negative_prompt) and each"
                " picture's prompt and seed"
            )

    def fingerprint_config(self) -> dict[str, Any]:
        """Return all settings that decide pixels, as JSON; without the weights.

        A setting that was added later is included only where it differs from its default, so that
        images stored before it existed keep their key.
        """
        guidance = self.guidance_scale
        later = {
            "variant": self.variant,
            "safety_checker": self.safety_checker,
            "call_options": dict(self.call_options),
            # Other kernels round differently, in half precision visibly so.
            "compile": self.compile,
            "attention_slicing": self.attention_slicing,
            "empty_negative_prompt": self.negative_prompt == "",
        }
        return {
            "pipeline": "StableDiffusionPipeline",
            "scheduler": self.scheduler,
            "scheduler_options": dict(self.scheduler_options),
            "steps": self.steps,
            "guidance_scale": None if guidance is None else float(guidance),
            "size": [self.height, self.width],
            "negative_prompt": self.negative_prompt or "",
            "dtype": self.dtype,
        } | {name: value for name, value in later.items() if value}


def _require_json(name: str, value: Mapping[str, Any]) -> None:
    """Options are part of the fingerprint, so they have to be plain data."""
    try:
        json.dumps({**value})
    except (TypeError, ValueError) as error:
        raise GenerationError(
            f"{name} is {value!r}; it must be a mapping of names to JSON values ({error})"
        ) from error
