"""Parse what the servers of an Images API answer: images, rejected prompts, errors."""

import base64
import io
from typing import Any

import numpy as np

from rldf_gym.failed_images import Image
from rldf_gym.generation.images_api_settings import ImagesApiSettings
from rldf_gym.generation.protocols import GenerationError

UNAVAILABLE = "picture_unavailable"
"""Code of the error by which `rldf serve` says that its generator will never give an image."""

# OpenAI's DALL-E and GPT image models, Azure's two, and ours.
_FILTERED = frozenset(
    {
        "content_policy_violation",
        "moderation_blocked",
        "content_filter",
        "contentFilter",
        UNAVAILABLE,
    }
)
BLACK = "an all-black image: the model overflowed, or a safety checker rejected it"
_FORMATS = ("PNG", "WEBP", "JPEG")
"""Formats that servers send; each further decoder is one more that a hostile server could abuse."""

_LONGEST_MESSAGE = 500
"""Characters of a server's own words that are repeated."""


def filter_reason(error: Exception) -> str | None:
    """Return why a content filter rejects the prompt for good; None for any other error."""
    import openai

    is_filtered = isinstance(error, openai.BadRequestError) and error.code in _FILTERED
    return _message(error) if is_filtered else None


def find_model(listing: Any, model: str) -> dict[str, Any]:
    """Return what `rldf serve` says of a model in ``/v1/models``.

    Returns:
        "fingerprint" (always), "known_words", "perception"; empty where the server is another, or
        does not have the model.
    """
    for listed in getattr(listing, "data", None) or ():
        if getattr(listed, "id", None) == model:
            entry = (getattr(listed, "model_extra", None) or {}).get("generator")
            if isinstance(entry, dict) and isinstance(entry.get("fingerprint"), str):
                return entry
    return {}


def read_image(reply: Any, name: str, size: str | None) -> Image:
    """Return the image uint8 `[H, W, 3]` in a reply.

    Args:
        reply: the client's parsed response.
        name: of the generator, for messages.
        size: the requested one, "WxH"; None where the server chooses.

    Raises:
        GenerationError: the reply does not have one image, or one of another size.
    """
    from PIL import Image as PillowImage

    data = getattr(reply, "data", None)
    is_one = isinstance(data, list) and len(data) == 1
    content = getattr(data[0], "b64_json", None) if data and is_one else None
    if not content:
        raise GenerationError(
            f"{name!r}: the reply does not have one image in base64 (b64_json); a server that sends"
            " an address (url) instead is not supported"
        )
    try:
        file = io.BytesIO(base64.b64decode(content, validate=True))
        with PillowImage.open(file, formats=_FORMATS) as opened:
            image = np.array(opened.convert("RGB"))
    except Exception as error:  # decoders, and what ultralytics has put before them, have many
        raise GenerationError(f"{name!r}: the reply's image is damaged ({error})") from error
    height, width, _ = image.shape
    if size is not None and size != f"{width}x{height}":
        raise GenerationError(f"{name!r}: requested {size}, the server sent {width}x{height}")
    return image


def describe_failure(error: Exception, url: str, settings: ImagesApiSettings) -> str:
    """Return what went wrong and how to fix it.

    Args:
        error: of the client, after its retries.
        url: of the server.
        settings: of the requests.
    """
    import openai

    tries = f"after {settings.max_retries + 1} tries"
    key = "rejects the key; OPENAI_API_KEY must hold the right one"
    faults = {
        401: key,
        403: key,
        404: f"has no model {settings.model!r}",
        429: f"allows no further requests, {tries}: too many at once"
        f" (concurrency={settings.concurrency}), or the credit is used up",
    }
    match error:
        case openai.APITimeoutError():
            return f"the server at {url} did not answer in {settings.timeout:g} seconds, {tries}"
        case openai.APIConnectionError():
            return (
                f"the server at {url} cannot be reached, {tries}: is it running, and is the"
                f" address right? [{error.__cause__ or error}]"
            )
        case openai.APIStatusError():
            fault = faults.get(error.status_code, f"answered {error.status_code}")
            return f"the server at {url} {fault}: {_message(error)}"
    return f"the reply of the server at {url} makes no sense: {error}"


def _message(error: Any) -> str:
    """Return the server's own words, on one line."""
    message = error.body.get("message") if isinstance(error.body, dict) else None
    text = " ".join(str(message or error).split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
