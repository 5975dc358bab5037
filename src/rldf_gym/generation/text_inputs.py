"""Prompts as the tensors that a diffusers pipeline is conditioned on.

A pipeline called with texts runs its encoders on every prompt of every batch, and on the negative
prompt as often. Here every distinct prompt of a call is encoded once, and the negative prompt once
for all time.
"""

import functools
import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rldf_gym.generation.preset import GeneratorPreset

if TYPE_CHECKING:
    import torch

_CLIP_PAIR = ("prompt_embeds", "negative_prompt_embeds")
_POOLED = (*_CLIP_PAIR, "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
_MASKED = (
    *("prompt_embeds", "prompt_attention_mask"),
    *("negative_prompt_embeds", "negative_prompt_attention_mask"),
)
_ENCODED: Mapping[str, tuple[str | None, ...]] = MappingProxyType(
    {
        "StableDiffusionPipeline": _CLIP_PAIR,
        "LatentConsistencyModelPipeline": _CLIP_PAIR,
        "StableDiffusionXLPipeline": _POOLED,
        "StableDiffusion3Pipeline": _POOLED,
        # The third is positions, the same for every prompt: the pipeline makes them itself.
        "FluxPipeline": ("prompt_embeds", "pooled_prompt_embeds", None),
        "PixArtAlphaPipeline": _MASKED,
        "PixArtSigmaPipeline": _MASKED,
        "SanaPipeline": _MASKED,
    }
)
"""What `encode_prompt` gives, as arguments of the pipeline's call, by the pipeline's class."""

_ENCODER_OPTIONS = frozenset(
    {"max_sequence_length", "clip_skip", "clean_caption", "complex_human_instruction"}
)
"""Arguments of a pipeline's call that it hands on to its `encode_prompt`."""

_ENCODED_AT_ONCE = 64


class TextInputs:
    """What one pipeline is told about prompts.

    Args:
        pipeline: a diffusers text-to-image pipeline.
        preset: its settings.
    """

    def __init__(self, pipeline: Any, preset: GeneratorPreset) -> None:
        self._pipeline = pipeline
        self._preset = preset
        self._names = _ENCODED.get(type(pipeline).__name__)
        self._takes = inspect.signature(type(pipeline).__call__).parameters

    def encode(self, prompts: Sequence[str]) -> "EncodedPrompts":
        """Encode the distinct prompts among these, each once."""
        if self._names is None:
            return EncodedPrompts(None, {}, self._negative_text())
        distinct = list(dict.fromkeys(prompts))
        parts = [
            self._encode(distinct[start : start + _ENCODED_AT_ONCE])
            for start in range(0, len(distinct), _ENCODED_AT_ONCE)
        ]
        rows = {prompt: row for row, prompt in enumerate(distinct)}
        return EncodedPrompts(parts, rows, self._negative)

    def cut_words(self, prompt: str) -> str:
        """The last words of a prompt, which no text encoder of the model takes; '' if none."""
        cuts = [_cut_off(tokenizer, limit, prompt) for tokenizer, limit in self._tokenizers]
        # An encoder that takes all of it makes up for one that does not.
        return min(cuts, key=len, default="")

    def _encode(self, prompts: Sequence[str]) -> "dict[str, torch.Tensor]":
        return self._named(self._call_encoder(list(prompts), guided=False), negative=False)

    @functools.cached_property
    def _negative(self) -> "dict[str, torch.Tensor]":
        """Of the negative prompt, `[1, ...]` each; nothing where guidance is off."""
        if not self._is_guided or "negative_prompt_embeds" not in self._takes:
            return {}
        if "negative_prompt" in self._encoder_takes:
            return self._named(self._call_encoder([""], guided=True), negative=True)
        # Flux has its encoder called once for each of the two.
        encoded = self._encode([self._preset.negative_prompt])
        return {f"negative_{name}": tensor for name, tensor in encoded.items()}

    def _negative_text(self) -> "dict[str, Any]":
        takes = self._is_guided and "negative_prompt" in self._takes
        return {"negative_prompt": self._preset.negative_prompt} if takes else {}

    @property
    def _is_guided(self) -> bool:
        """Whether every step makes a second pass, for the negative prompt."""
        if "true_cfg_scale" in self._takes:
            # Distilled: guidance_scale is an input of the network, and the second pass is made
            # only against a negative prompt that is said.
            scale = self._preset.call_options.get("true_cfg_scale", self._own("true_cfg_scale"))
            return scale > 1 and self._preset.negative_prompt != ""
        scale = self._preset.guidance_scale
        return ((self._own("guidance_scale") if scale is None else scale) or 0) > 1

    def _own(self, name: str) -> Any:
        """What the pipeline's call takes where it is not told; None if it takes no such thing."""
        return self._takes[name].default if name in self._takes else None

    @property
    def _encoder_takes(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self._pipeline.encode_prompt).parameters

    def _call_encoder(self, prompts: list[str], guided: bool) -> Any:
        takes = self._encoder_takes
        negative = self._preset.negative_prompt
        # Where a pipeline's default is None, an empty negative prompt may be something else.
        is_said = guided and (negative or takes["negative_prompt"].default == "")
        offered = {
            "prompt": prompts,
            "prompt_2": None,
            "prompt_3": None,
            "device": self._pipeline._execution_device,
            "num_images_per_prompt": 1,
            "do_classifier_free_guidance": guided,
            "negative_prompt": [negative] if is_said else None,
        }
        # What the pipeline's own call would hand on, by default or by the preset.
        shared = set(takes) & set(self._takes) - set(offered)
        for name in shared & _ENCODER_OPTIONS:
            offered[name] = self._preset.call_options.get(name, self._own(name))
        return self._pipeline.encode_prompt(**{k: v for k, v in offered.items() if k in takes})

    def _named(self, encoded: Any, negative: bool) -> "dict[str, torch.Tensor]":
        return {
            name: tensor
            for name, tensor in zip(self._names or (), encoded, strict=True)
            if name is not None and tensor is not None and name.startswith("negative") == negative
        }

    @functools.cached_property
    def _tokenizers(self) -> list[tuple[Any, int]]:
        """Every tokenizer of the pipeline, and how many tokens its encoder takes."""
        found = []
        for name in ("tokenizer", "tokenizer_2", "tokenizer_3"):
            tokenizer = getattr(self._pipeline, name, None)
            if tokenizer is not None:
                limit = tokenizer.model_max_length
                longest = self._own("max_sequence_length")
                if longest is not None and "CLIP" not in type(tokenizer).__name__:
                    limit = self._preset.call_options.get("max_sequence_length", longest)
                found.append((tokenizer, limit))
        return found


class EncodedPrompts:
    """The prompts of one call of a generator, encoded.

    Args:
        parts: arguments of the pipeline's call, `[n, ...]` each, for consecutive distinct prompts;
            None where the pipeline is to be given texts.
        rows: which row belongs to a prompt, counted over all parts.
        shared: arguments that are the same for every prompt: tensors `[1, ...]`, or texts.
    """

    def __init__(
        self,
        parts: "Sequence[Mapping[str, torch.Tensor]] | None",
        rows: Mapping[str, int],
        shared: Mapping[str, Any],
    ) -> None:
        self._rows = rows
        self._shared = shared
        self._tensors = None if parts is None else _joined(parts)

    def inputs(self, prompts: Sequence[str]) -> dict[str, Any]:
        """Arguments of the pipeline's call for a batch of these prompts."""
        if self._tensors is None:
            texts = {name: [text] * len(prompts) for name, text in self._shared.items()}
            return {"prompt": list(prompts)} | texts
        rows = [self._rows[prompt] for prompt in prompts]
        inputs = {name: tensor[rows] for name, tensor in self._tensors.items()}
        return inputs | {
            name: tensor.expand(len(prompts), *tensor.shape[1:])
            for name, tensor in self._shared.items()
        }


def _joined(parts: "Sequence[Mapping[str, torch.Tensor]]") -> "dict[str, torch.Tensor]":
    import torch

    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _cut_off(tokenizer: Any, limit: int, prompt: str) -> str:
    """The words of a prompt that do not fit into so many tokens, '' where all do."""
    tokens = tokenizer(prompt, truncation=False, add_special_tokens=False)["input_ids"]
    room = limit - tokenizer.num_special_tokens_to_add()
    return "" if len(tokens) <= room else str(tokenizer.decode(tokens[room:])).strip()
