"""Any model in the Stable Diffusion folder format, drawn through diffusers' stock pipeline."""

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.generation.contracts import GenerationError
from rldf_gym.generation.presets import GeneratorPreset
from rldf_gym.generation.vocabulary import read_known_words, refuse_unknown_words
from rldf_gym.model_loading import ModelFolder, check_device_name, open_device, silence

if TYPE_CHECKING:
    import torch

_SEED_LIMIT = 2**63


class DiffusersGenerator:
    """Draws prompts with one preset; meets the `Generator` and `LimitedVocabulary` protocols.

    The noise of every picture comes from its own CPU generator seeded with its own seed, so a
    picture does not depend on the batch it is drawn in, nor its noise on the device. What is left
    is the rounding of batched arithmetic: at most 2 of 255 levels in float32 on one device.

    Args:
        name: how the user called it.
        preset: the model and its settings.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Raises:
        GenerationError: for an unknown device.
    """

    def __init__(self, name: str, preset: GeneratorPreset, device: str | None = None) -> None:
        check_device_name(device, GenerationError)
        self.name = name
        self.preset = preset
        self._device = device

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sha256 hex of everything that decides pixels; computed without torch.

        Raises:
            GenerationError: when the files of a folder are missing or damaged.
        """
        preset = self.preset
        recipe = {
            "pipeline": "StableDiffusionPipeline",
            "weights": _identity(preset.repository, preset.revision),
            "vae": None if preset.vae is None else _identity(preset.vae, preset.vae_revision),
            "scheduler": preset.scheduler,
            "scheduler_options": dict(preset.scheduler_options),
            "steps": preset.steps,
            "guidance_scale": float(preset.guidance_scale),
            "size": [preset.height, preset.width],
            "negative_prompt": preset.negative_prompt,
            "dtype": preset.dtype,
        }
        return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()

    @functools.cached_property
    def known_words(self) -> frozenset[str] | None:
        """Words of the tokenizer's vocab.json; None where the model reads any text.

        Raises:
            GenerationError: when the vocabulary cannot be read.
        """
        if not self.preset.closed_vocabulary:
            return None
        return read_known_words(Path(self.preset.repository) / "tokenizer" / "vocab.json")

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Draw one picture for every prompt with the seed beside it.

        Args:
            prompts: `[n]` sentences.
            seeds: `[n]` whole numbers in 0 .. 2^63 - 1.

        Returns:
            uint8 `[n, H, W, 3]`, RGB.

        Raises:
            GenerationError: for unknown words or bad seeds, when the weights cannot be loaded,
                and when the model computes values that are not numbers.
        """
        if len(prompts) != len(seeds):
            raise GenerationError(f"{len(prompts)} prompts but {len(seeds)} seeds; give one each")
        for seed in seeds:
            if not 0 <= seed < _SEED_LIMIT:
                raise GenerationError(f"seed {seed} is outside 0 .. 2^63 - 1")
        if self.known_words is not None:
            refuse_unknown_words(prompts, self.known_words, self.name)
        size = self.preset.batch_size
        pictures = [np.empty((0, self.preset.height, self.preset.width, 3), np.uint8)]
        for start in range(0, len(prompts), size):
            batch = slice(start, start + size)
            pictures.append(self._draw(list(prompts[batch]), [int(s) for s in seeds[batch]]))
        return np.concatenate(pictures)

    def _draw(self, prompts: list[str], seeds: list[int]) -> NDArray[np.uint8]:
        import torch

        pipeline, negative = self._loaded
        with torch.inference_mode(), silence():
            drawn: NDArray[np.float32] = pipeline(
                prompts,
                height=self.preset.height,
                width=self.preset.width,
                num_inference_steps=self.preset.steps,
                guidance_scale=self.preset.guidance_scale,
                negative_prompt_embeds=(
                    None if negative is None else negative.expand(len(prompts), -1, -1)
                ),
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                output_type="np",
            ).images
        if not np.isfinite(drawn).all():
            raise GenerationError(
                f"the generator {self.name!r} computed values that are not numbers in "
                f"{self.preset.dtype}; use dtype='float32'"
            )
        return np.rint(drawn * 255).astype(np.uint8)

    @functools.cached_property
    def _loaded(self) -> "tuple[Any, torch.Tensor | None]":
        """The pipeline, and the negative prompt's embedding `[1, tokens, d]` under guidance."""
        device = open_device(self._device, GenerationError)
        _check_files(self.preset.repository)
        if self.preset.vae is not None:
            _check_files(self.preset.vae)
        with _silent_loading():
            try:
                pipeline = _load(self.preset).to(device)
            except Exception as error:  # every library under diffusers raises its own kinds
                raise GenerationError(_loading_failed(self.name, self.preset, error)) from error
        pipeline.set_progress_bar_config(disable=True)
        if self.preset.attention_slicing:
            pipeline.enable_attention_slicing()
        return pipeline, self._negative_embedding(pipeline, device)

    def _negative_embedding(self, pipeline: Any, device: "torch.device") -> "torch.Tensor | None":
        if self.preset.guidance_scale <= 1:
            return None
        import torch

        with torch.inference_mode():
            embeddings: tuple[torch.Tensor, torch.Tensor] = pipeline.encode_prompt(
                [""], device, 1, True, negative_prompt=[self.preset.negative_prompt]
            )
        return embeddings[1]


