"""The fields of a request: those of the Images API, and `seed`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from rldf_gym.serving.access import read_body
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
        seed: of the first image; the next one's is larger by 1, and so on. None picks one at
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


async def read_request(request: Request) -> ImagesRequest:
    """Return the fields of a request.

    Raises:
        RequestError: the body is too large, too slow, no JSON, or has fields that are wrong; it
            names them and does not repeat what was sent.
    """
    body = await read_body(request)
    # A web page of another site cannot send this type without being asked for permission first.
    if "json" not in request.headers.get("Content-Type", ""):
        raise RequestError(400, "send JSON, with Content-Type: application/json", "invalid_json")
    try:
        return ImagesRequest.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_input=False)
    if faults[0]["type"] == "json_invalid":
        raise RequestError(400, "the body is not JSON in UTF-8", "invalid_json")
    found = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in faults]
    message = "; ".join(f"{field}: {problem}" if field else problem for field, problem in found)
    raise RequestError(400, message, "invalid_value", found[0][0] or None)
