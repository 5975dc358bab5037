"""Settings of a model behind an Images API."""

import math
import os
import re
from dataclasses import dataclass
from numbers import Real
from urllib.parse import urlsplit

from rldf_gym.generation.protocols import GenerationError
from rldf_gym.generation.settings import require_whole

ADDRESS_VARIABLE = "OPENAI_BASE_URL"

_OPENAI_HOST = "api.openai.com"
_OPENAI_URL = f"https://{_OPENAI_HOST}/v1"
_SIZE = re.compile(r"[1-9]\d{0,4}x[1-9]\d{0,4}")


@dataclass(frozen=True)
class ImagesApiSettings:
    """One model behind an Images API, and how to request its images.

    Attributes:
        model: as the server calls it: "gpt-image-2", "dall-e-2", "embedded".
        base_url: of the server, such as "http://127.0.0.1:8000/v1"; None for what the environment
            variable OPENAI_BASE_URL says, else OpenAI's.
        size: width and height in pixels, such as "512x512"; None for 1024x1024 from OpenAI, and
            the server's own from any other.
        quality: such as "low" or "high"; None for the model's own.
        sends_seed: whether the server takes a `seed`; None for yes, except from OpenAI, whose
            images cannot be generated twice: the first one for a prompt is kept.
        max_generations: images requested at most, over the generator's life; None for no limit.
        concurrency: requests under way at once.
        max_retries: tries after the first, ever longer apart (up to 8 s, or what the server asks).
        timeout: seconds to wait for an image.

    Raises:
        GenerationError: for a setting outside its range.
    """

    model: str
    base_url: str | None = None
    size: str | None = None
    quality: str | None = None
    sends_seed: bool | None = None
    max_generations: int | None = None
    concurrency: int = 8
    max_retries: int = 5
    timeout: float = 600.0

    def __post_init__(self) -> None:
        if not self.model:
            raise GenerationError("name the server's model: openai:<model>")
        if self.size is not None and _SIZE.fullmatch(str(self.size)) is None:
            raise GenerationError(f"size is {self.size!r}; give width x height, such as '512x512'")
        for name, least in (("max_generations", 0), ("concurrency", 1), ("max_retries", 0)):
            value = getattr(self, name)
            if value is not None or name != "max_generations":
                require_whole(name, value, least)
        if not isinstance(self.timeout, Real) or not 0 < self.timeout < math.inf:
            raise GenerationError(f"timeout is {self.timeout!r}; it must be above 0 seconds")

    def url(self) -> str:
        """Return the server's address as `normalized_url` writes it.

        Raises:
            GenerationError: that is no address, or it carries a secret.
        """
        return normalized_url(self.base_url or os.environ.get(ADDRESS_VARIABLE) or _OPENAI_URL)

    def shape(self) -> tuple[int, int, int] | None:
        """Return `(H, W, 3)` of the images; None where the size is left to the server."""
        if self.size is None:
            return None
        width, height = map(int, self.size.split("x"))
        return height, width, 3


def normalized_url(base_url: str) -> str:
    """Return the address of an API, written in the one way that a fingerprint needs.

    Raises:
        GenerationError: no URL of an API; one that may carry a secret is not repeated.
    """
    if any(mark in base_url for mark in "@?#"):
        raise GenerationError(
            "the base_url has a user, a query or a fragment: what it says would end up in messages"
            " and fingerprints; give http(s)://host[:port]/v1, and the key in OPENAI_API_KEY"
        )
    try:
        parts = urlsplit(base_url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in ("http", "https"):
        raise GenerationError(f"base_url is {base_url!r}; give http(s)://host[:port]/v1")
    name = f"[{host}]" if ":" in host else host
    is_usual = port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{parts.scheme}://{name}{'' if is_usual else f':{port}'}{parts.path.rstrip('/')}"


def is_openai(url: str) -> bool:
    """Return whether a normalized address is of OpenAI's own API, in any of its regions."""
    return f".{urlsplit(url).hostname}".endswith(f".{_OPENAI_HOST}")
