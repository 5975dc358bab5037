"""Start and stop a server: its address, its token, its time limits."""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from rldf_gym.addresses import is_loopback
from rldf_gym.batching import batch_size
from rldf_gym.generation import Generator
from rldf_gym.serving import access
from rldf_gym.serving.app import ServedModel, make_app
from rldf_gym.serving.errors import ServingError
from rldf_gym.serving.queue import QueueSettings

TOKEN_VARIABLE = "RLDF_SERVE_TOKEN"

_SHORTEST_TOKEN = 16
_MOST_CONNECTIONS = 1_000
_SHUTDOWN_SECONDS = 300
"""Within which accepted requests are finished after SIGINT or SIGTERM."""


def serve(
    generator: Generator,
    host: str,
    port: int,
    settings: QueueSettings,
    report: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; then finish what is queued and return.

    Args:
        generator: generates the images.
        host: name or address to listen on; one that is not a loopback needs a token, in the
            environment variable RLDF_SERVE_TOKEN.
        port: 0 picks a free one.
        settings: how requests are gathered.
        report: receives progress messages.

    Raises:
        ServingError: the address cannot be listened on, or needs a token.
        GenerationError: the generator cannot be loaded.
    """
    token = read_token(host)
    with bound_socket(host, port) as listener:
        report(f"loading {generator.name}")
        model = ServedModel.warm_up(generator, settings.max_batch or batch_size(generator))
        server = make_server(model, settings, token)
        where = f"[{host}]" if ":" in host else host
        report(
            f"serving {generator.name} ({model.size}) at"
            f" http://{where}:{listener.getsockname()[1]}/v1; Ctrl-C finishes what is queued and"
            " ends"
        )
        server.run(sockets=[listener])


class _ImpatientProtocol(H11Protocol):
    """Closes connections on which a request does not arrive in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer of the first request."""
        super().connection_made(transport)
        self._set_timer()

    def data_received(self, data: bytes) -> None:
        """Stop the timer where this completes a request."""
        super().data_received(data)
        self._set_timer()

    def _set_timer(self) -> None:
        """Start the timer at the first byte of a request, stop it at the last."""
        is_incomplete = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        if is_incomplete and self._timer is None:
            # A body that is too slow is answered by the app, if the app reads it at all.
            seconds = 2 * access.READ_SECONDS
            self._timer = self.loop.call_later(seconds, self.transport.close)
        elif not is_incomplete and self._timer is not None:
            self._timer.cancel()
            self._timer = None


def make_server(
    model: ServedModel, settings: QueueSettings, token: str | None = None
) -> uvicorn.Server:
    """Return the server of one generator; ``run(sockets=[...])`` starts it."""
    config = uvicorn.Config(
        make_app(model, settings, token),
        # Its levels below this print the headers of requests, and the token is in one.
        log_level="info",
        http=_ImpatientProtocol,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        server_header=False,
    )
    return uvicorn.Server(config)


def read_token(host: str) -> str | None:
    """Return the token that clients must send, from the environment; None for no token.

    Raises:
        ServingError: there is none and others could reach the host, or it is easily guessed.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if token and (len(token) < _SHORTEST_TOKEN or not token.isascii()):
        raise ServingError(
            f"{TOKEN_VARIABLE} must have at least {_SHORTEST_TOKEN} characters, ASCII only;"
            ' make one: python -c "import secrets; print(secrets.token_urlsafe())"'
        )
    if not token and not is_loopback(host):
        raise ServingError(
            f"{host} can be reached from other machines: set {TOKEN_VARIABLE} to a secret that"
            " clients send as their OPENAI_API_KEY, or listen on 127.0.0.1"
        )
    return token or None


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a TCP socket at that address; nobody can connect before the server runs.

    Raises:
        ServingError: there is no such address, or another program has it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With the protocol named, asyncio sends at once (TCP_NODELAY); else every answer would wait
        # some 40 ms for the client's delayed acknowledgement.
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ServingError(
            f"cannot listen on {host} port {port} ({reason}); choose another host or port"
        ) from error
    return listener
