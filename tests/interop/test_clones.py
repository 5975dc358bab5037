"""Clones load with datasets, WebDataset and torchvision, and Ray makes the same clone."""

import contextlib
import importlib
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from rldf_agents.cli import main

sys.path.append(str(Path(__file__).parents[1]))  # for workers, which import the painted world

import outsiders
from painted_world import paint

pytestmark = pytest.mark.interop
NOUNS = {"Hund": 5, "bullet train": 9, "test": 2}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    for name, noun in NOUNS.items():
        (tmp_path / "source" / name).mkdir(parents=True)
        image = Image.fromarray(paint(outsiders.GRAMMAR, (0, noun, 0, 0)))
        image.save(tmp_path / "source" / name / "1.png")


def command(out: str, *options: str) -> list[str]:
    words = ["clone", "source", "--out", out, "--per-class", "6", "--splits", "train=4,val=2"]
    words += ["--generator", "outsiders:generator", "--perception", "outsiders:perception"]
    words += ["--grammar", "base", "--store", ":memory:", "--shard-size", "5", "--workers", "2"]
    return [*words, "--quiet", *options]


def clone(out: str, *options: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command(out, *options))
    assert ended.value.code == 0


def test_an_image_folder_loads_with_datasets_and_with_torchvision():
    datasets = pytest.importorskip("datasets")
    clone("out")
    for loaded in (
        datasets.load_dataset("imagefolder", data_dir="out"),
        datasets.load_dataset("out"),
    ):
        counts = {
            ("validation" if split == "val" else str(split), name): count
            for split, rows in loaded.items()
            for name, count in Counter(rows["class"]).items()
        }
        assert counts == {
            (split, name): count
            for name in NOUNS
            for split, count in (("train", 4), ("validation", 2))
        }
        row = loaded["train"][0]
        assert row["image"].size == (32, 8)
        assert row["read_state"] == row["state"]
        assert {"prompt", "seed", "sha256", "fingerprint"} <= row.keys()
    torchvision = importlib.import_module("torchvision.datasets")
    assert len(torchvision.ImageFolder("out/train")) == 12


def test_webdataset_archives_load():
    webdataset = pytest.importorskip("webdataset")
    clone("out", "--format", "webdataset")
    archives = sorted(map(str, Path("out/train").glob("*.tar")))
    samples = list(webdataset.WebDataset(archives, shardshuffle=False).decode("pil"))
    assert len(samples) == 12
    assert Counter(sample["json"]["class"] for sample in samples) == dict.fromkeys(NOUNS, 4)
    assert samples[0]["png"].size == (32, 8)
    assert samples[0]["txt"] == samples[0]["json"]["prompt"]
    assert {sample["cls"] for sample in samples} == {0, 1, 2}


def test_parquet_loads_with_its_images():
    datasets = pytest.importorskip("datasets")
    clone("out", "--format", "parquet")
    loaded = datasets.load_dataset("out")
    assert {str(split): len(rows) for split, rows in loaded.items()} == {"train": 12, "val": 6}
    assert loaded["train"][0]["image"].size == (32, 8)


def test_ray_makes_the_same_clone():
    pytest.importorskip("ray")
    clone("local", "--engine", "local")
    clone("ray", "--engine", "ray")
    paths = {path.relative_to("local") for path in Path("local/train").rglob("*.png")}
    assert len(paths) == 12
    for path in paths:
        content = (Path("ray") / path).read_bytes()
        assert content == (Path("local") / path).read_bytes()
        assert Image.open(io.BytesIO(content)).size == (32, 8)


def test_ray_listens_on_this_machine_only(monkeypatch):
    pytest.importorskip("ray")
    psutil = pytest.importorskip("psutil")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    words = [sys.executable, "-m", "rldf_agents", *command("out", "--engine", "ray")]
    listening = set()
    with subprocess.Popen(words) as running:
        while running.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = psutil.Process(running.pid).children(recursive=True)
                listening |= {
                    connection.laddr.ip.removeprefix("::ffff:")
                    for connection in psutil.net_connections("tcp")
                    if connection.status == psutil.CONN_LISTEN
                    and connection.pid in {running.pid, *(child.pid for child in family)}
                }
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.2)
    assert running.returncode == 0
    assert listening == {"127.0.0.1"}
