"""The server of ``rldf app``: what it sends, and whom it answers."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from painted_world import PaintedGenerator, load_grammar, painted_perception
from starlette.testclient import TestClient

from rldf_agents.app.choices import Choices
from rldf_agents.app.server import make_app
from rldf_agents.app.visitors import Visitors
from rldf_agents.applications.settings import SearchSettings
from rldf_agents.cli.program import run

GRAMMAR = load_grammar("base")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        settings = SearchSettings(
            "base",
            generator=PaintedGenerator(GRAMMAR),
            perception=painted_perception(GRAMMAR),
            store=None,
        )
        app = make_app(Visitors(Choices(settings)), "127.0.0.1")
        with TestClient(app, base_url="http://127.0.0.1") as client:
            yield client


def test_the_page_loads_nothing_from_other_machines(client):
    page = client.get("/")
    assert page.status_code == 200
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(https?://[^"]*)', page.text)
    assert [address for address in loaded if "127.0.0.1" not in address] == []
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert "fonts.g" not in client.get("/theme.css").text


def test_nothing_is_counted_or_kept_by_gradio(client):
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []
    assert client.get("/monitoring").status_code in (403, 404)


def test_another_site_s_name_for_this_machine_is_rejected(client):
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400


def test_files_of_this_machine_are_not_served(client):
    assert client.get("/gradio_api/file=/etc/hostname").status_code in (403, 404)


def test_a_large_upload_is_rejected(client):
    files = {"files": ("a.png", b"0" * (21 * 2**20))}
    assert client.post("/gradio_api/upload", files=files).status_code == 413


def test_no_function_of_the_page_can_be_called_by_name(client):
    info = client.get("/gradio_api/info").json()
    assert info["named_endpoints"] == {}


def test_a_port_that_is_taken_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["app", "--port", str(port), "--store", ":memory:"]) == 2
    assert f"port {port}" in capsys.readouterr().err


def test_without_gradio_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run(["app"]) == 2
    assert "pip install 'rldf-gym[app]'" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_without_an_error(tmp_path, number):
    command = [sys.executable, "-m", "rldf_agents", "app", "--port", "0", "--grammar", "base"]
    command += ["--generator", "outsiders:leisurely_generator"]
    command += ["--perception", "outsiders:perception", "--store", str(tmp_path / "store.sqlite")]
    folder = str(Path(__file__).parent)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": folder},
    ) as server:
        address = re.search(r"http://\S+/", server.stdout.readline())[0]
        assert urllib.request.urlopen(address, timeout=120).status == 200
        server.send_signal(number)
        output, errors = server.communicate(timeout=120)
    assert (server.returncode, output, errors) == (0, "ended\n", "")
