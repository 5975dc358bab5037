import importlib.metadata
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rldf_agents.cli import main
from rldf_gym.goal import DEFAULT_TARGET

RLDF = [sys.executable, "-m", "rldf_agents"]
TABLE = {
    *("target", "goal_prompt", "goal_state", "reached", "steps", "generations"),
    *("generations_to_goal", "best_prompt", "best_state", "clip_similarity", "seed", "versions"),
    *("matched", "states_seen", "states_seen_to_match"),
}


@pytest.fixture(autouse=True)
def _own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(path)
    return path


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def refusal(capsys, *arguments) -> str:
    """The one line on stderr that a refused command leaves."""
    status, _, printed = run(capsys, *arguments)
    assert status == 2
    assert printed.startswith("rldf: error: ")
    assert printed.count("\n") == 1
    return printed


class TestBadInput:
    @pytest.mark.parametrize(
        ("options", "printed"),
        [
            (["--learner", "dqn"], "unknown learner 'dqn'; known: dyna_q"),
            (["--reward", "fame"], "unknown reward 'fame'; known: multi_semantic, partial"),
            (["--grammar", "klingon"], "unknown grammar 'klingon'; known: actions, base, "),
            (["--generator", "dalle"], "unknown generator 'dalle'; known: embedded, sd14"),
            (["--device", "abacus"], "unknown device 'abacus'; known: cpu, cuda"),
            (["--device", "cuda:99"], "device 'cuda:99' is not available on this machine"),
            (["--steps", "0"], "steps is 0: give a whole number of at least 1"),
            (["--steps", "-5"], "steps is -5"),
            (["--steps", "many"], "'--steps'"),
            (["--steps", "1.5"], "'--steps'"),
            (["--seed", "-1"], "Invalid value for '--seed'"),
            (["--learner", "sarsa", "--epsilon", "2"], "epsilon is 2.0"),
            (["--resume", "--overwrite"], "give one"),
            (["--resume"], "no search to resume"),
            (["--stop-at", "goal"], "unknown stop_at 'goal'; known: match, goal_state"),
            (["--quiet", "--verbose"], "give one"),
            (["--unrecognised-penalty", "-1"], "unrecognised_penalty is -1.0"),
            (["--perception", "eyes"], "unknown perception 'eyes'; known: embedded"),
            (["--set", "steps"], "--set steps: give NAME=VALUE"),
            (["--set", "steps=0"], "steps is 0"),
            (["--set", "steps=2", "--set", "steps=3"], "--set steps is given twice"),
            (["--set", "stpes=2"], "stpes"),
            (["--grammar", ""], "unknown grammar ''; known: actions, base"),
            (["--nonsense"], "--nonsense"),
        ],
    )
    def test_in_an_option_is_one_line_and_leaves_nothing(
        self, capsys, tmp_path, picture, options, printed
    ):
        out = tmp_path / "out"
        assert printed in refusal(capsys, "search", picture, "--out", out, *options)
        assert not out.exists()

    @pytest.mark.parametrize(
        ("content", "printed"),
        [
            (None, "does not exist"),
            (b"", "is empty"),
            (b"no picture", "is not a picture"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "picture"),
        ],
        ids=["missing", "empty", "text", "truncated"],
    )
    def test_for_a_picture_is_one_line_and_leaves_nothing(self, capsys, tmp_path, content, printed):
        target = tmp_path / "target.png"
        if content is not None:
            target.write_bytes(content)
        assert printed in refusal(capsys, "search", target, "--out", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_for_an_address_or_a_phone_s_photograph_says_what_to_do(self, capsys, tmp_path):
        address = "https://example.com/dog.png"
        assert f"{address} is an address: download it" in refusal(capsys, "search", address)
        (tmp_path / "photo.HEIC").write_bytes(b"ftypheic")
        assert "export it as JPEG" in refusal(capsys, "search", tmp_path / "photo.HEIC")

    def test_in_the_last_of_several_pictures_stops_them_all(self, capsys, tmp_path, picture):
        arguments = ["search", picture, picture, tmp_path / "none.png", "--out", tmp_path / "out"]
        assert "none.png does not exist" in refusal(capsys, *arguments)
        assert not (tmp_path / "out").exists()

    def test_no_picture_at_all_is_one_line(self, capsys, tmp_path):
        assert "PICTURE" in refusal(capsys, "search", "--out", tmp_path / "out")

    def test_an_output_folder_with_something_in_it_is_left_alone(self, capsys, tmp_path, picture):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.txt").write_text("mine")
        printed = refusal(capsys, "search", picture, "--out", tmp_path / "out")
        assert "is not empty" in printed
        assert "--overwrite" in printed
        assert [file.name for file in (tmp_path / "out").iterdir()] == ["thesis.txt"]

    def test_a_grammar_with_a_fault_is_one_line(self, capsys, tmp_path, picture):
        grammar = tmp_path / "endless.lark"
        grammar.write_text('start: "very " start | "good"\n')
        refusal(capsys, "search", picture, "--out", tmp_path / "out", "--grammar", grammar)


@pytest.mark.parametrize("group", [(), ("store",), ("atlas",), ("grammar",)], ids=" ".join)
def test_a_group_without_a_command_shows_its_commands_and_no_complaint(capsys, group):
    status, printed, complaint = run(capsys, *group)
    assert status == 2
    assert "Commands" in printed + complaint
    assert "rldf: error" not in complaint


def test_version_is_the_package_s(capsys):
    status, printed, _ = run(capsys, "--version")
    assert status == 0
    assert printed.strip() == f"rldf {importlib.metadata.version('rldf-gym')}"


def test_grammar_shows_its_axes(capsys):
    status, printed, _ = run(capsys, "grammar", "base")
    assert status == 0
    assert "480 states" in printed
    assert "banana, orange, apple" in printed


def test_help_needs_no_model_library():
    program = (
        "import sys, rldf_agents.cli; "
        "print({'torch', 'diffusers', 'PIL', 'rldf_gym', 'rich.progress'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


class TestInTheEmbeddedWorld:
    def test_a_store_that_is_not_ours_is_one_line_and_left_alone(self, capsys, tmp_path, picture):
        store = tmp_path / "notes.txt"
        store.write_text("my notes")
        arguments = ["search", picture, "--out", tmp_path / "out", "--store", store]
        assert "notes.txt" in refusal(capsys, *arguments)
        assert store.read_text() == "my notes"
        assert not (tmp_path / "out").exists()

    def test_a_search_leaves_its_result(self, capsys, tmp_path):
        out = tmp_path / "out"
        arguments = ["search", DEFAULT_TARGET, "--out", out, "--steps", 6, "--seed", 3]
        status, printed, _ = run(capsys, *arguments)
        assert "was read as" in printed
        result = json.loads((out / "result.json").read_text())
        assert set(result) >= TABLE
        assert status == (0 if result["matched"] else 3)
        assert result["steps"] <= 6
        assert result["seed"] == 3
        assert -1 <= result["clip_similarity"] <= 1
        assert (out / "report.html").stat().st_size > 1000
        with Image.open(out / "trajectory.png") as trajectory:
            assert trajectory.width > trajectory.height

    def test_a_second_search_draws_nothing_anew(self, capsys, tmp_path):
        for out in ("first", "second"):
            run(capsys, "search", DEFAULT_TARGET, "--out", tmp_path / out, "--steps", 6)
        first, second = (
            json.loads((tmp_path / out / "result.json").read_text()) for out in ("first", "second")
        )
        assert first["generations"] > 0
        assert second["generations"] == 0
        assert second["best_prompt"] == first["best_prompt"]

    def test_set_replaces_settings_of_the_generator_and_is_part_of_the_command(
        self, capsys, tmp_path
    ):
        for out, settings in (("first", []), ("second", ["--set", "steps=2"])):
            arguments = [DEFAULT_TARGET, "--out", tmp_path / out, "--steps", 3, *settings]
            run(capsys, "search", *arguments)
        # Other settings draw other pictures: none of the first search's was found again.
        second = json.loads((tmp_path / "second" / "result.json").read_text())
        assert second["generations"] > 0
        assert "--set steps=2" in (tmp_path / "second" / "report.html").read_text()

    def test_ctrl_c_keeps_what_was_learned_and_says_how_to_go_on(self, tmp_path):
        out = tmp_path / "out"
        command = [*RLDF, "search", str(DEFAULT_TARGET), "--out", str(out), "--learner", "random"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        search = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            for line in search.stdout:
                if "step " in line:  # the first step was taken: from here on it can be stopped
                    break
            search.send_signal(signal.SIGINT)
            _, printed = search.communicate(timeout=600)
        finally:
            search.kill()
        assert search.returncode == 130
        assert printed.count("rldf: error: interrupted") == 1
        assert "Traceback" not in printed
        assert "--resume" in printed
        names = {file.name for file in out.iterdir()}
        assert names == {"learner.safetensors", "history.safetensors"}
