"""The page of ``rldf app`` in Debian's Chromium."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rldf_gym.goal import DEFAULT_TARGET

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(
    (p for p in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser")) if p.exists()), None
)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        not CHROMIUM.exists(), reason="there is no /usr/bin/chromium on this machine"
    ),
]
PATIENCE = 240_000
"""Milliseconds that a busy machine may take."""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a page that serves the embedded world."""
    folder = tmp_path_factory.mktemp("app")
    command = [sys.executable, "-m", "rldf_agents", "app", "--port", "0"]
    with subprocess.Popen(
        [*command, "--store", str(folder / "store.sqlite"), "--mcp"],
        stdout=subprocess.PIPE,
        stderr=(folder / "errors").open("w"),
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
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
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
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


def search(page) -> None:
    page.click("#start")
    page.wait_for_selector(".phase.found")
    page.wait_for_selector("#sliders input[type=range]")


def choose(page, label, value) -> None:
    if not page.is_visible(f"input[aria-label='{label}']"):
        page.click("#options button")
    page.click(f"input[aria-label='{label}']")
    page.fill(f"input[aria-label='{label}']", value)
    page.keyboard.press("Enter")


def slide(page, name, label) -> None:
    slider = page.locator(f"#sliders input[type=range][aria-label*='{name}']")
    slider.fill(str(label))


def test_a_picture_is_uploaded_and_searched_for_to_the_end(page, foreign):
    page.set_input_files("#picture input[type=file]", DEFAULT_TARGET)
    page.wait_for_selector(".phase.found")
    assert "many sheep" in page.inner_text(".live .read")
    page.wait_for_selector("#compare img")
    assert foreign == []


def test_a_search_is_stopped_and_continued(page):
    choose(page, "Learner", "random")
    page.click("#start")
    page.wait_for_selector(".live img")
    page.click("#stop")
    page.wait_for_selector(".phase.stopped")
    seen = page.inner_text(".facts dd >> nth=0")
    page.click("#continue")
    page.wait_for_selector(".phase.searching")
    page.wait_for_function(
        "n => Number(document.querySelector('.facts dd').innerText) > n", arg=int(seen)
    )
    page.click("#stop")
    page.wait_for_selector(".phase.stopped, .phase.found")


def test_a_slider_moves_the_picture_and_a_link_restores_it(page, chromium):
    search(page)
    before = page.get_attribute("#compare img >> nth=1", "src")
    slide(page, "weather", 1)
    page.wait_for_function("document.querySelector('#prompt').innerText.includes('rainy')")
    page.wait_for_function(
        "before => document.querySelectorAll('#compare img')[1].src != before", arg=before
    )
    page.wait_for_function("location.search.includes('rainy')")
    with chromium.new_context() as context:
        other = context.new_page()
        other.goto(page.url)
        other.wait_for_selector("#sliders input[type=range]", timeout=PATIENCE)
        assert "rainy" in other.inner_text("#prompt")
        assert other.input_value("#sliders input[type=range][aria-label*='weather']") == "1"


def test_a_link_that_cannot_be_restored_is_a_message(page, address):
    page.goto(f"{address}?world=base&prompt=nonsense")
    page.wait_for_selector("text=This link cannot be restored")
    page.wait_for_selector("#start")


@pytest.mark.parametrize("name", ["text.png", "bomb.png", "cmyk.jpg", "turned.jpg"])
def test_a_bad_or_odd_picture_is_a_message_or_is_read(page, tmp_path, name):
    path = tmp_path / name
    image = Image.open(DEFAULT_TARGET).convert("RGB")
    if name == "text.png":
        path.write_text("no picture")
    elif name == "bomb.png":
        Image.new("1", (20_000, 20_000)).save(path)
    elif name == "cmyk.jpg":
        image.convert("CMYK").save(path)
    else:
        exif = Image.Exif()
        exif[274] = 6
        image.rotate(90, expand=True).save(path, exif=exif)
    page.set_input_files("#picture input[type=file]", path)
    if name in {"text.png", "bomb.png"}:
        page.wait_for_selector("text=/is not a picture|larger than/")
    else:
        page.wait_for_selector(".phase.found, .phase.missed")
        assert "sheep" in page.inner_text(".live .read")


def test_a_photograph_of_another_world_gets_a_warning(page, tmp_path):
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    Image.fromarray(noise).save(path)
    page.set_input_files("#picture input[type=file]", path)
    page.wait_for_selector(".live .doubt")


def test_a_second_search_replaces_the_first(page):
    choose(page, "Learner", "random")
    page.click("#start")
    page.wait_for_selector(".live img")
    choose(page, "Learner", "factored_ucb")
    page.set_input_files("#picture input[type=file]", DEFAULT_TARGET)
    page.wait_for_selector(".phase.found")


def test_it_fits_a_phone(chromium, address):
    with chromium.new_context(viewport={"width": 390, "height": 844}) as context:
        phone = context.new_page()
        phone.set_default_timeout(PATIENCE)
        phone.goto(address)
        search(phone)
        width = phone.evaluate("document.documentElement.scrollWidth")
        assert width <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(chromium, address, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with chromium.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.wait_for_selector("#start")
        assert serious(axe.Axe().run(page)) == []
        search(page)
        time.sleep(1)  # colours fade in
        assert serious(axe.Axe().run(page)) == []


def serious(results) -> list[str]:
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in results.response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
