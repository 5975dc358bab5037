"""``rldf generators``: what is known by name, and fetching it."""

import shutil

import pytest

from rldf_agents.cli import main
from rldf_gym.generation import PRESETS


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["generators", *map(str, arguments)])
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise OSError("the network is unreachable")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_every_preset_is_listed_with_its_repository(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    status, out, _ = run(capsys)
    assert status == 0
    for name, preset in PRESETS.items():
        line = next(line for line in out.splitlines() if line.split()[:1] == [name])
        shipped = name == "embedded"
        assert ("ships with the package" if shipped else preset.repository) in line


def test_what_ships_with_the_package_is_there_already(capsys):
    assert run(capsys, "fetch", "embedded")[:2] == (0, "embedded is on this machine\n")


def test_without_a_network_one_line_says_what_could_not_be_fetched(capsys):
    status, _, err = run(capsys, "fetch", "sd-turbo")
    assert status == 2
    assert "stabilityai/sd-turbo" in err
    assert err.count("\n") == 1


def test_an_unknown_name_is_rejected_with_the_nearest(capsys):
    status, _, err = run(capsys, "fetch", "sd-turboo")
    assert status == 2
    assert "did you mean 'sd-turbo'" in err


def test_a_folder_is_fetched_without_what_looks_at_its_pictures(capsys, tmp_path):
    folder = shutil.copytree(PRESETS["embedded"].repository, tmp_path / "model")
    name = f"diffusers:{folder}"
    assert run(capsys, "fetch", name, "--no-perception")[0] == 0
