"""The page of ``rldf app`` in Chromium: how fast a slider moves the picture, and many visitors.

A slider's time runs in the browser, from the input event to the new picture, decoded. Stored
pictures are compared with those that have to be generated first, on the same page. Then visitors
with a picture each search and slide side by side, and see their own results or somebody else's.

Needs Chromium, and playwright from the extra ``interop``.
"""

import asyncio
import contextlib
import csv
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from benchmarks.results import Case, Report, Results, UnavailableError, measure
from rldf_gym.errors import RLDFError
from rldf_gym.grammar import load_grammar

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

WORLD = "extended"
STORED, GENERATED = "stored", "generated"
BAR_MILLISECONDS = 150
_TARGETS = Path(__file__).parent / "targets" / "embedded"
_PATIENCE = 300_000  # milliseconds
_MOVE = """
async ([name, label]) => {
    const slider = document.querySelector(`#sliders input[type=range][aria-label*="${name}"]`);
    const picture = () => document.querySelector('#alone img');
    const before = picture().src;
    const started = performance.now();
    slider.value = label;
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    while (picture()?.src === before || !picture()) await new Promise(requestAnimationFrame);
    await picture().decode();
    return performance.now() - started;
}
"""


def run(quick: bool) -> Results:
    """Move sliders of one page, then let visitors in.

    Raises:
        UnavailableError: there is no Chromium or no playwright.
    """
    if _chromium() is None or importlib.util.find_spec("playwright") is None:
        raise UnavailableError(
            "needs Chromium (Debian: apt-get install chromium) and playwright (make interop's"
            " environment)"
        )
    settings = {
        "world": WORLD,
        "visitors": 2 if quick else 8,
        "seconds": 10 if quick else 60,
        "bar_milliseconds": BAR_MILLISECONDS,
    }
    cases = [{"part": "slider", "noun": noun} for noun in range(1 if quick else 4)]
    cases.append({"part": "visitors"})

    def measure_case(case: Case) -> Mapping[str, Any]:
        if case["part"] == "slider":
            return asyncio.run(_slide(case["noun"]))
        return asyncio.run(_visits(settings["visitors"], settings["seconds"]))

    packages = ("gradio", "playwright", "torch")
    return measure("page", settings, cases, measure_case, quick=quick, packages=packages)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Serve the page with a store of its own, and yield its address.

    Raises:
        RLDFError: the server wrote a stack trace.
    """
    command = [sys.executable, "-u", "-m", "rldf_agents", "app", "--port", "0"]
    errors = folder / "errors"
    with subprocess.Popen(
        [*command, "--store", str(folder / "store.sqlite")],
        stdout=subprocess.PIPE,
        stderr=errors.open("w"),
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+/", server.stdout.readline())
            if found is None:
                raise RLDFError(f"rldf app did not start: {errors.read_text()}")
            yield found[0]
        finally:
            server.terminate()
    if "Traceback" in errors.read_text():
        raise RLDFError(f"rldf app failed: {errors.read_text()}")


@contextlib.asynccontextmanager
async def _browser() -> AsyncIterator["Browser"]:
    from playwright.async_api import async_playwright

    async with async_playwright() as started:
        yield await started.chromium.launch(
            executable_path=_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


async def _opened(browser: "Browser", address: str) -> "Page":
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(_PATIENCE)
    await page.goto(address)
    return page


async def _slide(noun: int) -> dict[str, list[float]]:
    """Return milliseconds of every scene of a noun: generated, then from the store."""
    grammar = load_grammar(WORLD)
    state = np.zeros(grammar.n_axes, np.int64)
    state[grammar.axis_index("noun")] = noun
    scenes = len(grammar.axis("scene").values)
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as address:
        async with _browser() as browser:
            query = urlencode({"world": WORLD, "prompt": grammar.decode(state)})
            page = await _opened(browser, f"{address}?{query}")
            await page.wait_for_selector("#sliders input[type=range]")
            await page.wait_for_selector("#alone img")
            times: dict[str, list[float]] = {}
            # The first scene is on the page already; on the way back every picture is stored.
            for form, labels in (
                (GENERATED, range(1, scenes)),
                (STORED, range(scenes - 2, -1, -1)),
            ):
                times[form] = [await page.evaluate(_MOVE, ["scene", n]) for n in labels]
    return times


async def _visits(n_visitors: int, seconds: float) -> dict[str, Any]:
    """Return what visitors did side by side for some seconds, and what went wrong."""
    grammar = load_grammar(WORLD)
    with (_TARGETS / "prompts.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["prompt"] in grammar]
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as address:
        async with _browser() as browser:
            pages = [await _opened(browser, address) for _ in range(n_visitors)]
            for page in pages:
                await page.wait_for_selector("#picture input[type=file]", state="attached")
            end = time.monotonic() + seconds
            done = await asyncio.gather(
                *(
                    _visit(page, _TARGETS / row["picture"], n, end)
                    for n, (page, row) in enumerate(zip(pages, rows, strict=False))
                )
            )
    totals = {name: sum(each[name] for each in done) for name in ("searches", "moves")}
    return {**totals, "errors": [error for each in done for error in each["errors"]]}


async def _visit(page: "Page", picture: Path, number: int, end: float) -> dict[str, Any]:
    """Search for one's own picture again and again, and slide what was found."""
    done: dict[str, Any] = {"searches": 0, "moves": 0, "errors": []}
    page.on("pageerror", lambda error: done["errors"].append(str(error)))
    grammar = load_grammar(WORLD)
    scenes = grammar.axis("scene").values
    read: set[str] = set()
    while time.monotonic() < end:
        await page.set_input_files("#picture input[type=file]", picture)
        await page.wait_for_selector(".phase.found, .phase.missed")
        await page.wait_for_selector("#sliders input[type=range]")
        done["searches"] += 1
        read.add(await page.inner_text(".live .read"))
        own = await page.inner_text("#prompt")
        scene = next(word for word in scenes if f" in {word}" in own)
        for step in range(3):
            # Each visitor has its own scenes, so that somebody else's would be noticed.
            label = (scenes.index(scene) + 1 + number + step) % len(scenes)
            await page.locator("#sliders input[type=range][aria-label*='scene']").fill(str(label))
            expected = own.replace(f" in {scene}", f" in {scenes[label]}")
            await page.wait_for_function(
                "text => document.querySelector('#prompt').innerText === text", arg=expected
            )
            done["moves"] += 1
        if await page.query_selector(".toast-body.error"):
            done["errors"].append(await page.inner_text(".toast-body.error"))
        await page.click(
            "#picture button[aria-label*='Clear'], #picture button[aria-label*='Remove']"
        )
        await page.wait_for_selector("#watch", state="hidden")
    if len(read) != 1:
        done["errors"].append(f"visitor {number}'s picture was read as {sorted(read)}")
    return done


