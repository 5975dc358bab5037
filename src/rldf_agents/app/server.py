"""Serve the page on this machine."""

from __future__ import annotations

import inspect
import os
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from typing import TYPE_CHECKING, Any

from rldf_agents.applications.settings import SearchSettings
from rldf_agents.errors import AgentError
from rldf_gym.addresses import is_loopback
from rldf_gym.goal import LowConfidenceWarning

if TYPE_CHECKING:
    from fastapi import FastAPI

    from rldf_agents.app.visitors import Visitors

LARGEST_UPLOAD = "20mb"
_SHUTDOWN_SECONDS = 2
_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self';"
    " style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline' 'unsafe-eval';"
    " worker-src 'self' blob:; object-src 'none'; frame-ancestors 'self'"
)
"""The browser sends nothing to any other machine (Content Security Policy)."""


def serve(
    settings: SearchSettings,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    mcp: bool = False,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        settings: the defaults, see `Choices`.
        host: to listen on.
        port: 0 picks a free one.
        on_ready: receives the address of the page once it can be opened.
        mcp: whether to offer "picture to prompt" to assistants as well.

    Raises:
        AgentError: the address cannot be used, or a package is missing.
        RLDFError: a setting that cannot be used.
    """
    with _private_environment(), _listening(host, port) as listener:
        import uvicorn

        from rldf_agents.app.choices import Choices
        from rldf_agents.app.visitors import Visitors

        visitors = Visitors(Choices(settings))
        visitors.warm_up()
        config = uvicorn.Config(
            make_app(visitors, host, mcp),
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        name = f"[{host}]" if ":" in host else host
        on_ready(f"http://{name}:{listener.getsockname()[1]}/")
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            visitors.close()


def make_app(visitors: Visitors, host: str, mcp: bool = False) -> FastAPI:
    """Return the application that serves the page.

    Args:
        visitors: who see it.
        host: where it listens; on loopback, requests in the name of another host are rejected.
        mcp: whether to offer "picture to prompt" to assistants as well.
    """
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from rldf_agents.app.page import make_page
    from rldf_agents.app.tool import PictureToPrompt

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(_StayHere)
    if is_loopback(host):
        # Another site's page must not reach this one by a name that resolves to this machine.
        app.add_middleware(
            TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]", host]
        )
    gr.mount_gradio_app(
        app,
        make_page(visitors, PictureToPrompt(visitors, is_loopback(host)) if mcp else None),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=LARGEST_UPLOAD,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=mcp,
        theme=_theme(),
        css=(resources.files("rldf_agents.app") / "page.css").read_text("utf-8"),
    )
    return app


class _StayHere:
    """Middleware that lets browsers load nothing from other machines."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", _POLICY.encode())
                message["headers"] = [*message.get("headers", ()), policy]
            await send(message)

        await self._app(scope, receive, with_policy)


_COLOURS = {
    "body_background_fill": ("#fbfaf8", "#14161a"),
    "block_background_fill": ("#ffffff", "#1c1f25"),
    "button_primary_background_fill": ("#2557c7", "#2557c7"),
    "button_primary_background_fill_hover": ("#1e49a8", "#1e49a8"),
    "button_primary_text_color": ("#ffffff", "#ffffff"),
    "block_info_text_color": ("#57534e", "#b5b1ab"),
    "block_label_text_color": ("#57534e", "#b5b1ab"),
    "block_title_text_color": ("#1d2127", "#e8e6e1"),
    "color_accent": ("#2557c7", "#7fa6ff"),
    "slider_color": ("#2557c7", "#7fa6ff"),
}
"""Those of the reports, for light and dark; text on them has a contrast of at least 4.5."""


def _theme() -> Any:
    import gradio as gr

    system = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif"]
    theme = gr.themes.Base(
        neutral_hue="stone", radius_size="lg", font=system, font_mono=["ui-monospace", "monospace"]
    )
    known = inspect.signature(theme.set).parameters
    colours = {name: light for name, (light, _) in _COLOURS.items()}
    colours |= {f"{name}_dark": dark for name, (_, dark) in _COLOURS.items()}
    return theme.set(**{name: colour for name, colour in colours.items() if name in known})


@contextmanager
def _private_environment() -> Iterator[None]:
    """Let Gradio and huggingface_hub send nothing; delete Gradio's files in the end."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Weights are downloaded by `rldf generators fetch`, never because a visitor chose a generator.
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="rldf-app-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        # The page shows these itself.
        warnings.filterwarnings("ignore", category=LowConfidenceWarning)
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AgentError(
            f"cannot listen on {host} port {port} ({reason}); choose another host or port"
        ) from error
    with listener:
        yield listener