def _load(preset: GeneratorPreset) -> Any:
    import diffusers
    import torch

    loading = {
        "torch_dtype": getattr(torch, preset.dtype),
        "use_safetensors": True,
        "local_files_only": True,
    }
    parts: dict[str, Any] = {"safety_checker": None, "feature_extractor": None}
    if preset.vae is not None:
        parts["vae"] = diffusers.AutoencoderKL.from_pretrained(
            preset.vae, revision=preset.vae_revision, **loading
        )
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        preset.repository,
        revision=preset.revision,
        requires_safety_checker=False,
        **parts,
        **loading,
    )
    if preset.scheduler is not None or preset.scheduler_options:
        name = preset.scheduler or type(pipeline.scheduler).__name__
        pipeline.scheduler = getattr(diffusers, name).from_config(
            pipeline.scheduler.config, **preset.scheduler_options
        )
    return pipeline


def _identity(repository: str, revision: str) -> str:
    folder = _folder(repository)
    return f"{repository}@{revision}" if folder is None else folder.content_hash()


def _check_files(repository: str) -> None:
    folder = _folder(repository)
    if folder is not None:
        folder.check()


def _folder(repository: str) -> ModelFolder | None:
    """The model folder of that name; None for a repository id ("owner/name")."""
    path = Path(repository)
    if not path.is_absolute() and not path.is_dir():
        return None
    has_parts = (path / "model_index.json").is_file() or not (path / "config.json").is_file()
    required = "model_index.json" if has_parts else "config.json"
    return ModelFolder(path, (required,), GenerationError)


def _loading_failed(name: str, preset: GeneratorPreset, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    needed = [(preset.repository, preset.revision)]
    if preset.vae is not None:
        needed.append((preset.vae, preset.vae_revision))
    commands = [
        f"hf download {repository}" + ("" if revision == "main" else f" --revision {revision}")
        for repository, revision in needed
        if _folder(repository) is None
    ]
    mend = f"; fetch its weights with: {' && '.join(commands)}" if commands else ""
    return f"the generator {name!r} ({preset.repository}) cannot be loaded{mend} [{reason}]"


@contextlib.contextmanager
def _silent_loading() -> Iterator[None]:
    """No log lines and no progress bars while weights are loaded."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    talkative = [
        library
        for library in (diffusers_logging, transformers_logging)
        if library.is_progress_bar_enabled()
    ]
    for library in talkative:
        library.disable_progress_bar()
    try:
        with silence():
            yield
    finally:
        for library in talkative:
            library.enable_progress_bar()
