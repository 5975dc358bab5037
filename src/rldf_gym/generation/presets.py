"""Text-to-image models as data: where the weights are and how they are run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from rldf_gym.generation.contracts import GenerationError
from rldf_gym.model_loading import EMBEDDED

DTYPES = ("float32", "float16", "bfloat16")

NEGATIVE_PROMPT = ", ".join(
    (
        "lowres",
        "blurry",
        "out of focus",
        "grainy",
        "jpeg artifacts",
        "oversaturated",
        "worst quality",
        "out of frame",
        "cropped",
        "duplicate",
        "deformed",
        "disfigured",
        "mutated",
        "bad anatomy",
        "extra limbs",
        "missing limbs",
        "fused fingers",
        "watermark",
        "signature",
        "text",
        "logo",
        "border",
        "collage",
        "cartoon",
        "painting",
        "sketch",
        "3d render",
    )
)
"""Our list of the usual terms (the paper, §3, uses "a large list of negative prompts").

It stays below the 77 tokens that CLIP's text encoder sees: what comes after them is cut off.
"""


@dataclass(frozen=True)
class GeneratorPreset:
    """One diffusers text-to-image model and the settings it is run with.

    Attributes:
        repository: a Hugging Face repository id, or a folder in the format that
            `StableDiffusionPipeline.save_pretrained` writes.
        revision: commit of the repository; unused for a folder.
        dtype: "float32", "float16" or "bfloat16".
        steps: denoising steps, at least 1.
        guidance_scale: classifier-free guidance; 1.0 or less means one U-Net call a step.
        height: pixels, a multiple of 8.
        width: pixels, a multiple of 8.
        scheduler: name of a diffusers scheduler class, None for the model's own.
        scheduler_options: settings of the scheduler that replace the model's own.
        negative_prompt: what guidance steers away from; unused without guidance.
        vae: repository id or folder of an autoencoder that replaces the model's own.
        vae_revision: commit of that repository; unused for a folder.
        attention_slicing: less memory for more time; the mathematics is the same.
        batch_size: largest number of pictures drawn at once; the mathematics is the same.
        closed_vocabulary: whether the model understands only the whole words of its tokenizer.

    Raises:
        GenerationError: for a setting outside its range.
    """

    repository: str
    revision: str = "main"
    dtype: str = "float32"
    steps: int = 20
    guidance_scale: float = 7.5
    height: int = 512
    width: int = 512
    scheduler: str | None = None
    scheduler_options: Mapping[str, Any] = field(default_factory=dict)
    negative_prompt: str = ""
    vae: str | None = None
    vae_revision: str = "main"
    attention_slicing: bool = False
    batch_size: int = 8
    closed_vocabulary: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise GenerationError(f"unknown dtype {self.dtype!r}; known: {', '.join(DTYPES)}")
        for name in ("steps", "batch_size"):
            _require_positive(name, getattr(self, name), multiple_of=1)
        for name in ("height", "width"):
            _require_positive(name, getattr(self, name), multiple_of=8)
        if self.guidance_scale < 0:
            raise GenerationError(f"guidance_scale is {self.guidance_scale}; it must be >= 0")

    def override(self, **changes: Any) -> "GeneratorPreset":
        """The same preset with other settings, such as `steps=10`.

        Raises:
            GenerationError: for a name that is not a setting, listing those that are.
        """
        known = [setting.name for setting in fields(self)]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise GenerationError(
                f"unknown generator setting {', '.join(unknown)}; known: {', '.join(known)}"
            )
        return replace(self, **changes)


def _require_positive(name: str, value: object, multiple_of: int) -> None:
    if not isinstance(value, int) or value < 1 or value % multiple_of:
        shape = "a positive whole number" + (
            f" and a multiple of {multiple_of}" if multiple_of > 1 else ""
        )
        raise GenerationError(f"{name} is {value!r}; it must be {shape}")


PRESETS: Mapping[str, GeneratorPreset] = {
    # Guidance is distilled into the shipped model: one U-Net call a step.
    "embedded": GeneratorPreset(
        repository=str(EMBEDDED / "text_to_image"),
        steps=6,
        guidance_scale=1.0,
        height=128,
        width=128,
        batch_size=16,
        closed_vocabulary=True,
    ),
    # The paper's recipe (§3, "Image Generation"). Commits are pinned so that a stored picture
    # keeps meaning the same weights.
    "sd14": GeneratorPreset(
        repository="CompVis/stable-diffusion-v1-4",
        revision="133a221b8aa7292a167afc5127cb63fb5005638b",
        dtype="float16",
        scheduler="DPMSolverMultistepScheduler",
        negative_prompt=NEGATIVE_PROMPT,
        vae="stabilityai/sd-vae-ft-mse",
        vae_revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
        batch_size=4,
    ),
}
"""Every generator that `make_generator` knows by name."""
