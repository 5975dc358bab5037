"""Prompts to pixels.

A generator is named by its preset (`"embedded"`, `"sd14"`) or is any object that meets the
`Generator` protocol. Making one is cheap: weights are loaded when the first picture is drawn.
"""

from collections.abc import Iterable
from typing import Any

from rldf_gym.generation.contracts import GenerationError, Generator, LimitedVocabulary
from rldf_gym.generation.diffusers_pipeline import DiffusersGenerator
from rldf_gym.generation.presets import PRESETS, GeneratorPreset
from rldf_gym.generation.vocabulary import refuse_unknown_words

__all__ = [
    "PRESETS",
    "DiffusersGenerator",
    "GenerationError",
    "Generator",
    "GeneratorPreset",
    "LimitedVocabulary",
    "check_words",
    "make_generator",
]


def make_generator(spec: str | Generator, device: str | None = None, **overrides: Any) -> Generator:
    """Generator for a preset's name, or the generator itself.

    Args:
        spec: name of a preset in `PRESETS`, or a ready generator.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.
        **overrides: settings of the preset to replace, such as `steps=10`.

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
    if spec not in PRESETS:
        raise GenerationError(f"unknown generator {spec!r}; known: {', '.join(PRESETS)}")
    return DiffusersGenerator(spec, PRESETS[spec].override(**overrides), device)


def check_words(generator: Generator, texts: Iterable[str]) -> None:
    """Refuse, before anything is drawn, texts with words that the generator never learned.

    Cheap: reads a vocabulary file and imports no torch. Generators without a closed vocabulary
    accept everything.

    Args:
        generator: any generator.
        texts: prompts, or the values of a grammar's axes with its fixed words.

    Raises:
        GenerationError: listing the unknown words.
    """
    if isinstance(generator, LimitedVocabulary) and generator.known_words is not None:
        refuse_unknown_words(texts, generator.known_words, generator.name)
