"""Servers of the Images API to test against, on loopback: ours, and one that answers by script."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from rldf_gym.generation import FailedImagesError, Generator
from rldf_gym.serving.app import ServedModel
from rldf_gym.serving.queue import QueueSettings
from rldf_gym.serving.server import bound_socket, make_server

SIDE = 16


def noise(prompt: str, seed: int) -> np.ndarray:
    """A picture that depends on every letter of the prompt and on the seed."""
    entropy = [seed, *prompt.encode()]
    return np.random.default_rng(entropy).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


@dataclass
class NoiseGenerator:
    """Draws noise; holds on request, rejects what is "forbidden", fails at what is "broken"."""

    name: str = "noise"
    fingerprint: str = "ab" * 32
    seconds: float = 0.0
    batches: list[list[str]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    may_draw: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_draw.set()

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> np.ndarray:
        self.begun.set()
        self.may_draw.wait(300)
        self.batches.append(list(prompts))
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        if any("broken" in prompt for prompt in prompts):
            raise ArithmeticError("the tensor at /home/somebody is broken")
        pictures = np.stack([noise(p, s) for p, s in zip(prompts, seeds, strict=True)])
        forbidden = {place: "too rude" for place, p in enumerate(prompts) if "forbidden" in p}
        if forbidden:
            raise FailedImagesError(self.name, prompts, forbidden, pictures)
        return pictures


@contextlib.contextmanager
def served(
    drawing: Generator | ServedModel, token: str | None = None, **settings: Any
) -> Iterator[str]:
    """The base_url of our server, which draws with this generator while the context lasts."""
    model = drawing if isinstance(drawing, ServedModel) else ServedModel.warm_up(drawing, 1)
    chosen = QueueSettings(**settings)
    server = make_server(model, chosen, token)
    with bound_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        # Until then, connections are refused.
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True)
class Answer:
    """What the scripted server says to one request."""

    status: int
    body: Mapping[str, Any] | str


@dataclass
class Script:
    """Answers in turn, the last one for ever; what was asked is kept."""

    answers: list[Answer]
    models: Answer = field(default_factory=lambda: Answer(404, "no such page"))
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.contextmanager
def scripted(*answers: Answer, models: Answer | None = None) -> Iterator[Script]:
    """A server that answers so, on loopback."""
    script = Script(list(answers))
    if models is not None:
        script.models = models

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server wants
            self._send(script.models)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            script.asked.append(json.loads(body))
            script.headers.append({k.lower(): v for k, v in self.headers.items()})
            self._send(script.next())

        def log_message(self, *_: Any) -> None:
            pass

        def _send(self, answer: Answer) -> None:
            as_json = not isinstance(answer.body, str)
            body = (json.dumps(answer.body) if as_json else answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json" if as_json else "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
