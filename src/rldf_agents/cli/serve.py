"""``rldf serve``: generate images for searches on other machines."""

from __future__ import annotations

from typing import Annotated

import typer

from rldf_agents.cli import options


def serve(
    generator: Annotated[
        str, typer.Option(help="A preset, or diffusers:<repository or folder>.")
    ] = "embedded",
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; others than loopback need a token in $RLDF_SERVE_TOKEN."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 picks a free one.", min=0, max=65535)] = 8000,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:N or mps; default: the best there is.")
    ] = None,
    assignments: options.Assignments = None,
    max_batch: Annotated[
        int | None, typer.Option(help="Images generated at once; default: as many as fit.", min=1)
    ] = None,
    max_wait_ms: Annotated[
        float,
        typer.Option(help="How long a batch waits for as many as there lately were.", min=0),
    ] = 50.0,
    max_queue: Annotated[
        int, typer.Option(help="Pictures that may wait; more are turned away.", min=1)
    ] = 256,
) -> None:
    """Serve a generator to any client of the Images API, such as --generator openai:NAME.

    Answers /v1/images/generations, /v1/models, /metrics and /health.
    """
    from rldf_agents.errors import AgentError
    from rldf_gym.generation import fetch_generator, make_generator
    from rldf_gym.generation.images_api import OPENAI

    if generator.startswith(OPENAI):
        raise AgentError(f"{generator} is served already, by its own server: serve a model")
    try:
        from rldf_gym.serving.queue import QueueSettings
        from rldf_gym.serving.server import serve as run_server
    except ModuleNotFoundError as absent:
        raise AgentError(
            f"rldf serve needs {absent.name}: pip install 'rldf-gym[serve]'"
        ) from absent
    settings = QueueSettings(max_batch, max_wait_ms / 1000, max_queue)
    overrides = options.read_assignments(assignments)
    try:
        # Here it can be interrupted; loading, in the server's own thread, is waited for.
        fetch_generator(generator, **overrides)
        made = make_generator(generator, device, **overrides)
        run_server(made, host, port, settings, typer.echo)
    except KeyboardInterrupt:
        typer.echo("ended")
