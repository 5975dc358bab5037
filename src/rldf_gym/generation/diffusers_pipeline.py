"""Generate images with any text-to-image model in diffusers' folder format."""

import contextlib
import copy
import functools
import itertools
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.batching import BatchLimit, is_out_of_memory
from rldf_gym.generation.acceleration import denoiser, images_that_fit, optimize
from rldf_gym.generation.pipeline_loading import PipelineFiles
from rldf_gym.generation.preset import GeneratorPreset
from rldf_gym.generation.protocols import FailedImagesError, GenerationError
from rldf_gym.generation.text_inputs import text_inputs, truncated_text
from rldf_gym.generation.vocabulary import read_known_words, validate_words
from rldf_gym.model_loading import open_device, state_without, suppress_logs, validate_device_name
from rldf_gym.threads import check_not_forked, compute, is_small

if TYPE_CHECKING:
    import torch

_SEED_LIMIT = 2**63
_FIRST_BATCH = 8
"""Batch size until the memory that one image needs is known."""
_SHARE = 8
"""Most images of a small model that a thread generates at once."""

logger = logging.getLogger(__name__)


class LongPromptWarning(UserWarning):
    """A prompt is longer than the model's text encoder takes; the last words do not count."""


class SlowDtypeWarning(UserWarning):
    """The weights' type is one that the device computes slowly with."""


