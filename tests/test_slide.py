"""One or two axes of a target move, the others stay: pictures, numbers, files and the command."""

import io
import json
import os
import time
from pathlib import Path

import numpy as np
import outsiders
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_world import load_grammar, paint, painted_world
from PIL import Image, ImageSequence
from scipy.stats import somersd
from test_cli import refusal, run
from test_report import Page

from rldf_agents.applications.rank_correlation import rank_correlation
from rldf_agents.applications.slide import slide

GRAMMAR = load_grammar("base")
GOAL = (1, 5, 1, 3)
TARGETS = Path(__file__).parents[1] / "benchmarks" / "targets" / "embedded"
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


@pytest.fixture
def picture(tmp_path) -> Path:
    Image.fromarray(paint(outsiders.GRAMMAR, GOAL)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def slid(*names: str, **mistakes):
    return slide(painted_world(**mistakes), paint(GRAMMAR, GOAL), names)


class TestASlide:
    def test_has_every_value_of_its_axes_and_keeps_the_others(self):
        states = [cell.state.tolist() for cell in slid("frequency", "density").cells]
        assert states == [[a, 5, b, 3] for a in range(2) for b in range(3)]

    def test_of_a_generator_without_mistakes_follows_and_stays(self):
        found = slid("density", "frequency")
        assert [axis.name for axis in found.moved] == ["density", "frequency"]
        assert [axis.follows for axis in found.moved] == [1, 1]
        assert [axis.monotone for axis in found.moved] == [(1, (1, 1))] * 2
        assert found.stays == {"noun": 1, "scene": 1}
        assert found.all_stay == 1

    def test_counts_what_does_not_follow_and_what_does_not_stay(self):
        prompts = [GRAMMAR.decode([1, 5, density, 3]) for density in range(3)]
        found = slid("density", mistakes={prompts[0]: (1, 5, 2, 3), prompts[2]: (0, 5, 2, 4)})
        [density] = found.moved
        assert density.follows == pytest.approx(2 / 3)
        assert found.stays == pytest.approx({"frequency": 2 / 3, "noun": 1, "scene": 2 / 3})
        assert found.all_stay == pytest.approx(2 / 3)
        assert [found.misread(cell) for cell in found.cells] == [
            "density: many",
            "",
            f"frequency: one, scene: {GRAMMAR.axis('scene').values[4]}",
        ]

    def test_moves_by_one_value_at_a_time_in_its_animation(self):
        found = slid("frequency", "density")
        moving = Image.open(io.BytesIO(found.animation()))
        frames = [np.asarray(frame.convert("RGB"), int) for frame in ImageSequence.Iterator(moving)]
        assert (len(frames), moving.info["loop"]) == (6 + 4, 0)
        for number in range(1, 5):
            assert np.abs(frames[5 - number] - frames[5 + number]).mean() < 1
        half = frames[0].shape[1] // 2
        changes = [
            np.abs(a - b)[:, half:].max() > 50
            for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)
        ]
        assert all(changes)

    def test_outlines_the_goal_state_in_its_grid(self):
        found = slid("frequency", "density")
        assert [found.is_goal(cell) for cell in found.cells].index(True) == 4
        grid = found.grid()
        assert grid.shape[1] > grid.shape[0]
        assert (grid == (22, 135, 72)).all(axis=2).any()


class TestTheRankCorrelation:
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), min_size=6, max_size=20))
    def test_is_somers_d(self, pairs):
        labels, scores = (np.array(column) for column in zip(*pairs, strict=True))
        found = rank_correlation(labels, scores.astype(float))
        if len(set(labels)) == 1:
            assert found == (None, None)
            return
        # scipy has no value for scores that are all the same; by definition it is 0.
        expected = somersd(labels, scores).statistic if len(set(scores)) > 1 else 0
        assert found.value == pytest.approx(expected)
        low, high = found.interval
        assert -1 <= low <= high <= 1

    def test_is_one_where_scores_rise_although_labels_repeat(self):
        labels = np.repeat(np.arange(3), 3)
        assert rank_correlation(labels, np.arange(9.0)) == (1, (1, 1))
        assert rank_correlation(labels, -np.arange(9.0)) == (-1, (-1, -1))

    def test_of_noise_has_an_interval_around_zero(self):
        random = np.random.default_rng(1)
        value, (low, high) = rank_correlation(np.repeat(np.arange(3), 20), random.normal(size=60))
        assert low < 0 < high
        assert low < value < high

    def test_of_few_pictures_has_no_interval(self):
        assert rank_correlation(np.arange(3), np.arange(3.0)) == (1, None)


