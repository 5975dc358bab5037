"""The page of ``rldf app`` in Debian's Chromium."""

import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from outsiders import GRAMMAR
from painted_world import paint
from PIL import Image

from benchmarks import page as page_benchmark

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]
GOAL = (1, 5, 1, 3)
PATIENCE = 300_000
"""Milliseconds that a busy machine may take."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the server keeps its files."""
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="module")
def address(folder):
    """The address of a page that serves a world without networks, so that a test takes seconds."""
    command = [sys.executable, "-m", "rldf_agents", "app", "--port", "0", "--grammar", "base"]
    command += [
        "--generator",
        "outsiders:leisurely_generator",
        "--perception",
        "outsiders:perception",
    ]
    with subprocess.Popen(
        [*command, "--store", str(folder / "store.sqlite")],
        stdout=subprocess.PIPE,
        stderr=(folder / "errors").open("w"),
        text=True,
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "TMPDIR": str(folder),
        },
    ) as server:
        line = server.stdout.readline()
        yield re.search(r"http://\S+/", line)[0]
        server.terminate()
        server.wait(60)
    assert "Traceback" not in (folder / "errors").read_text()


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def foreign():
    """Addresses of other machines that a page asked for."""
    return []


@pytest.fixture
def page(chromium, address, foreign):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    here = (address, "data:", "blob:")
    opened.on("request", lambda r: r.url.startswith(here) or foreign.append(r.url))
    opened.goto(address)
    yield opened
    context.close()


@pytest.fixture
def target(tmp_path) -> Path:
    return painted(tmp_path / "target.png")


def painted(path, goal=GOAL) -> Path:
    Image.fromarray(paint(GRAMMAR, goal)).save(path)
    return path


def drop(page, path) -> None:
    page.set_input_files("#picture input[type=file]", path)


def search(page, path) -> None:
    drop(page, path)
    page.wait_for_selector(".phase.found")
    page.wait_for_selector("#sliders input[type=range]")


def choose(page, label, value) -> None:
    if not page.is_visible(f"input[aria-label='{label}']"):
        page.click("#options button")
    page.click(f"input[aria-label='{label}']")
    page.fill(f"input[aria-label='{label}']", value)
    page.keyboard.press("Enter")


def slider(page, name):
    return page.locator(f"#sliders input[type=range][aria-label*='{name}']")


def slide(page, name, label) -> None:
    slider(page, name).fill(str(label))


def test_a_picture_is_uploaded_and_searched_for_to_the_end(page, target, foreign):
    search(page, target)
    assert GRAMMAR.decode(GOAL) in page.inner_text(".live .read")
    assert page.inner_text("#prompt") == GRAMMAR.decode(GOAL)
    page.wait_for_selector("#compare img")
    assert foreign == []


def test_a_search_is_stopped_and_continued(page, target):
    choose(page, "Learner", "random")
    drop(page, target)
    page.wait_for_selector(".live .facts")
    page.click("#stop")
    page.wait_for_selector(".phase.stopped")
    steps = int(page.inner_text(".facts dd >> nth=0"))
    page.click("#continue")
    page.wait_for_function(
        "n => Number(document.querySelector('.facts dd').innerText) > n", arg=steps
    )
    page.click("#stop")
    page.wait_for_selector(".phase.stopped, .phase.found")


def test_a_slider_moves_the_picture_and_the_address_restores_it(page, chromium, target):
    search(page, target)
    sources = "new Set([...document.querySelectorAll('#compare img')].map(i => i.src)).size"
    assert page.evaluate(sources) == 1  # what was found is the target itself
    slide(page, "scene", 7)
    page.wait_for_function("document.querySelector('#prompt').innerText.includes('kitchen')")
    page.wait_for_function(f"{sources} == 2")
    page.wait_for_function("location.search.includes('kitchen')")
    with chromium.new_context() as context:
        other = context.new_page()
        other.set_default_timeout(PATIENCE)
        other.goto(page.url)
        other.wait_for_selector("#sliders input[type=range]")
        assert "kitchen" in other.inner_text("#prompt")
        assert slider(other, "scene").input_value() == "7"


