"""Words that the style of this project replaces by the field's own."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORDS = {
    r"told": "receives, reports, logs",
    r"tells?|telling": "reports, shows",
    r"refus(e|es|ed|al|als|ing)": "reject, raise",
    r"mend|mends|mended": "fix",
    r"hears?|heard": "receives",
    r"whoever": "the user",
    r"is after": "searches for",
    r"at hand": "available",
    r"looked at": "visited, evaluated",
}
NOT_PROSE = re.compile(r"study\.tell\(")
"""Names that other libraries chose: Optuna's `Study.tell`."""

PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "benchmarks").glob("*.md"),
    *(
        path
        for folder in ("src", "benchmarks", "tools", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".html", ".css"} and "/results/" not in path.as_posix()
    ),
]


@pytest.mark.parametrize(("word", "better"), WORDS.items())
def test_no_page_message_or_comment_uses_a_word_that_is_hard_to_read(word, better):
    pattern = re.compile(rf"(?<!\w)({word})(?!\w)", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in PAGES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line) and not NOT_PROSE.search(line)
    ]
    assert found == [], f"write {better} instead"


def test_the_check_reads_every_kind_of_page():
    names = {path.relative_to(ROOT).as_posix() for path in PAGES}
    assert {"README.md", "docs/serving.md", "src/rldf_gym/env.py", "benchmarks/README.md"} <= names
    assert len(PAGES) > 200