class DiffusersGenerator:
    """Generates images with one preset; meets the `Generator` and `LimitedVocabulary` protocols.

    The noise of every image comes from its own CPU generator with its own seed, so an image does
    not depend on its batch, nor its noise on the device. What is left is the rounding of batched
    arithmetic: at most 2 of 255 levels in float32 on one device.

    Args:
        name: how the user called it.
        preset: the model and its settings.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Attributes:
        warm_up_seconds: duration of the first batch of a size, with compiling, by that size; empty
            where the preset does not compile.

    Raises:
        ModelError: unknown device.
    """

    def __init__(self, name: str, preset: GeneratorPreset, device: str | None = None) -> None:
        validate_device_name(device)
        self.name = name
        self.preset = preset
        self.warm_up_seconds: dict[int, float] = {}
        self._device = device
        self._fitting: int | None = None
        self._limit = BatchLimit()
        self._warned = False
        self._copies: list[Any] = []

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the loaded pipeline: a copy loads and compiles its own."""
        return state_without(self, "_pipeline") | {"warm_up_seconds": {}, "_copies": []}

    @functools.cached_property
    def fingerprint(self) -> str:
        """Sha256 hex of everything that decides pixels; computed without torch.

        Raises:
            GenerationError: when the files of a folder are missing or damaged, or a revision that
                is no commit cannot be looked up.
        """
        return PipelineFiles(self.name, self.preset).fingerprint()

    @functools.cached_property
    def known_words(self) -> frozenset[str] | None:
        """Words of the tokenizer's vocab.json; None where the model reads any text.

        Raises:
            GenerationError: when the vocabulary cannot be read.
        """
        if not self.preset.closed_vocabulary:
            return None
        return read_known_words(Path(self.preset.repository) / "tokenizer" / "vocab.json")

    @property
    def perception(self) -> str:
        """Name of the perception for these images."""
        return self.preset.perception

    @property
    def batch_size(self) -> int:
        """Number of images generated at once.

        Unless the preset says, a few at first; from then on what the memory of a GPU holds, or on a
        CPU one of a large model: more at once are hardly faster, and a stop would wait for all.
        """
        return self._limit.apply(self.preset.batch_size or self._fitting or _FIRST_BATCH)

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Generate one image for every prompt with its seed.

        Where memory does not suffice for a batch, it is halved.

        Args:
            prompts: `[n]` sentences.
            seeds: `[n]` whole numbers in 0 .. 2^63 - 1.

        Returns:
            uint8 `[n, H, W, 3]`, RGB.

        Raises:
            FailedImagesError: for images that are black, rejected by the safety checker, or
                made of values that are not numbers; it carries the others.
            GenerationError: for unknown words or bad seeds, and when the weights cannot be loaded.
        """
        check_not_forked()
        self._check(prompts, seeds)
        if not prompts:
            return np.empty((0, self.preset.height or 0, self.preset.width or 0, 3), np.uint8)
        # Before logs are suppressed: their warnings are for the user.
        pipeline = self._pipeline
        self._warn_of_a_long_prompt(pipeline, prompts)

        def work(places: Sequence[int]) -> tuple[NDArray[np.uint8], list[str]]:
            return self._batch([prompts[p] for p in places], [int(seeds[p]) for p in places])

        # Once around everything: it takes as long as half a dozen of a small model's layers.
        with suppress_logs("diffusers", "transformers"):
            places = range(len(prompts))
            batches = list(self._limit.in_batches(places, lambda: self.batch_size, work))
        pictures = np.concatenate([images for images, _ in batches])
        reasons = enumerate(reason for _, faults in batches for reason in faults)
        if faults := {place: reason for place, reason in reasons if reason}:
            raise FailedImagesError(self.name, prompts, faults, pictures)
        return pictures

    def _check(self, prompts: Sequence[str], seeds: Sequence[int]) -> None:
        if len(prompts) != len(seeds):
            raise GenerationError(f"{len(prompts)} prompts but {len(seeds)} seeds; give one each")
        for seed in seeds:
            if not 0 <= seed < _SEED_LIMIT:
                raise GenerationError(f"seed {seed} is outside 0 .. 2^63 - 1")
        if self.known_words is not None:
            validate_words(prompts, self.known_words, self.name)

    def _warn_of_a_long_prompt(self, pipeline: Any, prompts: Sequence[str]) -> None:
        """Warn once in a generator's life: the sentences of a grammar are much of one length."""
        if self._warned:
            return
        for prompt in dict.fromkeys(prompts):
            if words := truncated_text(pipeline, self.preset, prompt):
                self._warned = True
                warnings.warn(
                    f"the text encoder of the generator {self.name!r} does not take all of"
                    f" {prompt!r}: {words!r} is cut off; use shorter sentences. Others may be cut"
                    " off too: this warning is given once",
                    LongPromptWarning,
                    stacklevel=3,
                )
                return

    def _batch(self, prompts: list[str], seeds: list[int]) -> tuple[NDArray[np.uint8], list[str]]:
        """Return images uint8 `[n, H, W, 3]`, and why each is no valid one, '' where it is."""
        n, network = len(prompts), denoiser(self._pipeline)
        if self.preset.compile is not None:
            # Every new shape would be compiled anew. Not beyond what was found to fit.
            missing = self.batch_size - n
            prompts, seeds = prompts + prompts[:1] * missing, seeds + seeds[:1] * missing
            network = None
        size = len(prompts)

        def work(part: slice) -> tuple[NDArray[np.uint8], list[str]]:
            if part == slice(0, size):
                return self._part(self._pipeline, prompts, seeds)
            try:
                pipeline = self._copies.pop()
            except IndexError:
                pipeline = _copy(self._pipeline)
            try:
                return self._part(pipeline, prompts[part], seeds[part])
            finally:
                self._copies.append(pipeline)

        with self._measured(size):
            parts = compute(network, size, work, _SHARE)
        pictures = np.concatenate([images for images, _ in parts])
        return pictures[:n], [reason for _, faults in parts for reason in faults][:n]

    def _part(
        self, pipeline: Any, prompts: list[str], seeds: list[int]
    ) -> tuple[NDArray[np.uint8], list[str]]:
        """Return what `_batch` does, for what is computed at once."""
        import torch

        output = self._call_pipeline(pipeline, prompts, seeds)
        pictures = output.images.float()
        rejected = getattr(output, "nsfw_content_detected", None) or [False] * len(prompts)
        faults = _faults(pictures, rejected, self.preset.dtype)
        levels = pictures.nan_to_num().mul(255).round().to(torch.uint8)
        return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy(), faults

    def _call_pipeline(self, pipeline: Any, prompts: list[str], seeds: list[int]) -> Any:
        import torch

        try:
            return pipeline(
                **text_inputs(pipeline, self.preset, prompts),
                **_call_settings(self.preset),
                generator=[torch.Generator("cpu").manual_seed(seed) for seed in seeds],
                output_type="pt",
            )
        except Exception as error:  # every library under diffusers raises its own kinds
            if is_out_of_memory(error):
                raise
            remedy = "; compile=None generates without" if self._compiles(len(prompts)) else ""
            raise GenerationError(
                f"the generator {self.name!r} cannot generate with these settings"
                f" [{type(error).__name__}: {' '.join(str(error).split())[:300]}]{remedy}"
            ) from error

    @contextlib.contextmanager
    def _measured(self, n: int) -> Iterator[None]:
        """Measure, while `n` images are generated, the time of compiling and the memory."""
        import torch

        start = time.perf_counter()
        device: torch.device = self._pipeline.device
        on_gpu = device.type == "cuda"
        before = 0
        if on_gpu:
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
        yield
        if on_gpu and self._fitting is None:
            each = (torch.cuda.max_memory_allocated(device) - before) // n
            free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - before
            self._fitting = images_that_fit(free, each)
        if self._compiles(n):
            self.warm_up_seconds[n] = time.perf_counter() - start
            seconds = self.warm_up_seconds[n]
            logger.info("compiled %s for %d images at once: %.1f s", self.name, n, seconds)

    def _compiles(self, n: int) -> bool:
        """Return whether a batch of `n` has to be compiled first."""
        return self.preset.compile is not None and n not in self.warm_up_seconds

    @functools.cached_property
    def _pipeline(self) -> Any:
        device = open_device(self._device)
        if device.type == "cpu" and self.preset.dtype == "float16":
            warnings.warn(
                f"the generator {self.name!r} runs in float16, which is slow on a CPU:"
                " dtype='float32' is faster there, 'bfloat16' too where the processor has"
                " instructions for it, and both give slightly other images",
                SlowDtypeWarning,
                stacklevel=2,
            )
        pipeline = PipelineFiles(self.name, self.preset).load(device)
        pipeline.set_progress_bar_config(disable=True)
        if self.preset.attention_slicing:
            pipeline.enable_attention_slicing()
        optimize(pipeline, self.preset.compile)
        if device.type == "cpu" and not is_small(denoiser(pipeline)):
            self._fitting = 1
        return pipeline


