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
from http import HTTPStatus
from typing import Any, TypeVar

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from numpy.typing import NDArray
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from rldf_gym.errors import RLDFError
from rldf_gym.failed_images import FailedImage
from rldf_gym.generation import (
    FailedImagesError,
    GenerationError,
    Generator,
    LimitedVocabulary,
    check_words,
)
from rldf_gym.generation.openai_responses import UNAVAILABLE
from rldf_gym.serving.access import BearerToken, CountedRequests, LimitedBody
from rldf_gym.serving.errors import RequestError
from rldf_gym.serving.metrics import Metrics
from rldf_gym.serving.queue import ImageQueue, QueueFullError, QueueSettings
from rldf_gym.serving.requests import SEED_LIMIT, ImagesRequest, explain, invalid_json

Answer = TypeVar("Answer")

_CLIENT_GONE = 499
"""Status of a request whose client did not wait; nobody receives it, the metrics count it."""

_NO_RETRY = {"x-should-retry": "false"}
"""Signals to the openai client that the same request will fail again."""

_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
"""Fast and lossless: 1.1 ms and 20 kB for a 128x128 picture (level 1 alone: 1.2 ms and 23 kB)."""


def _drawing_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "generator")


@dataclass(frozen=True)
class ServedModel:
    """A generator that is loaded.

    It runs in one thread, from the first image on. With a second thread there would be more OpenMP
    threads than processors, which then sleep and wake around every operation: generating took half
    as long again. CUDA graphs too belong to the thread that recorded them.

    Attributes:
        generator: generates the images.
        size: of its images, "WxH".
        created: when it was made ready, in seconds since 1970.
        thread: where it generates.
    """

    generator: Generator
    size: str
    created: int
    thread: ThreadPoolExecutor = field(default_factory=_drawing_thread)

    @classmethod
    def warm_up(cls, generator: Generator, n_pictures: int) -> "ServedModel":
        """Load and warm up a generator by generating one full batch.

        Raises:
            GenerationError: it cannot be loaded, or cannot generate.
        """
        prompt = min(_known_words(generator) or ("a photo",))
        thread = _drawing_thread()
        try:
            pictures = thread.submit(generator, [prompt] * n_pictures, range(n_pictures)).result()
        except FailedImagesError as error:
            pictures = error.pictures
        height, width = pictures.shape[1:3]
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


def make_app(model: ServedModel, settings: QueueSettings, token: str | None = None) -> FastAPI:
    """Return the app that serves one generator.

    Args:
        model: the generator.
        settings: how requests are gathered.
        token: what clients must send as ``Authorization: Bearer <token>``; None lets everybody in.
    """
    metrics = Metrics()
    queue = ImageQueue(model.generator, model.thread, settings, metrics)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with queue.running():
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None)
    _add_routes(app, model, queue, metrics)
    _add_error_handlers(app)
    # The last added is the first to see a request.
    app.add_middleware(LimitedBody)
    if token is not None:
        app.add_middleware(BearerToken, token=token)
    app.add_middleware(CountedRequests, metrics=metrics)
    return app


def _add_routes(app: FastAPI, model: ServedModel, queue: ImageQueue, metrics: Metrics) -> None:
    @app.post("/v1/images/generations")
    async def generate(asked: ImagesRequest, request: Request) -> Response:
        return await _unless_gone(request, _generate(asked, model, queue))

    @app.get("/v1/models")
    async def list_models() -> Response:
        return JSONResponse({"object": "list", "data": [model.listed()]})

    @app.get("/v1/models/{name:path}")
    async def retrieve_model(name: str) -> Response:
        _require_model(name, model)
        return JSONResponse(model.listed())

    @app.get("/metrics")
    async def tell_metrics() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health")
    async def tell_health() -> Response:
        return JSONResponse({"status": "ok"})


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def rejected(_: Request, error: RequestError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return explain(error, request.headers.get("Content-Type", "")).response()

    @app.exception_handler(HTTPException)
    async def not_there(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # FastAPI's answer to bytes that are no text
            return invalid_json().response()
        message = f"{request.method} {request.url.path}: {error.detail}"
        code = HTTPStatus(error.status_code).name.lower()
        return RequestError(error.status_code, message, code, headers=error.headers).response()

    @app.exception_handler(RLDFError)
    async def failed(_: Request, error: RLDFError) -> Response:
        return RequestError(500, str(error), "generation_failed", headers=_NO_RETRY).response()

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> Response:
        # Our own errors are written for users; what libraries say stays in the server's log.
        message = "the picture could not be drawn"
        return RequestError(500, message, "generation_failed", headers=_NO_RETRY).response()


async def _generate(asked: ImagesRequest, model: ServedModel, queue: ImageQueue) -> Response:
    _check(asked, model)
    n_pictures = asked.n or 1
    if n_pictures > queue.capacity:
        message = f"n is {n_pictures}, but no more than {queue.capacity} pictures may wait here"
        raise RequestError(400, message, "invalid_value", "n")
    first = secrets.randbelow(SEED_LIMIT) if asked.seed is None else asked.seed
    seeds = [(first + place) % SEED_LIMIT for place in range(n_pictures)]
    try:
        outcomes = await queue.generate([asked.prompt] * n_pictures, seeds)
    except QueueFullError:
        seconds = str(queue.seconds_until_empty())
        message = f"{len(queue)} images are waiting already; try again in {seconds} seconds"
        raise RequestError(503, message, "queue_full", headers={"Retry-After": seconds}) from None
    if reasons := [outcome.reason for outcome in outcomes if isinstance(outcome, FailedImage)]:
        raise RequestError(400, "; ".join(dict.fromkeys(reasons)), UNAVAILABLE, "prompt")
    pictures = [outcome for outcome in outcomes if not isinstance(outcome, FailedImage)]
    encoded = await asyncio.to_thread(_encode, pictures)
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


def _check(asked: ImagesRequest, model: ServedModel) -> None:
    """Reject what the model cannot generate, before it is queued."""
    if asked.model is not None:
        _require_model(asked.model, model)
    if asked.size not in (None, "auto", model.size):
        message = f"{model.generator.name} draws {model.size} and no other size"
        raise RequestError(400, message, "invalid_value", "size")
    try:
        check_words(model.generator, [asked.prompt])
    except GenerationError as error:
        raise RequestError(400, str(error), "unknown_words", "prompt") from error


def _require_model(name: str, model: ServedModel) -> None:
    if name != model.generator.name:
        message = f"no model {name!r} here; this server draws with {model.generator.name!r}"
        raise RequestError(404, message, "model_not_found", "model")


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


def _encode(pictures: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Return images uint8 `[H, W, 3]` as PNG in base64."""
    from PIL import Image

    encoded = []
    for picture in pictures:
        content = io.BytesIO()
        Image.fromarray(picture).save(content, "PNG", **_PNG)
        encoded.append(base64.b64encode(content.getvalue()).decode())
    return encoded


def _known_words(generator: Generator) -> frozenset[str] | None:
    return generator.known_words if isinstance(generator, LimitedVocabulary) else None
