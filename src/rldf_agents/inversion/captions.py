"""A captioner's sentence as the prompt (paper, Fig. 7): BLIP, or any model of its kind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rldf_agents.errors import AgentError
from rldf_agents.inversion.method import NO_SEARCH, Method, MethodUnavailableError, register_method
from rldf_agents.inversion.trial import Trial
from rldf_gym.errors import ModelError
from rldf_gym.generation import Generator, LimitedVocabulary
from rldf_gym.generation.vocabulary import words_in
from rldf_gym.model_files import HubModel, ModelFiles, is_repository
from rldf_gym.model_loading import open_device, suppress_all_logs
from rldf_gym.registry import is_object_name, make_named

DEFAULT_CAPTIONER = "Salesforce/blip-image-captioning-base"
_FILES = ("config.json", "model.safetensors")
_PATTERNS = (*_FILES, "*.json", "*.txt", "*.model")
_MOST_TOKENS = 30

Captioner: TypeAlias = Callable[[NDArray[np.uint8]], str]
"""Says in one sentence what an image uint8 ``[H, W, 3]`` shows."""


def caption_method(captioner: str | None = None) -> Method:
    """Return the method that generates one picture of a caption of the target.

    Args:
        captioner: a folder or a repository (with ``@<commit>`` if you like) with a captioning
            model for transformers, such as BLIP, or ``package.module:object``. None takes
            `DEFAULT_CAPTIONER` from the Hugging Face cache, without a download.

    Raises:
        AgentError: neither a folder, a repository nor an object's name.
        RLDFError: the object cannot be imported.
    """
    caption = _make_captioner(captioner)

    def run(trial: Trial, seed: int) -> None:
        prompt = known_part(caption(trial.goal.picture), trial.evaluator.generator)
        trial.propose(prompt)
        trial.evaluate_prompt(prompt)

    name = "BLIP" if captioner is None else captioner
    return Method("caption", f"caption ({name})", NO_SEARCH, run)


@register_method("caption", title="caption (BLIP)", kind=NO_SEARCH)
def _default_caption(trial: Trial, seed: int) -> None:
    caption_method().run(trial, seed)


def known_part(caption: str, generator: Generator) -> str:
    """Return a caption without the words that the generator never learned.

    Raises:
        MethodUnavailableError: none is left.
    """
    if isinstance(generator, LimitedVocabulary) and generator.known_words is not None:
        known = generator.known_words
        part = " ".join(word for word in words_in(caption) if word in known)
    else:
        part = caption.strip()
    if not part:
        raise MethodUnavailableError(
            f"the generator {generator.name!r} knows no word of the caption {caption!r}: use one"
            " that reads any text, such as 'sd14'"
        )
    return part


def _make_captioner(name: str | None) -> Captioner:
    if name is None:
        model = HubModel(DEFAULT_CAPTIONER, "main", _command(DEFAULT_CAPTIONER), True)
        return lambda picture: _caption(picture, functools.partial(_download, model))
    if (folder := Path(name)).is_dir():
        return lambda picture: _caption(picture, lambda: folder)
    if is_object_name(name):
        made: Captioner = make_named("captioner", name, callable)
        return made
    repository, _, revision = name.partition("@")
    if is_repository(repository):
        model = HubModel(repository, revision or "main", _command(name))
        return lambda picture: _caption(picture, functools.partial(_download, model))
    raise AgentError(
        f"the captioner {name!r} is no folder: give a folder, a repository such as"
        f" {DEFAULT_CAPTIONER}, or package.module:object"
    )


def _command(name: str) -> str:
    return f"rldf compare PICTURE --captioner {name}"


def _download(model: HubModel) -> Path:
    from huggingface_hub import snapshot_download

    def snapshot(local_files_only: bool) -> Path:
        return Path(
            snapshot_download(
                model.repository,
                revision=model.revision,
                allow_patterns=list(_PATTERNS),
                local_files_only=local_files_only,
            )
        )

    return model.obtain(snapshot)


def _caption(picture: NDArray[np.uint8], find: Callable[[], Path]) -> str:
    """Return a model's caption, chosen greedily, of at most `_MOST_TOKENS` tokens.

    Raises:
        MethodUnavailableError: the model is not here, damaged, or of another kind.
    """
    import torch

    try:
        model, processor = _load(find())
    except ModelError as error:
        raise MethodUnavailableError(f"there is no captioner: {error}") from error
    inputs = processor(images=picture, return_tensors="pt").to(model.device)
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens=_MOST_TOKENS, do_sample=False, num_beams=1)
    [caption] = processor.batch_decode(tokens, skip_special_tokens=True)
    return str(caption).strip()


@functools.cache
def _load(folder: Path) -> tuple[Any, Any]:
    ModelFiles(folder, _FILES).check()
    device = open_device(None)
    with suppress_all_logs():
        import transformers.utils.logging as transformers_logging
        from transformers import AutoModelForImageTextToText, AutoProcessor

        transformers_logging.disable_progress_bar()
        try:
            model = AutoModelForImageTextToText.from_pretrained(
                folder, local_files_only=True, use_safetensors=True
            )
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # transformers and what is under it raise their own kinds
            reason = " ".join(str(error).split())
            raise ModelError(f"{folder} holds no captioning model [{reason}]") from error
    return model.to(device).eval(), processor
