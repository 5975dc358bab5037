"""Replace ``<!-- insert NAME ARGUMENTS -->`` in a page by the Markdown that NAME makes."""

import re
import shlex
from pathlib import Path

from tools.site.reference import module
from tools.site.scoreboard import scoreboard

_RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def results(name: str) -> str:
    """Return the report of a benchmark, its headings one level lower, without its title."""
    _, _, report = (_RESULTS / f"{name}.md").read_text(encoding="utf-8").partition("\n")
    return re.sub(r"^#", "##", report.strip(), flags=re.MULTILINE)


INSERTS = {"module": module, "scoreboard": scoreboard, "results": results}
"""From the name in a page to the function that writes Markdown from the arguments beside it."""

_COMMENT = re.compile(r"<!-- insert (.+?) -->")


def insert_measurements(page: str) -> str:
    """Return the page with each insert in place of its comment.

    Raises:
        ValueError: a name that is not in `INSERTS`.
    """

    def replacement(comment: re.Match[str]) -> str:
        name, *arguments = shlex.split(comment.group(1))
        if name not in INSERTS:
            raise ValueError(f"unknown insert {name!r}; there are {', '.join(sorted(INSERTS))}")
        return INSERTS[name](*arguments)

    return _COMMENT.sub(replacement, page)