class TestTheCommand:
    def test_writes_what_it_prints_and_a_report_that_loads_nothing(self, capsys, picture):
        arguments = [picture, *OWN, "--axis", "frequency", "--axis", "density", "--out", "out"]
        status, printed, _ = run(capsys, "slide", *arguments, "--json")
        assert status == 0
        document = json.loads(printed)
        assert document.pop("folder") == "out"
        assert document == json.loads(Path("out/slide.json").read_text())
        assert [axis["axis"] for axis in document["axes"]] == ["frequency", "density"]
        assert document["goal_state"] == list(GOAL)
        names = {path.name for path in Path("out").iterdir()}
        assert names == {"grid.png", "slide.webp", "slide.json", "report.html"}
        html = Path("out/report.html").read_text()
        page = Page.of(html)
        assert not page.open
        assert all(link.startswith("data:image/") for link in page.links)
        assert "--axis frequency --axis density" in html
        assert "--set" not in html

    def test_replaces_results_only_with_overwrite(self, capsys, picture):
        arguments = ["slide", picture, *OWN, "--axis", "density", "--out", "out", "--quiet"]
        assert run(capsys, *arguments) == (0, "", "")
        assert "add --overwrite to replace it" in refusal(capsys, *arguments)
        assert run(capsys, *arguments, "--overwrite")[0] == 0
        assert "needs --out" in refusal(capsys, *arguments[:-3], "--overwrite")

    def test_opens_the_report(self, capsys, picture, tmp_path, monkeypatch):
        for name in ("xdg-open", "open"):
            (tmp_path / name).write_text('#!/bin/sh\nprintf %s "$1" > opening; mv opening opened\n')
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        run(capsys, "slide", picture, *OWN, "--axis", "density", "--out", "out", "--open")
        deadline = time.monotonic() + 60
        while not Path("opened").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert Path("opened").read_text() == str(Path("out") / "report.html")

    @pytest.mark.parametrize(
        ("axes", "reason"),
        [
            (["mood"], "no axis 'mood'; its axes are frequency, noun, density, scene"),
            (["noun", "noun"], "--axis noun is given twice"),
            (["noun", "scene", "density"], "--axis noun, scene, density: 3 axes; give one or two"),
            ([], "Missing option"),
        ],
    )
    def test_says_what_is_wrong_with_the_axes(self, capsys, picture, axes, reason):
        options = [word for axis in axes for word in ("--axis", axis)]
        assert reason in refusal(capsys, "slide", picture, *OWN, *options, "--out", "out")
        assert not Path("out").exists()

    def test_says_what_is_wrong_with_the_picture(self, capsys, tmp_path):
        (tmp_path / "bad.png").write_text("no picture")
        options = [*OWN, "--axis", "density", "--out", "out"]
        assert "bad.png is not a picture" in refusal(capsys, "slide", "bad.png", *options)


@pytest.mark.slow
def test_the_embedded_model_moves_weather_and_time_of_day(capsys, embedded_store, monkeypatch):
    monkeypatch.setenv("RLDF_STORE", str(embedded_store))
    arguments = ["--axis", "weather", "--axis", "time_of_day", "--out", "out", "--json"]
    status, printed, _ = run(capsys, "slide", TARGETS / "009.webp", *arguments)
    assert status == 0
    document = json.loads(printed)
    assert len(document["cells"]) == 9
    weather, time_of_day = document["axes"]
    assert min(weather["follows"], time_of_day["follows"]) >= 8 / 9
    assert weather["rank_correlation_interval"][0] > 0
    assert time_of_day["rank_correlation"] > 0  # for the shipped CLIP, sunset is not in between
    assert document["stays"]["noun"] == document["stays"]["scene"] == 1
