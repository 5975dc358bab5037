"""Who may send requests, how large and how slow they may be, and how many there were."""

import asyncio
import hmac
import time

from starlette.authentication import AuthenticationBackend, AuthenticationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rldf_gym.serving.errors import RequestError
from rldf_gym.serving.metrics import Metrics

LARGEST_BODY = 64 * 1024
"""Bytes of a request; many times the longest prompt."""

READ_SECONDS = 10.0
"""Within which the body of a request must arrive; its head and body together within twice that."""

OPEN_PATHS = frozenset({"/health"})
"""Paths without authentication; they reveal only that the server is up."""

_PATHS = frozenset({"/health", "/metrics", "/v1/models", "/v1/images/generations"})


class CountedRequests:
    """Middleware that counts and times every request, including rejected ones."""

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


class BearerToken(AuthenticationBackend):
    """Rejects requests without the token, for Starlette's `AuthenticationMiddleware`."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def authenticate(self, conn: HTTPConnection) -> None:
        """Raise `AuthenticationError` for a request without the token."""
        scheme, _, token = conn.headers.get("authorization", "").partition(" ")
        # In constant time: the delay must not reveal how much of a guess was right.
        is_known = hmac.compare_digest(token.strip().encode(), self._token)
        # Not the path of `conn.url`: a client's Host header is a part of that.
        if not (scheme.lower() == "bearer" and is_known) and conn.scope["path"] not in OPEN_PATHS:
            raise AuthenticationError


def unauthorized(_: HTTPConnection, __: AuthenticationError) -> Response:
    """Return the answer to a request without the token."""
    message = "this server needs its token: Authorization: Bearer <token>"
    headers = {"WWW-Authenticate": "Bearer"}
    return RequestError(401, message, "invalid_api_key", headers=headers).response()


async def read_body(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        RequestError: it is too large, or does not arrive in time.
    """

    async def read() -> bytes:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                message = f"a request has at most {LARGEST_BODY} bytes"
                raise RequestError(413, message, "request_too_large")
        return body

    try:
        return await asyncio.wait_for(read(), READ_SECONDS)
    except asyncio.TimeoutError:
        message = f"the body of a request must arrive within {READ_SECONDS:g} seconds"
        raise RequestError(408, message, headers={"Connection": "close"}) from None
