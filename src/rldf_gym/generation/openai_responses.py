"""Parse what the servers of an Images API answer: images, rejected prompts, errors."""

import base64
import binascii
import io
from typing import Any

import numpy as np

from rldf_gym.failed_images import Image
from rldf_gym.generation.images_api_settings import ImagesApiSettings
from rldf_gym.generation.protocols import GenerationError

UNAVAILABLE = "picture_unavailable"
"""Code of the error by which `rldf serve` says that a picture does not exist."""

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
BLACK = "an all-black picture: the model overflowed, or a safety checker rejected it"
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
                words = entry.get("known_words")
                if words is None or _are_words(words):
                    return entry
    return {}


def _are_words(entry: object) -> bool:
    return isinstance(entry, list) and all(isinstance(word, str) for word in entry)


def read_image(reply: Any, name: str, size: str | None) -> Image:
    """Return the image uint8 `[H, W, 3]` in a reply.

    Args:
        reply: the client's parsed response.
        name: of the generator, for messages.
        size: what was asked for, "WxH"; None where the server chooses.

    Raises:
        GenerationError: the reply has no picture, or one of another size.
    """
    from PIL import Image as PillowImage

    content = _encoded_picture(reply, name)
    try:
        file = io.BytesIO(base64.b64decode(content, validate=True))
        with PillowImage.open(file, formats=_FORMATS) as opened:
            picture = np.array(opened.convert("RGB"))
    except binascii.Error as error:
        raise GenerationError(f"{name!r}: the reply's base64 is damaged ({error})") from error
    except Exception as error:  # decoders, and what ultralytics has put before them, have many
        raise GenerationError(f"{name!r}: the reply is no picture ({error})") from error
    height, width, _ = picture.shape
    if size is not None and size != f"{width}x{height}":
        raise GenerationError(f"{name!r}: asked for {size}, the server drew {width}x{height}")
    return picture


def describe_failure(error: Exception, url: str, settings: ImagesApiSettings) -> str:
    """Return what went wrong and how to fix it.

    Args:
        error: of the client, after its retries.
        url: of the server.
        settings: with which it was asked.
    """
    import openai

    tries = f"after {settings.max_retries + 1} tries"
    match error:
        case openai.APITimeoutError():
            return f"the server at {url} did not answer in {settings.timeout:g} seconds, {tries}"
        case openai.APIConnectionError():
            return (
                f"the server at {url} cannot be reached, {tries}: is it running, and is the"
                f" address right? [{error.__cause__ or error}]"
            )
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return (
                f"the server at {url} rejects the key; OPENAI_API_KEY must hold the right one"
                f" [{_message(error)}]"
            )
        case openai.NotFoundError():
            return f"the server at {url} has no model {settings.model!r} [{_message(error)}]"
        case openai.RateLimitError():
            return (
                f"the server at {url} allows no further requests, {tries}: too many at once"
                f" (concurrency={settings.concurrency}), or the credit is used up"
                f" [{_message(error)}]"
            )
        case openai.APIStatusError():
            return f"the server at {url} answered {error.status_code}: {_message(error)}"
    return f"the reply of the server at {url} makes no sense: {error}"


def _encoded_picture(reply: Any, name: str) -> str:
    data = getattr(reply, "data", None)
    if not isinstance(data, list) or len(data) != 1:
        found = len(data) if isinstance(data, list) else "no list of"
        raise GenerationError(f"{name!r}: the reply has {found} pictures where one was asked for")
    content = getattr(data[0], "b64_json", None)
    if not isinstance(content, str) or not content:
        instead = "an address (url)" if getattr(data[0], "url", None) else "nothing"
        raise GenerationError(
            f"{name!r}: the reply has {instead} in place of the pixels (b64_json), which the"
            " server does not send"
        )
    return content


def _message(error: Any) -> str:
    """The server's own words, on one line."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    text = " ".join(str(message or error).split())
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}..."
