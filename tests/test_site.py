"""What the documentation site inserts into its pages; ``make docs`` builds all of it."""

import re
from pathlib import Path

import pytest

from tools.site.inserts import INSERTS, insert_measurements

ROOT = Path(__file__).parents[1]


def test_an_insert_takes_the_place_of_its_comment():
    page = insert_measurements("Above\n\n<!-- insert module rldf_gym.env -->\n\nBelow")
    assert page.startswith("Above\n\n## rldf_gym.env")
    assert page.endswith("Below")
    assert "insert" not in page


def test_an_unknown_insert_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match=r"unknown insert 'scores'; there are .*scoreboard"):
        insert_measurements("<!-- insert scores 30 -->")


def test_every_insert_is_used_by_a_page():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    assert set(re.findall(r"<!-- insert (\w+)", pages)) == set(INSERTS)


def test_the_scoreboard_holds_the_measured_shares_with_the_best_first():
    board = insert_measurements("<!-- insert scoreboard 30 100 500 -->")
    base, extended, _ = board.split("\n## ")
    first = base.splitlines()[4]
    assert first.startswith(
        "| factored ucb | `rldf_agents` | 1.00 [0.99, 1.00] | 1.00 [1.00, 1.00]"
    )
    assert "500 images" not in base
    assert "500 images" in extended
