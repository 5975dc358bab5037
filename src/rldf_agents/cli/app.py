"""``rldf app``: a live page to drop pictures on."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.exit_status import warn
from rldf_agents.cli.world import World

_WORLD = World(grammar="extended")


@options.expanded
def app(
    world: World = _WORLD,
    learner: options.Learner = "factored_ucb",
    reward: options.Reward = "multi_semantic",
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback let others in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 7860,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = (
        False
    ),
    mcp: Annotated[
        bool,
        typer.Option("--mcp", help="Also let assistants turn pictures into prompts, by MCP."),
    ] = False,
) -> None:
    """Serve a page: drop a picture, watch the search, then move what was found by sliders.

    Nothing leaves this machine. The options are what the page has chosen at first. Ctrl-C ends it.

    Example: rldf app --open
    """
    from rldf_agents.applications.settings import SearchSettings
    from rldf_agents.errors import AgentError
    from rldf_gym.addresses import is_loopback

    settings = SearchSettings(
        grammar=world.grammar,
        generator=world.limited_generator(),
        generation_seed=world.generation_seed,
        perception=world.perception,
        device=world.device,
        store=world.store,
        learner=learner,
        reward=reward,
    )
    if importlib.util.find_spec("gradio") is None:
        raise AgentError("rldf app needs gradio: pip install 'rldf-gym[app]'")
    from rldf_agents.app.server import serve

    if not is_loopback(host):
        warn(f"everybody who can reach {host} can use the page: it asks for no password")

    def show(address: str) -> None:
        typer.echo(f"the page is at {address} (Ctrl-C ends it)")
        if open_page:
            typer.launch(address)

    with contextlib.suppress(KeyboardInterrupt):
        serve(settings, host, port, show, mcp)
    typer.echo("ended")
