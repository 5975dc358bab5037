"""Generators: prompts to images.

A generator is named by its preset (`"embedded"`, `"sd14"`) or is any object that meets the
`Generator` protocol. Making one is cheap: weights are loaded when the first picture is drawn.
"""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rldf_gym.failed_images import PLACEHOLDER_GREY, FailedImage, Image
from rldf_gym.generation.diffusers_pipeline import (
    DiffusersGenerator,
    LongPromptWarning,
    SlowDtypeWarning,
)
from rldf_gym.generation.images_api import OPENAI, ImagesApiGenerator
from rldf_gym.generation.images_api_settings import ImagesApiSettings
from rldf_gym.generation.pipeline_loading import PipelineFiles
from rldf_gym.generation.preset import GeneratorPreset
from rldf_gym.generation.presets import DIFFUSERS, PRESETS, default_preset
from rldf_gym.generation.protocols import (
    FailedImagesError,
    GenerationError,
    Generator,
    HasPerception,
    LimitedVocabulary,
)
from rldf_gym.generation.vocabulary import validate_words
from rldf_gym.hub import is_repository
from rldf_gym.registry import is_object_name, make_named

__all__ = [
    "PLACEHOLDER_GREY",
    "PRESETS",
    "DiffusersGenerator",
    "FailedImage",
    "FailedImagesError",
    "GenerationError",
    "Generator",
    "GeneratorPreset",
    "HasPerception",
    "ImagesApiGenerator",
    "ImagesApiSettings",
    "LimitedVocabulary",
    "LongPromptWarning",
    "SlowDtypeWarning",
    "check_words",
    "fetch_generator",
    "find_preset",
    "generate",
    "make_generator",
]


def make_generator(spec: str | Generator, device: str | None = None, **overrides: Any) -> Generator:
    """Return the generator of a name, or the generator itself.

    Args:
        spec: name of a preset in `PRESETS`; `diffusers:<repository or folder>[@<commit>]` for any
            other model that diffusers' AutoPipelineForText2Image loads; `openai:<model>` for one
            behind a server that speaks the Images API; `package.module:object` for a generator,
            or a class or function that makes one without arguments; or a ready generator.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.
        **overrides: settings of the preset to replace, such as `steps=10`; see `GeneratorPreset`
            and `ImagesApiSettings`.

    Raises:
        GenerationError: for an unknown name, device or setting, listing the known ones, and for
            overrides of a ready generator.
    """
    if not isinstance(spec, str):
        if not isinstance(spec, Generator):
            raise GenerationError(
                f"{spec!r} is no generator: give one of {', '.join(PRESETS)}, or an object with "
                "name, fingerprint and __call__(prompts, seeds)"
            )
        if overrides:
            raise GenerationError(
                f"settings {', '.join(overrides)} cannot change the ready generator {spec.name!r}"
            )
        return spec
    if is_object_name(spec) and not spec.startswith((OPENAI, DIFFUSERS)):
        made = make_named("generator", spec, lambda found: isinstance(found, Generator))
        return make_generator(made, device, **overrides)
    if spec.startswith(OPENAI):
        settings = ImagesApiSettings(spec.removeprefix(OPENAI))
        return ImagesApiGenerator(settings.override(**overrides))
    return DiffusersGenerator(spec, find_preset(spec).override(**overrides), device)


def find_preset(name: str) -> GeneratorPreset:
    """Return the preset of that name, or of the model that follows `diffusers:`.

    Raises:
        GenerationError: for an unknown name, with the nearest and all known ones, and for a model
            behind a server.
    """
    if name in PRESETS:
        return PRESETS[name]
    if name.startswith(DIFFUSERS) and name != DIFFUSERS:
        return default_preset(name.removeprefix(DIFFUSERS))
    if name.startswith(OPENAI):
        raise GenerationError(f"{name!r} is drawn by a server: this machine has no weights of it")
    near = difflib.get_close_matches(name, PRESETS, n=2)
    if is_repository(name) or (name and Path(name).is_dir()):
        near = [DIFFUSERS + name]
    asked = f"; did you mean {' or '.join(map(repr, near))}?" if near else ";"
    raise GenerationError(
        f"unknown generator {name!r}{asked} known: {', '.join(PRESETS)},"
        f" {DIFFUSERS}<repository or folder>[@<commit>], {OPENAI}<model>"
    )


def fetch_generator(name: str, **overrides: Any) -> None:
    """Download the weights of a preset, with progress bars.

    Args:
        name: as for `make_generator`.
        **overrides: settings of the preset to replace, such as `vae="madebyollin/taesd"`.

    Raises:
        GenerationError: for an unknown name or setting, and when the weights cannot be had.
    """
    PipelineFiles(name, find_preset(name).override(**overrides)).fetch()


def generate(
    generator: Generator, prompts: Sequence[str], seeds: Sequence[int]
) -> list[Image | FailedImage]:
    """Return the image of every prompt, or the reason why the generator will never give one.

    Args:
        generator: any generator.
        prompts: `[n]` sentences.
        seeds: `[n]` whole numbers.

    Raises:
        GenerationError: nothing was generated, or the generator's output is not one image for
            every prompt.
    """
    try:
        images = generator(prompts, seeds)
    except FailedImagesError as error:
        return error.results
    n, is_array = len(prompts), isinstance(images, np.ndarray)
    is_batch = is_array and images.dtype == np.uint8 and images.ndim == 4
    if not is_batch or len(images) != n or images.shape[-1] != 3 or not images.size:
        found = f"{images.dtype} {list(images.shape)}" if is_array else type(images).__name__
        raise GenerationError(
            f"the generator {generator.name!r} returned {found} for {n} prompts; it must return"
            f" uint8 [{n}, H, W, 3]"
        )
    return list(images)


def check_words(generator: Generator, texts: Iterable[str]) -> None:
    """Check texts for words that the generator never learned.

    Cheap: reads a vocabulary file and imports no torch. Generators without a closed vocabulary
    accept everything.

    Args:
        generator: any generator.
        texts: prompts, or the values of a grammar's axes with its fixed words.

    Raises:
        GenerationError: listing the unknown words.
    """
    if isinstance(generator, LimitedVocabulary) and generator.known_words is not None:
        validate_words(texts, generator.known_words, generator.name)
