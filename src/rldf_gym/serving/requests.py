"""What clients may ask for: the fields of the Images API, and `seed`."""

from typing import Annotated, Any

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from rldf_gym.serving.errors import RequestError

LONGEST_PROMPT = 4_000
"""Characters; text encoders read a few hundred at most."""

MOST_PICTURES = 10
"""That one request may ask for, as in OpenAI's API."""

SEED_LIMIT = 2**63


def _only(allowed: str, otherwise: str) -> AfterValidator:
    def check(value: Any) -> Any:
        if value not in (None, allowed):
            raise ValueError(otherwise)
        return value

    return AfterValidator(check)


def _never(value: bool | None) -> bool | None:
    if value:
        raise ValueError("pictures are not streamed: leave it out")
    return value


class PicturesRequest(BaseModel):
    """Body of ``POST /v1/images/generations``.

    The fields of the last block mean nothing to the models served here and are accepted for the
    sake of clients that always send them; anything else is refused, lest a client believe that a
    setting it sent had an effect.

    Attributes:
        prompt: what to draw.
        model: the name in ``/v1/models``; None for the one there is.
        n: how many pictures.
        size: that of the model, "WxH", or "auto".
        seed: of the first picture; the next one's is larger by 1, and so on. None draws one by
            lot; every picture's seed is in the reply.
        response_format: "b64_json".
        output_format: "png".
        stream: False.
    """

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT)]
    model: str | None = None
    n: Annotated[int, Field(ge=1, le=MOST_PICTURES)] | None = None
    size: str | None = None
    seed: Annotated[int, Field(ge=0, lt=SEED_LIMIT)] | None = None
    response_format: Annotated[
        str | None,
        _only("b64_json", "pictures are sent in the reply and put at no address: use 'b64_json'"),
    ] = None
    output_format: Annotated[str | None, _only("png", "pictures are sent as 'png'")] = None
    stream: Annotated[bool | None, AfterValidator(_never)] = None

    background: Any = None
    moderation: Any = None
    output_compression: Any = None
    partial_images: Any = None
    quality: Any = None
    safety_identifier: Any = None
    style: Any = None
    user: Any = None


def explain(error: RequestValidationError) -> RequestError:
    """Say which fields of a request are wrong, and how; what was sent is not repeated."""
    faults = [
        (".".join(str(part) for part in fault["loc"][1:]), str(fault["msg"]))
        for fault in error.errors()
    ]
    told = "; ".join(f"{field}: {message}" if field else message for field, message in faults)
    return RequestError(400, told, "invalid_value", faults[0][0] or None)
