"""`rldf clone`: from class folders to a data set, with what is wrong, and after interruptions."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import outsiders
import pytest
from painted_world import PaintedGenerator, labels_in, paint
from PIL import Image
from pyarrow import parquet
from test_cli import refusal, run

from rldf_agents.cloning.engines import WorkersDiedError
from rldf_agents.cloning.verification import verify

GRAMMAR = outsiders.GRAMMAR
NOUNS = {"Hund": 5, "apple tree": 2, "train": 9}
OWN = [
    *("--generator", "outsiders:generator"),
    *("--perception", "outsiders:perception"),
    *("--grammar", "base"),
    *("--store", ":memory:"),
]
ATTRIBUTES = """start: "a photo of" frequency noun "and" density "people in" scene
frequency: "one" | "many"
noun: "umbrella"
density: "no" | "one" | "many"
scene: "snow" | "beach"
%ignore " "
"""
MANIFEST = ["id", "class", "split", "prompt", "state", "seed", "file", "sha256"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source(tmp_path) -> Path:
    return make_source(tmp_path / "source", NOUNS)


def make_source(folder: Path, nouns: dict[str, int]) -> Path:
    for name, noun in nouns.items():
        (folder / name).mkdir(parents=True)
        for number in range(3):
            image = Image.fromarray(paint(GRAMMAR, (number % 2, noun, number, number + 1)))
            image.save(folder / name / f"{number}.png")
    return folder


def arguments(source, *more, out="out", per_class=6):
    first = ["clone", source, *OWN, "--out", out, "--per-class", per_class, "--workers", 1]
    return [*first, "--shard-size", 4, *more]


def in_process(monkeypatch):
    """Generate in this process: starting others takes seconds."""
    monkeypatch.setattr("rldf_agents.cloning.engines.ENGINES", {"local": here})
    monkeypatch.setattr("rldf_agents.cloning.settings.ENGINES", {"local": here})


def here(job, shards, workers):
    from rldf_agents.cloning.shards import ShardWorker

    worker = ShardWorker(job)
    for index in shards:
        yield worker.finish(index)


def manifest(out="out") -> list[dict]:
    return parquet.read_table(Path(out) / "manifest.parquet").to_pylist()


def files(out="out") -> dict[str, bytes]:
    paths = [path for path in Path(out).rglob("*") if path.suffix in {".png", ".tar", ".parquet"}]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


class TestAClone:
    @pytest.fixture(autouse=True)
    def _in_process(self, monkeypatch):
        in_process(monkeypatch)

    def test_finds_what_the_classes_show_and_has_every_picture(self, capsys, source):
        status, printed, _ = run(capsys, *arguments(source, "--splits", "train=4,val=2", "--json"))
        assert status == 0
        summary = json.loads(printed)
        words = {each["class"]: each["words"] for each in summary["classes"]}
        values = GRAMMAR.axis("noun").values
        assert words == {name: [values[noun]] for name, noun in NOUNS.items()}
        rows = manifest()
        assert list(rows[0]) == MANIFEST
        counts = Counter((row["class"], row["split"]) for row in rows)
        assert counts == {(name, s): n for name in NOUNS for s, n in (("train", 4), ("val", 2))}
        for row in rows:
            image = Image.open(Path("out") / row["file"])
            assert image.size == (8 * 4, 8)
            assert GRAMMAR.encode(row["prompt"]).tolist() == row["state"]
            assert row["state"][1] == NOUNS[row["class"]]
        assert len({row["id"] for row in rows}) == len({row["seed"] for row in rows}) == 18

    def test_describes_itself(self, capsys, source):
        run(capsys, *arguments(source, "--marginal", "scene:park=0.5"))
        entries = [json.loads(line) for line in Path("out/metadata.jsonl").read_text().splitlines()]
        assert [entry["file_name"] for entry in entries] == [row["file"] for row in manifest()]
        assert all(entry["read_state"] == entry["state"] for entry in entries)
        summary = json.loads(Path("out/summary.json").read_text())
        scenes = summary["marginals"]["scene"]
        assert scenes[0] == {"value": "park", "wanted": 0.5, "reached": 0.5, "read": 0.5}
        assert sum(scene["reached"] for scene in scenes) == pytest.approx(1)
        card = Path("out/README.md").read_text()
        assert card.startswith("---\n")
        assert "| `Hund` | `dog` | 100% of 3 | 100% | 6 | 0 |" in card

    def test_is_the_same_every_time(self, capsys, source):
        run(capsys, *arguments(source))
        run(capsys, *arguments(source, out="other"))
        assert files("out") == files("other")
        run(capsys, *arguments(source, "--seed", 1, out="third"))
        assert files("out").keys() != files("third").keys()

    def test_keeps_nothing_of_a_worker_that_died_in_the_middle(self, capsys, source, monkeypatch):
        def dying(job, shards, workers):
            for statistics in here(job, shards, workers):
                Path("out/train/Hund/.123.half.png").write_bytes(b"half")
                yield statistics
                raise WorkersDiedError

        monkeypatch.setattr("rldf_agents.cloning.engines.ENGINES", {"local": dying})
        assert run(capsys, *arguments(source))[0] == 0
        assert run(capsys, "clone", "--verify", "out")[0] == 0

    def test_finishes_what_an_earlier_run_left(self, capsys, source, monkeypatch):
        def interrupted(job, shards, workers):
            for number, statistics in enumerate(here(job, shards, workers)):
                if number == 2:
                    raise KeyboardInterrupt
                yield statistics

        run(capsys, *arguments(source, out="whole"))
        monkeypatch.setattr("rldf_agents.cloning.engines.ENGINES", {"local": interrupted})
        status, _, printed = run(capsys, *arguments(source))
        assert status == 130
        assert "12 of 18 pictures are finished; the same command continues" in printed
        assert not Path("out/manifest.parquet").exists()
        assert run(capsys, "clone", "--verify", "out")[0] == 1
        before = {path: path.stat().st_mtime_ns for path in Path("out/shards").rglob("*.json")}
        Path("out/.123.half.png").write_bytes(b"half")
        in_process(monkeypatch)
        assert run(capsys, *arguments(source))[0] == 0
        assert files("out") == files("whole")
        assert not Path("out/.123.half.png").exists()
        assert all(path.stat().st_mtime_ns == time for path, time in before.items())
        assert run(capsys, "clone", "--verify", "out")[0] == 0

    def test_keeps_only_pictures_that_read_as_their_class(self, capsys, source, monkeypatch):
        dogs = [GRAMMAR.decode((f, 5, d, 0)) for f in range(2) for d in range(3)]
        mistaken = PaintedGenerator(GRAMMAR, dict.fromkeys(dogs, (0, 7, 0, 0)))
        monkeypatch.setattr(outsiders, "generator", mistaken)
        everything = arguments(source, "--marginal", "scene:park=0.5", "--json")
        status, printed, _ = run(capsys, *everything, "--keep-matching")
        assert status == 0
        summary = json.loads(printed)
        [dog] = [each for each in summary["classes"] if each["class"] == "Hund"]
        assert (dog["pictures"], dog["rejected"]) == (3, 3 * 4)
        assert (summary["pictures"], summary["dropped"]) == (15, 3)
        assert summary["rejection_rate"] == pytest.approx(12 / summary["generated"])
        assert len(manifest()) == 15
        assert run(capsys, "clone", "--verify", "out")[0] == 0

    def test_of_one_picture_for_each_class(self, capsys, tmp_path):
        (tmp_path / "pictures").mkdir()
        Image.fromarray(paint(GRAMMAR, (0, 5, 0, 0))).save("pictures/dog.png")
        Image.fromarray(paint(GRAMMAR, (0, 9, 0, 0))).save("pictures/car.png")
        assert run(capsys, *arguments("pictures"))[0] == 0
        assert Counter(row["class"] for row in manifest()) == {"dog": 6, "car": 6}

    def test_says_which_classes_are_alike(self, capsys, tmp_path):
        make_source(tmp_path / "source", {"dog": 5, "puppy": 5, "car": 9})
        _, printed, _ = run(capsys, *arguments("source", per_class=1))
        assert "doubtful: dog stands for several classes: dog, puppy" in printed

    def test_may_fix_other_axes(self, capsys, source):
        run(capsys, *arguments(source, "--class-axis", "noun", "--class-axis", "frequency"))
        states = {(row["class"], row["state"][0]) for row in manifest()}
        assert len(states) == 3
        run(capsys, *arguments(source, "--class-axis", "all", out="fixed"))
        assert len({tuple(row["state"]) for row in manifest("fixed")}) == 3

    @pytest.mark.filterwarnings("ignore::rldf_gym.grammar.GrammarWarning")
    def test_may_vary_the_attributes_of_another_grammar(self, capsys, source, tmp_path):
        (tmp_path / "other.lark").write_text(ATTRIBUTES)
        everything = arguments(source, "--attributes", "other.lark", "--keep-matching")
        status, _, printed = run(capsys, *everything, "--marginal", "scene:snow=1")
        assert status == 0, printed
        prompts = {(row["class"], row["prompt"]) for row in manifest()}
        assert prompts <= {
            (name, f"a photo of {count} {noun} and {people} people in snow")
            for name, noun in (("Hund", "dog"), ("apple tree", "apple"), ("train", "car"))
            for count in ("one", "many")
            for people in ("no", "one", "many")
        }
        assert len(prompts) > 9
        assert "other pictures" not in printed
        assert "attributes" in refusal(capsys, *arguments(source))
        shutil.rmtree(source / "Hund")
        shutil.rmtree(source / "train")
        assert run(capsys, *arguments(source, "--attributes", "other.lark", out="one"))[0] == 0
        assert len(manifest("one")) == 6
        reason = refusal(capsys, *arguments(source, "--attributes", "base", out="two"))
        assert 'give a grammar with one rule of the form noun: "umbrella"' in reason

    @pytest.mark.parametrize("format_", ["webdataset", "parquet"])
    def test_in_another_format_is_verified_and_repaired(self, capsys, source, format_):
        everything = arguments(source, "--format", format_, "--splits", "train=0.5,val=0.5")
        assert run(capsys, *everything)[0] == 0
        suffix = {"webdataset": "tar", "parquet": "parquet"}[format_]
        shards = sorted(path for path in Path("out").rglob(f"0*.{suffix}"))
        assert [str(path) for path in shards] == [
            f"out/{split}/{number:05d}.{suffix}"
            for split in ("train", "val")
            for number in range(3)
        ]
        assert all(path.with_suffix(".json").is_file() for path in shards)
        assert {row["file"] for row in manifest()} == {
            str(path.relative_to("out")) for path in shards
        }
        before = files()
        content = bytearray(shards[1].read_bytes())
        content[len(content) // 3] ^= 255
        shards[1].write_bytes(content)
        shards[4].unlink()
        assert run(capsys, "clone", "--verify", "out")[0] == 1
        assert run(capsys, *everything)[0] == 0
        assert run(capsys, "clone", "--verify", "out")[0] == 0
        assert files() == before

    def test_previews_the_first_pictures_of_the_plan(self, capsys, source):
        status, printed, _ = run(capsys, *arguments(source, "--preview", "--json", per_class=12))
        assert status == 0
        assert json.loads(printed)["preview"] == [str(Path("out/preview/sheet-000.png").absolute())]
        assert not Path("out/manifest.parquet").exists()
        run(capsys, *arguments(source, per_class=12))
        for name, folder in (("Hund", "Hund"), ("train", "train~")):
            first = [row for row in manifest() if row["class"] == name][:9]
            for number, row in enumerate(first, 1):
                shown = Image.open(f"out/preview/{folder}/{number}.png")
                assert labels_in(shown_array(shown)) == row["state"]


def shown_array(image):
    import numpy as np

    return np.asarray(image.convert("RGB"))


class TestVerification:
    @pytest.fixture(autouse=True)
    def _cloned(self, capsys, source, monkeypatch):
        in_process(monkeypatch)
        run(capsys, *arguments(source))
        self.before = files()
        self.again = arguments(source)

    def test_finds_nothing_in_a_sound_clone(self):
        assert verify(Path("out")).pictures == 18

    def test_finds_and_the_same_command_repairs_a_damaged_and_a_missing_picture(self, capsys):
        first, *_, last = manifest()
        Path("out", first["file"]).write_bytes(b"damaged")
        Path("out", last["file"]).unlink()
        status, printed, _ = run(capsys, "clone", "--verify", "out")
        assert status == 1
        assert f"picture {first['id']} in {first['file']} is damaged" in printed
        assert f"picture {last['id']} in {last['file']} is missing" in printed
        assert run(capsys, *self.again)[0] == 0
        assert files() == self.before
        assert verify(Path("out")).is_sound

    def test_finds_a_picture_that_is_not_listed(self):
        first = manifest()[0]
        shutil.copy(Path("out", first["file"]), Path("out/train/Hund/copy.png"))
        [fault] = verify(Path("out")).faults
        assert "copy.png belongs to no shard" in fault

    def test_finds_a_manifest_that_lists_something_else(self):
        table = parquet.read_table("out/manifest.parquet")
        parquet.write_table(table.slice(0, 17), "out/manifest.parquet")
        [fault] = verify(Path("out")).faults
        assert "manifest.parquet and the shards differ" in fault
        Path("out/manifest.parquet").write_bytes(b"PAR1")
        assert "cannot be read" in verify(Path("out")).faults[0]
        Path("out/manifest.parquet").unlink()
        assert "cannot be read" in verify(Path("out")).faults[0]

    def test_needs_a_clone(self, capsys):
        Path("empty").mkdir()
        assert "empty holds no clone" in refusal(capsys, "clone", "--verify", "empty")
        assert "leave SOURCE" in refusal(capsys, "clone", "source", "--verify", "out")


class TestBadInput:
    @pytest.fixture(autouse=True)
    def _in_process(self, monkeypatch):
        in_process(monkeypatch)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--per-class", 0], "--per-class is 0: give at least 1"),
            (["--workers", 0], "--workers is 0"),
            (["--engine", "slurm"], "unknown engine 'slurm'; known: local"),
            (["--format", "zip"], "unknown format 'zip'; known: imagefolder, webdataset, parquet"),
            (["--splits", "train=0.9"], "the shares sum to 0.9"),
            (["--class-axis", "mood"], "no axis 'mood'"),
            (["--marginal", "noun:dog=1"], "fixed by the class"),
            (["--shard-size", 257], "give at most 256"),
            (["--out", "source/out"], "is inside the source"),
            (["--negative-prompt", "blurry"], "negative_prompt"),
        ],
    )
    def test_of_the_options(self, capsys, source, options, reason):
        assert reason in refusal(capsys, *arguments("source"), *options)
        assert not Path("out").exists()

    def test_of_the_source(self, capsys, tmp_path):
        assert "is not a folder" in refusal(capsys, *arguments("nowhere"))
        Path("source").mkdir()
        assert "holds no class" in refusal(capsys, *arguments("source"))
        assert "give SOURCE and --out" in refusal(capsys, "clone")

    def test_a_class_without_a_readable_picture(self, capsys, source):
        (source / "empty").mkdir()
        (source / "broken").mkdir()
        (source / "broken" / "1.png").write_text("no picture")
        reason = refusal(capsys, *arguments(source))
        assert "no readable picture in class 'broken', 'empty'" in reason
        assert "1.png is not a picture" in reason

    def test_unreadable_pictures_are_skipped_and_listed(self, capsys, source):
        (source / "Hund" / "bad.png").write_text("no picture")
        status, printed, _ = run(capsys, *arguments(source))
        assert status == 0
        assert "bad.png is not a picture" in printed
        [skipped] = json.loads(Path("out/summary.json").read_text())["skipped"]
        assert "bad.png" in skipped

    def test_two_classes_with_one_name(self, capsys, source):
        Image.fromarray(paint(GRAMMAR, (0, 1, 0, 0))).save(source / "hund.png")
        reason = refusal(capsys, *arguments(source))
        assert "two classes have one name" in reason
        assert "hund.png" in reason

    def test_names_of_classes_never_leave_the_folder(self, capsys, tmp_path):
        names = [
            "..a",
            "-rf",
            "犬",
            "a\\..\\..\\b",
            "x" * 200,
            "con",
            "a:b*c?",
            "train",
            "\n",
            "%2E",
        ]
        make_source(tmp_path / "deep" / "source", {name: i for i, name in enumerate(names)})
        before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
        status, _, _ = run(capsys, *arguments("deep/source", out="deep/out", per_class=1))
        assert status == 0
        after = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
        assert {path for path in after - before if "store.sqlite" not in path.name} == set()
        assert {row["class"] for row in manifest("deep/out")} == set(names)
        assert len([*filter(Path.is_dir, Path("deep/out/train").iterdir())]) == len(names)

    def test_another_clone_in_the_folder(self, capsys, source):
        run(capsys, *arguments(source))
        again = refusal(capsys, *arguments(source, "--seed", 1, per_class=7))
        assert "per class 6 there, 7 here" in again
        assert "seed 0 there, 1 here" in again
        Image.fromarray(paint(GRAMMAR, (0, 6, 0, 0))).save(source / "Hund" / "0.png")
        assert "other pictures in class 'Hund'" in refusal(capsys, *arguments(source))
        shutil.rmtree(source / "Hund")
        assert "missing now: class 'Hund'" in refusal(capsys, *arguments(source))

    def test_a_folder_of_something_else(self, capsys, source):
        Path("out").mkdir()
        Path("out/thesis.txt").write_text("mine")
        assert "holds no clone" in refusal(capsys, *arguments(source))
        Path("file").write_text("")
        assert "is a file" in refusal(capsys, *arguments(source, out="file"))

    def test_too_little_disk_before_and_during(self, capsys, source, monkeypatch):
        usage = shutil.disk_usage(".")
        free = iter([0])
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=next(free, 0)))
        assert "too little disk space" in refusal(capsys, *arguments(source))
        assert not Path("out/clone.json").exists()
        free = iter([2**40] * 4)
        reason = refusal(capsys, *arguments(source))
        assert "the same command continues" in reason
        assert len(list(Path("out/shards").rglob("*.json"))) == 2
        monkeypatch.undo()
        in_process(monkeypatch)

    def test_a_limit_of_a_server_that_is_below_what_the_clone_may_request(self, capsys, source):
        paid = ["--generator", "openai:gpt-image-1", "--max-generations", 100]
        reason = refusal(capsys, *arguments(source), *paid)
        assert "--max-generations is 100, and this clone may request 120" in reason

    def test_a_second_writer(self, capsys, source):
        import filelock

        Path("out").mkdir()
        with filelock.FileLock("out/.lock"):
            assert "another rldf clone writes into" in refusal(capsys, *arguments(source))


def environment() -> dict[str, str]:
    here = Path(__file__).parent
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")]),
    }


def start(*words) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "rldf_agents", *map(str, words)],
        env=environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers_of(driver: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == driver and "spawn_main" in command:
            found.append(int(status.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds workers in /proc")
def test_kills_at_any_time_lose_nothing_and_repeat_nothing(source):
    words = ["clone", source, *OWN, "--per-class", 200, "--shard-size", 8, "--workers", 2]
    words += ["--generator", "outsiders:steady_generator"]
    chance = random.Random(0)
    for _round in range(6):
        driver = start(*words, "--out", "out")
        deadline = time.monotonic() + 120
        n_before = len(list(Path("out").rglob("shards/**/*.json")))
        while driver.poll() is None and time.monotonic() < deadline:
            if len(list(Path("out").rglob("shards/**/*.json"))) >= n_before + 3:
                break
            time.sleep(0.02)
        time.sleep(chance.random() / 5)
        kind = chance.choice(["worker", "driver", "all"])
        workers = workers_of(driver.pid)
        if kind == "worker" and workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            time.sleep(1)
        os.kill(driver.pid, signal.SIGKILL) if kind != "all" else os.killpg(driver.pid, 9)
        driver.communicate()
    last = start(*words, "--out", "out")
    assert last.communicate()[1] == ""
    assert last.returncode == 0
    found = verify(Path("out"))
    assert found.faults == []
    assert found.pictures == 600
    assert len({row["id"] for row in manifest()}) == 600


@pytest.mark.slow
def test_ctrl_c_ends_the_workers_and_the_same_command_continues(source):
    words = ["clone", source, *OWN, "--per-class", 200, "--shard-size", 8, "--workers", 2]
    words += ["--generator", "outsiders:steady_generator", "--out", "out"]
    driver = start(*words)
    deadline = time.monotonic() + 120
    while not list(Path("out").rglob("shards/**/*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    workers = workers_of(driver.pid)
    os.killpg(driver.pid, signal.SIGINT)
    _, printed = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "pictures are finished; the same command continues" in printed
    assert workers
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
