"""``/v1/images/generations`` and ``/v1/models`` of one generator, as an ASGI app."""

import asyncio
import base64
import contextlib
import io
import secrets
import time
import zlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rldf_gym.errors import RLDFError
from rldf_gym.failed_images import FailedImage, Image
from rldf_gym.generation import (
    FailedImagesError,
    GenerationError,
    Generator,
    LimitedVocabulary,
    check_words,
)
from rldf_gym.generation.openai_responses import UNAVAILABLE
from rldf_gym.serving.access import BearerToken, CountedRequests, unauthorized
from rldf_gym.serving.errors import RequestError
from rldf_gym.serving.metrics import Metrics
from rldf_gym.serving.queue import ImageQueue, QueueSettings
from rldf_gym.serving.requests import SEED_LIMIT, ImagesRequest, read_request

_CLIENT_GONE = 499
"""Status of a request whose client did not wait; nobody receives it, the metrics count it."""

_NO_RETRY = {"x-should-retry": "false"}
"""Signals to the openai client that the same request will fail again."""

_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""Fast and lossless: 1.1 ms and 20 kB for a 128x128 image (level 1 alone: 1.2 ms and 23 kB)."""


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "generator")


@dataclass(frozen=True)
class ServedModel:
    """A generator that is loaded.

    It runs in one thread, from the first image on: any other would have to record its own CUDA
    graphs (``compile="reduce-overhead"``).

    Attributes:
        generator: generates the images.
        size: of its images, "WxH".
        created: when it was made ready, in seconds since 1970.
        thread: where it generates.
    """

    generator: Generator
    size: str
    created: int
    thread: ThreadPoolExecutor = field(default_factory=_one_thread)

    @classmethod
    def warm_up(cls, generator: Generator, n_images: int) -> "ServedModel":
        """Load and warm up a generator by generating one full batch.

        Raises:
            GenerationError: it cannot be loaded, or cannot generate.
        """
        prompt = min(_known_words(generator) or ("a photo",))
        thread = _one_thread()
        try:
            images = thread.submit(generator, [prompt] * n_images, range(n_images)).result()
        except FailedImagesError as error:
            images = error.pictures
        height, width = images.shape[1:3]
        return cls(generator, f"{width}x{height}", int(time.time()), thread)

    def listed(self) -> dict[str, Any]:
        """Return its entry in ``/v1/models``; `ImagesApiGenerator` reads "generator"."""
        words = _known_words(self.generator)
        return {
            "id": self.generator.name,
            "object": "model",
            "created": self.created,
            "owned_by": "rldf",
            "generator": {
                "fingerprint": self.generator.fingerprint,
                "size": self.size,
                "known_words": None if words is None else sorted(words),
                "perception": getattr(self.generator, "perception", "photos"),
            },
        }

    def check(self, asked: ImagesRequest) -> None:
        """Check a request before it is queued.

        Raises:
            RequestError: the model cannot generate such images.
        """
        if asked.model is not None:
            self.check_name(asked.model)
        if asked.size not in (None, "auto", self.size):
            message = f"{self.generator.name} generates {self.size} and no other size"
            raise RequestError(400, message, "invalid_value", "size")
        try:
            check_words(self.generator, [asked.prompt])
        except GenerationError as error:
            raise RequestError(400, str(error), "unknown_words", "prompt") from error

    def check_name(self, name: str) -> None:
        """Raise `RequestError` for the name of another model."""
        if name != self.generator.name:
            message = f"no model {name!r} here; this server has {self.generator.name!r}"
            raise RequestError(404, message, "model_not_found", "model")


def make_app(model: ServedModel, settings: QueueSettings, token: str | None = None) -> Starlette:
    """Return the app that serves one generator.

    Args:
        model: the generator.
        settings: how requests are gathered.
        token: what clients must send as ``Authorization: Bearer <token>``; None lets everybody in.
    """
    metrics = Metrics()
    queue = ImageQueue(model.generator, model.thread, settings, metrics)

    async def generate_images(request: Request) -> Response:
        asked = await read_request(request)
        return await _unless_gone(request, _generate(asked, model, queue))

    async def list_models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [model.listed()]})

    async def retrieve_model(request: Request) -> Response:
        model.check_name(request.path_params["name"])
        return JSONResponse(model.listed())

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def show_health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with queue.running():
            yield

    middleware = [Middleware(CountedRequests, metrics=metrics)]
    if token is not None:
        backend = BearerToken(token)
        middleware.append(Middleware(AuthenticationMiddleware, backend, on_error=unauthorized))
    return Starlette(
        routes=[
            Route("/v1/images/generations", generate_images, methods=["POST"]),
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", retrieve_model),
            Route("/metrics", show_metrics),
            Route("/health", show_health),
        ],
        middleware=middleware,
        exception_handlers=dict.fromkeys(
            (HTTPException, ClientDisconnect, RLDFError, Exception), _error_response
        ),
        lifespan=lifespan,
    )


async def _error_response(request: Request, error: Exception) -> Response:
    match error:
        case RequestError():
            return error.response()
        case HTTPException():
            message = f"{request.method} {request.url.path}: {error.detail}"
            return RequestError(error.status_code, message, headers=error.headers).response()
        case ClientDisconnect():
            return Response(status_code=_CLIENT_GONE)
        case RLDFError():
            message = str(error)
        case _:
            # Our own errors are written for users; what libraries say stays in the server's log.
            message = "the image could not be generated"
    return RequestError(500, message, "generation_failed", headers=_NO_RETRY).response()


async def _generate(asked: ImagesRequest, model: ServedModel, queue: ImageQueue) -> Response:
    model.check(asked)
    n_images = asked.n or 1
    first = secrets.randbelow(SEED_LIMIT) if asked.seed is None else asked.seed
    seeds = [(first + place) % SEED_LIMIT for place in range(n_images)]
    outcomes = await queue.generate([asked.prompt] * n_images, seeds)
    if reasons := [outcome.reason for outcome in outcomes if isinstance(outcome, FailedImage)]:
        raise RequestError(400, "; ".join(dict.fromkeys(reasons)), UNAVAILABLE, "prompt")
    images = [outcome for outcome in outcomes if not isinstance(outcome, FailedImage)]
    encoded = await asyncio.to_thread(_encode, images)
    is_url = asked.response_format == "url"
    name, prefix = ("url", "data:image/png;base64,") if is_url else ("b64_json", "")
    return JSONResponse(
        {
            "created": int(time.time()),
            "data": [
                {name: prefix + content, "seed": seed}
                for content, seed in zip(encoded, seeds, strict=True)
            ],
            "output_format": "png",
            "size": model.size,
            "fingerprint": model.generator.fingerprint,
        }
    )


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Do the work while the client waits for it."""

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working = asyncio.create_task(work)
    gone = asyncio.create_task(disconnected())
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else Response(status_code=_CLIENT_GONE)
    finally:
        working.cancel()
        gone.cancel()


def _encode(images: Sequence[Image]) -> list[str]:
    """Return images uint8 `[H, W, 3]` as PNG in base64."""
    from PIL import Image as PillowImage

    encoded = []
    for image in images:
        content = io.BytesIO()
        PillowImage.fromarray(image).save(content, "PNG", **_PNG)
        encoded.append(base64.b64encode(content.getvalue()).decode())
    return encoded


def _known_words(generator: Generator) -> frozenset[str] | None:
    return generator.known_words if isinstance(generator, LimitedVocabulary) else None
