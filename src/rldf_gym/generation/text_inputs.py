"""Prompts as arguments of a diffusers pipeline's call, and the words its text encoders cut off."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rldf_gym.generation.preset import GeneratorPreset

_TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")


def text_inputs(pipeline: Any, preset: GeneratorPreset, prompts: Sequence[str]) -> dict[str, Any]:
    """Return the texts that the pipeline's call takes for a batch of prompts.

    A pipeline without guidance ignores a negative prompt; without one, it uses its own default.
    """
    inputs = {"prompt": list(prompts)}
    if preset.negative_prompt is not None and "negative_prompt" in _parameters(pipeline):
        inputs["negative_prompt"] = [preset.negative_prompt] * len(prompts)
    return inputs


def truncated_text(pipeline: Any, preset: GeneratorPreset, prompt: str) -> str:
    """Return the last words of a prompt, which no text encoder of the model reads; '' if none."""
    tokenizers = filter(None, (getattr(pipeline, name, None) for name in _TOKENIZERS))
    cuts = [_cut_off(t, _token_limit(pipeline, preset, t), prompt) for t in tokenizers]
    # An encoder that reads the whole prompt makes up for one that does not.
    return min(cuts, key=len, default="")


def _token_limit(pipeline: Any, preset: GeneratorPreset, tokenizer: Any) -> int:
    """Return how many tokens the encoder behind a tokenizer reads."""
    longest = _parameters(pipeline).get("max_sequence_length")
    if longest is None or "CLIP" in type(tokenizer).__name__:
        return int(tokenizer.model_max_length)
    return int(preset.call_options.get("max_sequence_length", longest.default))


def _parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(type(pipeline).__call__).parameters


def _cut_off(tokenizer: Any, limit: int, prompt: str) -> str:
    """Return the words of a prompt that do not fit into so many tokens."""
    tokens = tokenizer.encode(prompt, truncation=False, add_special_tokens=False, verbose=False)
    excess = tokens[limit - tokenizer.num_special_tokens_to_add() :]
    return str(tokenizer.decode(excess)).strip() if excess else ""
