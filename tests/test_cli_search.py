"""What `rldf search` offers to scripts, and to people who bring their own parts."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import outsiders
import pytest
from painted_world import paint
from PIL import Image
from test_cli import RLDF, refusal, run

GOAL, UNKNOWN = (1, 5, 1, 3), (0, 2, 0, 1)
OWN = [
    *("--generator", "outsiders:generator"),
    *("--perception", "outsiders:perception"),
    *("--grammar", "outsiders:GRAMMAR"),
    *("--store", ":memory:"),
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(tmp_path / "store.sqlite"))
    monkeypatch.chdir(tmp_path)


def save(path: Path, goal=GOAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(paint(outsiders.GRAMMAR, goal)).save(path)
    return path


@pytest.fixture
def picture(tmp_path) -> Path:
    return save(tmp_path / "picture.png")


class TestPartsFromOutside:
    @pytest.mark.filterwarnings("default:the learner Wanderer")
    def test_run_a_search_together(self, capsys, picture):
        arguments = [picture, *OWN, "--learner", "outsiders:Wanderer", "--steps", 60, "--json"]
        arguments += ["--reward", "outsiders:everything_or_nothing", "--action-mode", "joint"]
        status, printed, warning = run(capsys, "search", *arguments)
        assert warning.count("the learner Wanderer cannot be saved") == 1
        result = json.loads(printed)
        assert status == (0 if result["matched"] else 3)
        assert result["learner"] == "outsiders:Wanderer"
        assert result["generator"] == "painted"
        assert result["reward"] == "outsiders:everything_or_nothing"
        assert result["best_reward"] == float(result["best_matches"])
        names = {path.name for path in Path(result["folder"]).iterdir()}
        assert names - {"variations"} == {
            *("result.json", "best.png", "trajectory.png", "report.html", "variations.json")
        }

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--learner", "outsiders:NoLearner"], "has neither learn(env, total_timesteps"),
            (["--learner", "outsiders:Nobody"], "has no attribute 'Nobody'"),
            (["--learner", "nowhere.to.be:Found"], "No module named 'nowhere'"),
            (["--reward", "outsiders:nothing"], "has no attribute 'nothing'"),
            (["--reward", "outsiders:of_the_wrong_shape", *OWN], "of_the_wrong_shape"),
            (
                ["--generator", "outsiders:GRAMMAR"],
                "type Grammar, which is not a generator: a generator is an object with name,",
            ),
            (["--perception", "outsiders:generator"], "which is not a perception"),
            (["--grammar", "math:pi"], "gives an object of type float, which is not a grammar"),
        ],
    )
    def test_that_cannot_be_used_are_one_line_with_the_reason(
        self, capsys, picture, options, reason
    ):
        assert reason in refusal(capsys, "search", picture, *options)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (["--reward", "outsiders:failing_reward"], "outsiders:failing_reward raised KeyError"),
            (["--reward=outsiders:failing_reward"], "outsiders:failing_reward raised KeyError"),
            (["--learner", "outsiders:FailingLearner"], "raised ZeroDivisionError: division by"),
            (
                ["--generator", "outsiders:FailingGenerator"],
                "outsiders:FailingGenerator raised OSError: no disk",
            ),
        ],
    )
    def test_that_raise_are_one_line_with_their_name_and_the_error(
        self, capsys, picture, options, reason
    ):
        assert reason in refusal(capsys, "search", picture, *OWN, *options)

    def test_that_raise_show_where_with_a_traceback_on_request(self, capsys, picture):
        arguments = [picture, *OWN, "--reward", "outsiders:failing_reward"]
        status, _, errors = run(capsys, "--traceback", "search", *arguments)
        assert status == 2
        assert 'return {}["colour"]' in errors
        assert errors.splitlines()[-1].startswith("rldf: error: outsiders:failing_reward raised")

    def test_are_found_in_the_current_folder(self, tmp_path):
        (tmp_path / "mine.py").write_text("GRAMMAR = 'base'\n")
        rldf = [str(Path(sys.executable).with_name("rldf")), "grammar", "mine:GRAMMAR"]
        done = subprocess.run(rldf, capture_output=True, text=True, cwd=tmp_path, check=True)
        assert "480 states" in done.stdout


class TestForScripts:
    def test_json_is_one_document_on_stdout_and_nothing_else(self, capsys, picture):
        status, printed, _ = run(capsys, "search", picture, *OWN, "--json")
        assert status == 0
        result = json.loads(printed)
        assert result["matched"]
        assert result["states_seen_to_match"] <= result["states_seen"]
        assert json.loads((Path(result["folder"]) / "result.json").read_text()).items() <= (
            result.items()
        )

    def test_nothing_found_exits_with_3(self, capsys, picture):
        arguments = [picture, *OWN, "--learner", "random", "--steps", 1]
        assert run(capsys, "search", *arguments)[0] == 3

    def test_the_goal_state_is_enough_where_it_was_asked_for(self, capsys, picture):
        status, printed, _ = run(
            capsys, "search", picture, *OWN, "--stop-at", "goal_state", "--json"
        )
        assert status == 0
        assert json.loads(printed)["stop_at"] == "goal_state"

    def test_quiet_prints_nothing(self, capsys, picture):
        assert run(capsys, "search", picture, *OWN, "--quiet") == (0, "", "")

    def test_a_folder_stands_for_its_pictures(self, capsys, tmp_path):
        for name, goal in (("a.png", GOAL), ("b.jpeg.png", UNKNOWN)):
            save(tmp_path / "photos" / name, goal)
        (tmp_path / "photos" / "notes.txt").write_text("no picture")
        status, printed, _ = run(capsys, "search", "photos", *OWN, "--json")
        assert status == 0
        assert [Path(result["target"]).name for result in json.loads(printed)] == [
            "a.png",
            "b.jpeg.png",
        ]
        assert (Path(json.loads(printed)[0]["folder"]).parent / "index.html").is_file()

    def test_a_folder_without_pictures_is_one_line(self, capsys, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "holds no pictures" in refusal(capsys, "search", "empty")

    @pytest.mark.filterwarnings("default:skipped")
    def test_skip_bad_leaves_out_what_cannot_be_read(self, capsys, tmp_path, picture):
        (tmp_path / "bad.png").write_text("no picture")
        arguments = ["search", "bad.png", picture, *OWN, "--json"]
        assert "bad.png is not a picture" in refusal(capsys, *arguments)
        status, printed, warning = run(capsys, *arguments, "--skip-bad")
        assert status == 0
        assert "rldf: warning: skipped: the target bad.png is not a picture" in warning
        assert len(json.loads(printed)) == 1

    def test_a_folder_with_a_bad_file_is_searched_but_for_it_and_the_status_says_so(
        self, capsys, tmp_path
    ):
        save(tmp_path / "photos" / "good.png")
        (tmp_path / "photos" / "bad.png").write_text("no picture")
        status, printed, warning = run(capsys, "search", "photos", *OWN, "--json")
        assert status == 2
        assert "skipped: the target photos/bad.png is not a picture" in warning
        assert len(json.loads(printed)) == 1
        assert run(capsys, "search", "photos", *OWN, "--skip-bad", "--quiet")[0] == 0

    def test_variations_are_files_with_a_list_of_them(self, capsys, picture):
        arguments = ["--start", "reading", "--variations", 3, "--out", "out", "--json"]
        status, printed, _ = run(capsys, "search", picture, *OWN, *arguments)
        assert status == 0
        result = json.loads(printed)
        assert (result["steps"], result["states_seen"], result["variations"]) == (0, 1, 3)
        listed = json.loads(Path("out/variations.json").read_text())
        assert [row["file"] for row in listed] == [f"variations/0{i}.png" for i in (1, 2, 3)]
        assert all((Path("out") / row["file"]).is_file() and row["verified"] for row in listed)
        assert {"prompt", "state", "seed", "pixel_distance", "embedding_distance"} <= set(listed[0])
        assert [row["seed"] for row in listed] == [1, 2, 3]
        again = [*arguments[:2], "--variations", 0, *arguments[4:], "--overwrite"]
        run(capsys, "search", picture, *OWN, *again)
        assert not Path("out/variations").exists()

    def test_the_default_folder_is_a_new_one_each_time(self, capsys, picture):
        for name in ("picture", "picture-2"):
            _, printed, _ = run(capsys, "search", picture, *OWN, "--json")
            assert json.loads(printed)["folder"] == str(Path("rldf-out") / name)

    @pytest.mark.parametrize("option", ["--resume", "--overwrite"])
    def test_an_earlier_search_is_named(self, capsys, picture, option):
        assert "needs --out" in refusal(capsys, "search", picture, option)

    def test_the_report_s_command_repeats_the_search(self, capsys, picture):
        picture = picture.rename("-odd.png")
        arguments = [*OWN, "--out", "out", "--generation-seed", 3, "--more-seeds", 2]
        run(capsys, "search", "./-odd.png", *arguments)
        report = Path("out/report.html").read_text()
        assert "rldf search ./-odd.png" in report
        assert "--generation-seed 3" in report
        assert "--overwrite" in report


ENDLESS = [*OWN, "--learner", "random", "--keep-learning", "--out", "out"]


def start(picture: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path(__file__).parent)}
    command = [*RLDF, "search", str(picture), *ENDLESS, "--steps", "1000000"]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_a_step(search: subprocess.Popen) -> None:
    for line in search.stdout:
        if "step " in line:
            return


def test_sigterm_acts_like_ctrl_c(picture):
    search = start(picture)
    try:
        wait_for_a_step(search)
        search.send_signal(signal.SIGTERM)
        _, printed = search.communicate(timeout=600)
    finally:
        search.kill()
    assert search.returncode == 130
    assert "--resume" in printed
    assert "Traceback" not in printed
    assert {path.name for path in Path("out").iterdir()} == {
        "learner.safetensors",
        "history.safetensors",
    }


def test_a_killed_search_keeps_its_first_steps(capsys, picture):
    search = start(picture)
    try:
        wait_for_a_step(search)
        while not Path("out/learner.safetensors").is_file():
            assert search.poll() is None or Path("out/learner.safetensors").is_file()
            time.sleep(0.01)
    finally:
        search.kill()
        search.communicate()
    _, printed, _ = run(capsys, "search", picture, *ENDLESS, "--steps", 2, "--resume")
    assert "continuing after step" in printed


@pytest.mark.parametrize("module", ["typer", "numpy", "gymnasium", "rich.progress"])
def test_ctrl_c_while_libraries_load_is_no_traceback(module):
    program = f"""
import signal, sys
class PressesCtrlC:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
from rldf_agents.cli import main
sys.meta_path.insert(0, PressesCtrlC())
main(["search", "picture.png", "--out", "out"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "rldf: error: interrupted: nothing was written\n"
    assert done.returncode == 130
