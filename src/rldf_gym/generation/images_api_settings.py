"""Settings of a model behind an Images API."""

import math
import os
import re
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any
from urllib.parse import urlsplit

from rldf_gym.generation.protocols import GenerationError

ADDRESS_VARIABLE = "OPENAI_BASE_URL"

_OPENAI_HOST = "api.openai.com"
_OPENAI_URL = f"https://{_OPENAI_HOST}/v1"
_SIZE = re.compile(r"[1-9]\d{0,4}x[1-9]\d{0,4}")


@dataclass(frozen=True)
class Server:
    """Where an Images API is.

    Attributes:
        url: such as "http://127.0.0.1:8000/v1"; one server is always written in one way.
        host: of the url, in lower case.
    """

    url: str
    host: str

    @property
    def is_openai(self) -> bool:
        """Whether that is OpenAI's own API, in any of its regions."""
        return f".{self.host}".endswith(f".{_OPENAI_HOST}")


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
            pictures cannot be drawn twice: there the first one drawn for a prompt is the picture.
        max_generations: pictures asked for at most, over the generator's life; None for no limit.
        concurrency: requests under way at once.
        max_retries: tries after the first, ever longer apart (up to 8 s, or what the server asks).
        timeout: seconds to wait for a picture.

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
            raise GenerationError("name the model that the server draws with: openai:<model>")
        if self.size is not None and _SIZE.fullmatch(str(self.size)) is None:
            raise GenerationError(f"size is {self.size!r}; give width x height, such as '512x512'")
        for name, least in (("max_generations", 0), ("concurrency", 1), ("max_retries", 0)):
            value = getattr(self, name)
            if value is None and name == "max_generations":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise GenerationError(
                    f"{name} is {value!r}; it must be a whole number of at least {least}"
                )
        if not isinstance(self.timeout, Real) or not 0 < self.timeout < math.inf:
            raise GenerationError(f"timeout is {self.timeout!r}; it must be above 0 seconds")

    def override(self, **changes: Any) -> "ImagesApiSettings":
        """The same with other settings, such as `size="512x512"`.

        Raises:
            GenerationError: for a name that is not a setting, listing those that are.
        """
        known = [setting.name for setting in fields(self) if setting.name != "model"]
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise GenerationError(
                f"unknown setting {', '.join(unknown)} of a model behind an Images API; known:"
                f" {', '.join(known)}; the key is read from OPENAI_API_KEY"
            )
        return replace(self, **changes)

    def server(self) -> Server:
        """Where requests go.

        Raises:
            GenerationError: that is no address, or it carries a secret.
        """
        return parse_server(self.base_url or os.environ.get(ADDRESS_VARIABLE) or _OPENAI_URL)

    def shape(self) -> tuple[int, int, int] | None:
        """`(H, W, 3)` of the pictures; None where the size is left to the server."""
        if self.size is None:
            return None
        width, height = map(int, self.size.split("x"))
        return height, width, 3


def parse_server(base_url: str) -> Server:
    """The server that a URL names.

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
    usual = {"http": 80, "https": 443}[parts.scheme]
    name = f"[{host}]" if ":" in host else host
    where = name if port in (None, usual) else f"{name}:{port}"
    return Server(f"{parts.scheme}://{where}{parts.path.rstrip('/')}", host)
