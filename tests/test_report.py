import re
import resource
from html.parser import HTMLParser

import numpy as np
import pytest
from painted_world import PaintedGenerator, load_grammar, paint, painted_perception
from PIL import Image

from rldf_agents.applications.charts import progress_chart
from rldf_agents.applications.report import render_index, render_report
from rldf_agents.applications.result import versions
from rldf_agents.applications.search import SearchResult, SearchSettings, search_picture

GRAMMAR = load_grammar("base")
GOAL = (1, 5, 1, 3)
COMMAND = "rldf search 'my <best> picture.png' --out out"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects what a page points at, and whether its elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    @classmethod
    def of(cls, html: str) -> "Page":
        page = cls()
        page.feed(html)
        page.close()
        return page


def found(target=GOAL, **changes) -> SearchResult:
    settings = SearchSettings(
        grammar=GRAMMAR,
        generator=PaintedGenerator(GRAMMAR),
        perception=painted_perception(GRAMMAR),
        store=None,
        **changes,
    )
    return search_picture(paint(GRAMMAR, target), settings)


@pytest.fixture(scope="module")
def result() -> SearchResult:
    return found()


@pytest.fixture(scope="module")
def report(result) -> str:
    return render_report(result, versions(), COMMAND)


class TestTheReport:
    def test_is_one_well_formed_page(self, report):
        assert report.lstrip().startswith("<!doctype html>")
        assert not Page.of(report).open

    def test_loads_nothing_from_anywhere(self, report):
        page = Page.of(report)
        outside = [link for link in page.links if not link.startswith(("data:image/", "#"))]
        assert not outside
        assert not {"link", "iframe"} & set(page.tags)
        assert not re.search(r"@import|url\((?!#|data:)|<script [^>]|fetch\(|import\(", report)

    def test_has_a_button_that_copies_the_prompt_for_every_best_picture(self, report, result):
        assert report.count('<button class="copy">') == len(result.best)

    def test_shows_target_best_pictures_and_trajectory(self, report, result):
        n_pictures = report.count('src="data:image/')
        assert n_pictures == 2 + len(result.best) + len(result.trajectory)

    def test_tells_every_axis_of_the_goal(self, report):
        for axis, value in zip(GRAMMAR.axes, GOAL, strict=True):
            assert f"<td>{axis.name}</td>" in report
            assert f"<b>{axis.values[value]}</b>" in report

    def test_escapes_what_the_user_typed(self, report):
        assert "my &lt;best&gt; picture.png" in report

    def test_names_every_version(self, report):
        assert all(version in report for version in versions().values())

    def test_marks_the_axes_that_are_guesses(self):
        with pytest.warns(UserWarning, match="scene"):
            unsure = found(target=(1, 5, 1, -1), steps=2)
        assert "scene" in unsure.goal.low_confidence_axes
        assert '<span class="guess">guess</span>' in render_report(unsure, versions(), COMMAND)

    def test_says_so_when_the_goal_was_not_reached(self):
        missed = found(steps=2, learner="random")
        assert "not reached in 2 steps" in " ".join(render_report(missed, {}, COMMAND).split())


@pytest.mark.parametrize("steps", [1, 2, 30, 6000])
def test_the_chart_is_an_svg_that_takes_the_page_s_colours(result, steps):
    steps = [result.steps[index % len(result.steps)] for index in range(steps)]
    drawing = progress_chart(steps)
    assert drawing.startswith("<svg")
    assert "var(--accent)" in drawing
    assert not re.search("#[0-9a-f]{6}", drawing.replace("#000000", ""))


def test_the_index_links_every_report(result):
    page = Page.of(render_index([result, result], ["a/report.html", "b c/report.html"]))
    links = [link for link in page.links if not link.startswith("data:")]
    assert links == ["a/report.html", "b%20c/report.html"]


def test_the_result_names_best_state_and_its_likeness(result):
    document = result.to_json()
    assert document["best_state"] == list(GOAL)
    assert document["best_prompt"] == document["goal_prompt"]
    assert document["clip_similarity"] == pytest.approx(1.0)
    assert document["generations_to_goal"] == document["generations"] == document["states_seen"]
    assert document["goal_confidence"]["scene"] == pytest.approx(1.0)


def test_the_trajectory_picture_has_the_target_beside_every_frame(result, tmp_path):
    result.save(tmp_path, COMMAND)
    n_columns = min(4, len(result.trajectory))
    with Image.open(tmp_path / "trajectory.png") as strip:
        assert strip.width > 224 * (1 + n_columns)


def test_a_full_disk_leaves_no_file_half_written(result, tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            result.save(tmp_path, COMMAND)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert {path.name for path in tmp_path.iterdir()} == {"best.png", "trajectory.png"}


def test_a_file_that_cannot_be_written_leaves_what_was_there(result, tmp_path):
    (tmp_path / "trajectory.png").mkdir()
    with pytest.raises(OSError, match="directory"):
        result.save(tmp_path, COMMAND)
    assert [path.name for path in tmp_path.iterdir()] == ["trajectory.png"]


def test_best_png_is_the_best_image_itself(result, tmp_path):
    result.save(tmp_path / "new" / "folder")
    with Image.open(tmp_path / "new" / "folder" / "best.png") as best:
        assert (np.asarray(best) == result.best[0].picture).all()
