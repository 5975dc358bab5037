"""What the documentation site inserts into its pages; ``make docs`` builds all of it."""

import re
from pathlib import Path

import gymnasium as gym
import pytest
from PIL import Image

import rldf_gym
from tools.site.inserts import INSERTS, fill_page
from tools.site.measurements import cell

gym.register_envs(rldf_gym)
ROOT = Path(__file__).parents[1]


def test_an_insert_takes_the_place_of_its_comment():
    page = fill_page("Above\n\n<!-- insert module rldf_gym.env -->\n\nBelow")
    assert page.startswith("Above\n\n## rldf_gym.env")
    assert page.endswith("Below")
    assert "insert" not in page


def test_an_unknown_insert_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match=r"unknown insert 'scores'; there are .*scoreboard"):
        fill_page("<!-- insert scores 30 -->")


def test_every_insert_is_used_by_a_page():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    assert set(re.findall(r"<!-- insert (\w+)", pages)) == set(INSERTS)


def test_the_scoreboard_holds_the_measured_shares_with_the_best_first():
    board = fill_page("<!-- insert scoreboard 30 100 500 -->").replace("\N{NO-BREAK SPACE}", " ")
    base, extended, _ = board.split("\n## ")
    rows = [row.split(" | ") for row in base.splitlines()[4:] if row]
    assert rows[0][:2] == ["| factored ucb", "`rldf_agents`"]
    assert all(re.fullmatch(r"\d\.\d\d \[\d\.\d\d, \d\.\d\d\]", row[2]) for row in rows)
    shares = [row[2] for row in rows]
    assert len(rows) > 10
    assert shares == sorted(shares, key=lambda share: float(share[:4]), reverse=True)
    assert "500 images" not in base
    assert "500 images" in extended


def test_a_cell_of_a_report_is_found_by_its_row_and_column():
    assert fill_page("<!-- insert cell matching_images all matched -->") == "1.000"
    nested = '<!-- insert cell table3 "Q;multi_semantic;0.10;0" "within 100" -->'
    assert fill_page(nested) == "0.04"


def test_a_cell_that_several_tables_have_is_found_by_its_section():
    everywhere = 'cell inversion "direct reading" "all axes, 30"'
    with pytest.raises(ValueError, match=r"inversion.md has 3 cells"):
        fill_page(f"<!-- insert {everywhere} -->")
    assert re.match(r"0\.\d+", fill_page(f'<!-- insert {everywhere} "Shifted renders" -->'))


def test_a_cell_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match=r"matching_images.md has 0 cells 'mean' in rows 'all'"):
        fill_page("<!-- insert cell matching_images all mean -->")


def test_every_environment_that_is_registered_has_a_page_and_a_small_animation():
    ids = {name for name, spec in gym.registry.items() if "rldf_gym" in str(spec.entry_point)}
    folder = ROOT / "docs" / "environments"
    assert {page.stem for page in folder.glob("RLDF*.md")} == ids
    for name in ids:
        animation = folder / f"{name}.webp"
        assert animation.stat().st_size < 400_000
        with Image.open(animation) as image:
            assert image.n_frames > 5


def test_the_facts_of_an_environment_are_those_of_gym_make():
    page = fill_page("<!-- insert environment RLDF-Flat-v0 -->")
    assert "`Discrete(8)`" in page
    assert "`Box(0.0, 1.0, (23,), float32)`" in page
    assert "480 states" in page


def test_the_numbers_in_the_readme_are_those_that_were_measured():
    readme = " ".join((ROOT / "README.md").read_text().split())
    targets, images = (
        cell("matching_images", "all", "targets"),
        cell("matching_images", "all", "median images"),
    )
    assert cell("matching_images", "all", "matched") == "1.000"
    assert f"for {targets} unseen targets all ended" in readme
    assert f"after a median of {images};" in readme
    paper, default = (
        cell("sample_efficiency", f"**{name}**;100 x 3", "median")
        for name in ("q learning", "factored ucb")
    )
    assert f"needs {paper} to its goal state among 480, the default learner {default}." in readme
