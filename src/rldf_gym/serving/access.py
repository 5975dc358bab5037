"""Middleware: authentication, limits on request bodies, metrics."""

import asyncio
import hmac
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rldf_gym.serving.errors import RequestError
from rldf_gym.serving.metrics import Metrics

LARGEST_BODY = 64 * 1024
"""Bytes of a request; many times the longest prompt."""

READ_SECONDS = 10.0
"""Within which a request must arrive: its head, and then its body."""

OPEN_PATHS = frozenset({"/health"})
"""Paths without authentication; they reveal only that the server is up."""

_PATHS = frozenset({"/health", "/metrics", "/v1/models", "/v1/images/generations"})


class CountedRequests:
    """Counts and times every request, including rejected ones."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start = 500, time.perf_counter()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            # Any path can be asked for: those that do not exist share one label.
            path = scope["path"] if scope["path"] in _PATHS else "other"
            self._metrics.answered(path, status, time.perf_counter() - start)


class BearerToken:
    """Rejects requests without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests with the token."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        error = RequestError(
            401,
            "this server needs its token: Authorization: Bearer <token>",
            "invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
        await error.response()(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        # In constant time: the delay must not reveal how much of a guess was right.
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


class LimitedBody:
    """Reads a request's body before anything else does; rejects a large and a slow one."""

    def __init__(self, app: ASGIApp, limit: int = LARGEST_BODY) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on requests whose bodies are small enough and arrive in time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._read(receive), READ_SECONDS)
        except asyncio.TimeoutError:
            message = f"the body of a request must arrive within {READ_SECONDS:g} seconds"
            error = RequestError(408, message, "request_timeout", headers={"Connection": "close"})
            await error.response()(scope, receive, send)
        except RequestError as error:
            await error.response()(scope, receive, send)
        else:
            if body is not None:
                await self._app(scope, _replayed(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """Return the whole body, or None where the client is gone."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                reason = f"a request has at most {self._limit} bytes"
                raise RequestError(413, reason, "request_too_large")
        return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that gives a body that was read already, then the client's messages."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def read() -> Message:
        return left.pop() if left else await receive()

    return read