def _copy(pipeline: Any) -> Any:
    """Return a pipeline for another thread: its tokenizers and schedulers serve one at a time.

    Only the weights are shared.
    """
    import torch

    parts = [each for each in pipeline.components.values() if isinstance(each, torch.nn.Module)]
    weights = [w for each in parts for w in itertools.chain(each.parameters(), each.buffers())]
    return copy.deepcopy(pipeline, {id(weight): weight for weight in weights})


def _call_settings(preset: GeneratorPreset) -> dict[str, Any]:
    """Return the call's arguments; what the preset leaves open is the pipeline's own."""
    settings = {
        "height": preset.height,
        "width": preset.width,
        "num_inference_steps": preset.steps,
        "guidance_scale": preset.guidance_scale,
    }
    chosen = {name: value for name, value in settings.items() if value is not None}
    return chosen | dict(preset.call_options)


def _faults(pictures: "torch.Tensor", rejected: Sequence[bool], dtype: str) -> list[str]:
    """Return why each of the images `[n, 3, H, W]` is no valid one, '' where it is."""
    import torch

    finite = torch.isfinite(pictures).flatten(1).all(1).tolist()
    black = (pictures == 0).flatten(1).all(1).tolist()
    faults = []
    for is_finite, is_black, is_rejected in zip(finite, black, rejected, strict=False):
        if is_rejected:
            faults.append("the model's safety checker rejected the image")
        elif not is_finite:
            faults.append(f"values that are not numbers, in {dtype}; try dtype='float32'")
        else:
            faults.append("an all-black image" if is_black else "")
    return faults
