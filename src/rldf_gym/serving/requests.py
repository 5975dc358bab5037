"""The fields of a request: those of the Images API, and `seed`."""

from typing import Annotated, Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rldf_gym.serving.errors import RequestError

LONGEST_PROMPT = 4_000
"""Characters; text encoders read a few hundred at most."""

MOST_IMAGES = 10
"""That one request may ask for, as in OpenAI's API."""

SEED_LIMIT = 2**63


def _not_streamed(value: bool | None) -> bool | None:
    if value:
        raise ValueError("images are not streamed: leave it out")
    return value


class ImagesRequest(BaseModel):
    """Body of ``POST /v1/images/generations``.

    The fields of the last block are ignored, because some clients always send them; any other
    field is rejected, so that no client believes that it had an effect.

    Attributes:
        prompt: the text.
        model: the name in ``/v1/models``; None for the one there is.
        n: number of images.
        size: that of the model, "WxH", or "auto".
        seed: of the first picture; the next one's is larger by 1, and so on. None picks one at
            random; every image's seed is in the reply.
        response_format: "b64_json", or "url" for a ``data:`` URL with the same content.
        output_format: "png".
        stream: False.
    """

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MOST_IMAGES)] | None = None
    size: str | None = None
    seed: Annotated[int, Field(ge=0, lt=SEED_LIMIT)] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    output_format: Literal["png"] | None = None
    stream: Annotated[bool | None, AfterValidator(_not_streamed)] = None

    background: Any = None
    moderation: Any = None
    output_compression: Any = None
    partial_images: Any = None
    quality: Any = None
    safety_identifier: Any = None
    style: Any = None
    user: Any = None


def explain(error: RequestValidationError, content_type: str) -> RequestError:
    """Return the answer that names the fields of a request that are wrong, and how.

    Args:
        error: of the validation; what was sent is not repeated.
        content_type: header of the request, empty if it has none.
    """
    if "json" not in content_type:
        return RequestError(400, "send JSON, with Content-Type: application/json", "invalid_json")
    if error.errors()[0]["type"] == "json_invalid":
        return invalid_json()
    faults = [
        (".".join(str(part) for part in fault["loc"][1:]), str(fault["msg"]))
        for fault in error.errors()
    ]
    message = "; ".join(f"{field}: {message}" if field else message for field, message in faults)
    return RequestError(400, message, "invalid_value", faults[0][0] or None)


def invalid_json() -> RequestError:
    """Return the answer to a body that cannot be parsed."""
    return RequestError(400, "the body is not JSON in UTF-8", "invalid_json")
