"""What it costs to have pictures drawn by a server: 8 clients of ``rldf serve`` at once.

The peer is the same generator in this process, drawing the same pictures in batches of 8. The
server runs in a process of its own; its clients are threads here, each with a connection of its
own, each asking for the next picture when it has the last. Rounds alternate between the two.
"""

import contextlib
import functools
import re
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.results import Case, Report, Results, measure
from benchmarks.timing import ratio
from rldf_gym.generation import Generator, make_generator
from rldf_gym.grammar import load_grammar

N_CLIENTS = 8
DIRECT, SERVED = "direct, batches of 8", "served, 8 clients"
LARGEST_DIFFERENCE = 2
"""Of 255 levels: what the rounding of batched arithmetic may change (see `DiffusersGenerator`)."""

_URL = re.compile(r"http://\S+/v1")


def run(quick: bool) -> Results:
    """Draw the same pictures both ways, round after round."""
    rounds, turns = (3, 3) if quick else (11, 10)
    cases = [{"round": r, "form": form} for r in range(rounds) for form in (DIRECT, SERVED)]
    settings = {"generator": "embedded", "clients": N_CLIENTS, "rounds": rounds, "turns": turns}
    with _server() as url:
        direct = make_generator("embedded")
        clients = [
            make_generator("openai:embedded", base_url=url, concurrency=1) for _ in range(N_CLIENTS)
        ]
        _refuse_different_pictures(direct, clients)
        timed = functools.partial(_time, direct, clients, url, turns)
        packages = ("torch", "diffusers", "openai", "starlette", "uvicorn")
        return measure("serving", settings, cases, timed, quick=quick, packages=packages)


def _time(
    direct: Generator, clients: list[Generator], url: str, turns: int, case: Case
) -> dict[str, float]:
    seeds = range(case["round"] * turns, (case["round"] + 1) * turns)
    before, processor, start = _metrics(url), time.process_time(), time.perf_counter()
    if case["form"] == DIRECT:
        for seed in seeds:
            direct(_prompts(), [seed] * N_CLIENTS)
    else:
        _draw_side_by_side(clients, seeds)
    wall, here = time.perf_counter() - start, time.process_time() - processor
    there = {name: value - before[name] for name, value in _metrics(url).items()}
    return {
        "wall_seconds": wall,
        "processor_seconds": here + there["process_cpu_seconds_total"],
        "batches": there["rldf_batch_size_count"] if case["form"] == SERVED else float(turns),
    }


def _draw_side_by_side(clients: list[Generator], seeds: range) -> None:
    """Every client draws its prompt with every seed, one after the other."""

    def draw(client: Generator, prompt: str) -> None:
        for seed in seeds:
            client([prompt], [seed])

    with ThreadPoolExecutor(len(clients)) as threads:
        list(threads.map(draw, clients, _prompts()))


def _refuse_different_pictures(direct: Generator, clients: list[Generator]) -> None:
    """Warm both up, and see that they draw the same."""
    expected = direct(_prompts(), [0] * N_CLIENTS).astype(int)
    with ThreadPoolExecutor(len(clients)) as threads:
        drawn = list(threads.map(lambda client, p: client([p], [0])[0], clients, _prompts()))
    if np.abs(np.stack(drawn) - expected).max() > LARGEST_DIFFERENCE:
        raise ValueError("the server draws other pictures than the generator behind it")


@functools.cache
def _prompts() -> list[str]:
    grammar = load_grammar("base")
    states = np.linspace(0, grammar.n_states - 1, N_CLIENTS, dtype=int)
    return [grammar.decode(grammar.state(int(state))) for state in states]


@contextlib.contextmanager
def _server() -> Iterator[str]:
    command = [sys.executable, "-u", "-m", "rldf_agents", "serve", "--port", "0"]
    with (
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process,
        ThreadPoolExecutor(1) as reading,
    ):
        assert process.stdout is not None
        lines = process.stdout
        try:
            found = next(filter(None, map(_URL.search, lines)), None)
            if found is None:
                raise OSError("rldf serve did not start; run it by hand to see why")
            # The access log goes the same way: it must be read, or the server would stall.
            reading.submit(deque, lines, 0)
            yield found[0]
        finally:
            process.terminate()


def _metrics(url: str) -> dict[str, float]:
    names = ("process_cpu_seconds_total", "rldf_batch_size_count")
    with urllib.request.urlopen(url.replace("/v1", "/metrics")) as answer:
        pairs = [line.split() for line in answer.read().decode().splitlines()]
    return {pair[0]: float(pair[1]) for pair in pairs if pair[0] in names}


def report(results: Results) -> Report:
    """Tabulate both, and how many times as long the served pictures took."""
    n_pictures = results.settings["turns"] * N_CLIENTS
    lines = [
        "# What it costs to have pictures drawn by a server",
        "",
        "The embedded model drawn by `rldf serve` for 8 clients at once, each asking for the next"
        " picture when it has the last, and in batches of 8 by the process that wants them."
        f" Median of {results.settings['rounds']} rounds of {n_pictures} pictures each, taken in"
        " turn; processor time is that of server and clients together.",
        "",
        "| | ms a picture, wall clock | ms a picture, processor | pictures a batch |",
        "|---|---:|---:|---:|",
    ]
    for form in (DIRECT, SERVED):
        wall, processor, batches = (
            float(np.median(_column(results, form, name)))
            for name in ("wall_seconds", "processor_seconds", "batches")
        )
        lines.append(
            f"| {form} | {1e3 * wall / n_pictures:.1f} | {1e3 * processor / n_pictures:.1f} "
            f"| {n_pictures / batches:.1f} |"
        )
    times = [
        ratio(_column(results, SERVED, name), _column(results, DIRECT, name))
        for name in ("wall_seconds", "processor_seconds")
    ]
    lines += [
        "",
        f"Served pictures take {times[0]} times as long, and {times[1]} times the processor time:"
        " median of the rounds' ratios, the least and the greatest in brackets. The bar is 1.10.",
    ]
    if "fastapi" in results.machine["versions"]:
        lines += ["", "Measured when the server used FastAPI; it is Starlette alone since then."]
    return Report("\n".join(lines))


def _column(results: Results, form: str, name: str) -> list[float]:
    return [row[name] for row in results.rows if row["form"] == form]