def test_a_link_that_cannot_be_restored_is_a_message_that_a_phone_shows_at_once(
    page, address, target
):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}?world=base&prompt=nonsense")
    message = page.wait_for_selector("text=This link cannot be restored").bounding_box()
    assert message["y"] + message["height"] < 844
    search(page, target)
    assert not page.is_visible("text=This link cannot be restored")


@pytest.mark.parametrize("name", ["text.png", "bomb.png"])
def test_what_is_no_picture_is_a_message(page, tmp_path, name):
    path = tmp_path / name
    if name == "text.png":
        path.write_text("no picture")
    else:
        Image.new("1", (20_000, 20_000)).save(path)
    drop(page, path)
    page.wait_for_selector("text=/is not a picture|larger than/")
    page.wait_for_selector("#start")


def test_a_picture_that_is_read_with_doubt_gets_a_warning(page, tmp_path):
    drop(page, painted(tmp_path / "doubtful.png", (1, -1, 1, 3)))
    page.wait_for_selector(".live .doubt")


def test_a_second_search_replaces_the_first(page, target, tmp_path):
    choose(page, "Learner", "random")
    drop(page, painted(tmp_path / "first.png", (0, 9, 2, 6)))
    page.wait_for_selector(".live .facts")
    choose(page, "Learner", "factored_ucb")
    page.click("#picture button[aria-label*='Clear'], #picture button[aria-label*='Remove']")
    page.wait_for_selector("#watch", state="hidden")
    search(page, target)
    assert page.inner_text("#prompt") == GRAMMAR.decode(GOAL)


def test_a_closed_tab_leaves_no_file(chromium, address, folder, target):
    before = set(folder.rglob("visitor-*"))
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    choose(page, "Learner", "random")
    drop(page, target)
    page.wait_for_selector(".live .facts")
    [own] = set(folder.rglob("visitor-*")) - before
    page.close()
    deadline = time.monotonic() + PATIENCE / 1000
    while own.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not own.exists()


def test_it_fits_a_phone(chromium, address, target):
    with chromium.new_context(viewport={"width": 390, "height": 844}) as context:
        phone = context.new_page()
        phone.set_default_timeout(PATIENCE)
        phone.goto(address)
        search(phone, target)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_visitors_at_once_get_their_own_pictures(chromium, address, tmp_path):
    goals = [(n % 2, n, n % 3, n % 8) for n in range(8)]
    contexts = [chromium.new_context() for _ in goals]
    pages = [context.new_page() for context in contexts]
    for number, (page, goal) in enumerate(zip(pages, goals, strict=True)):
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        drop(page, painted(tmp_path / f"{number}.png", goal))
    for page, goal in zip(pages, goals, strict=True):
        page.wait_for_selector(".phase.found")
        page.wait_for_selector("#sliders input[type=range]")
        assert page.inner_text("#prompt") == GRAMMAR.decode(goal)
        assert page.query_selector("text=/error/i") is None
    for context in contexts:
        context.close()


def test_the_benchmark_of_the_page_runs_with_the_embedded_models(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.results.RESULTS", tmp_path)
    with ThreadPoolExecutor(1) as apart:  # playwright's own loop runs in this thread
        measured = apart.submit(page_benchmark.run, quick=True).result()
    [visits] = [row for row in measured.rows if row["part"] == "visitors"]
    assert visits["moves"] >= visits["searches"] > 0
    assert visits["errors"] == []
    assert "ms" in page_benchmark.report(measured).markdown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(chromium, address, target, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with chromium.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.wait_for_selector("#start")
        assert serious(axe.Axe().run(page)) == []
        search(page, target)
        page.wait_for_timeout(1000)  # colours fade in
        assert serious(axe.Axe().run(page)) == []


def serious(results) -> list[str]:
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in results.response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