def report(results: Results) -> Report:
    """Tabulate times beside the bar, and what the visitors saw."""
    times = {
        form: np.array([t for row in results.rows if row["part"] == "slider" for t in row[form]])
        for form in (GENERATED, STORED)
    }
    middle = {form: float(np.median(values)) for form, values in times.items()}
    [visits] = [row for row in results.rows if row["part"] == "visitors"]
    settings = results.settings
    lines = [
        "# The page of rldf app",
        "",
        f"From a move of the slider to the picture in Chromium, {len(times[STORED])} moves of each"
        f" kind: stored {middle[STORED]:.0f} ms (bar {settings['bar_milliseconds']}), which is"
        f" {middle[STORED] / middle[GENERATED]:.2f} of the time with generation.",
        "",
        "| picture | median, ms | 95 % within, ms |",
        "| :--- | ---: | ---: |",
        *(
            f"| {form} | {middle[form]:.0f} | {np.quantile(values, 0.95):.0f} |"
            for form, values in times.items()
        ),
        "",
        f"{settings['visitors']} visitors at once for {settings['seconds']} seconds, each with a"
        f" picture of its own: {visits['searches']} searches, {visits['moves']} moves of a slider,"
        f" {len(visits['errors'])} errors or states of somebody else.",
        *(f"- {error}" for error in visits["errors"]),
        "",
        f"World `{settings['world']}`, embedded models; server and browsers share the machine.",
    ]
    return Report("\n".join(lines))
