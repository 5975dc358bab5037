"""Replace ``<!-- insert NAME ARGUMENTS -->`` in a page by the Markdown that NAME makes."""

import re
import shlex
from collections.abc import Callable

from tools.site.environments import axes, environment, manual
from tools.site.examples import examples
from tools.site.measurements import cell, medians
from tools.site.navigation import unlisted
from tools.site.reference import module
from tools.site.scoreboard import scoreboard

INSERTS: dict[str, Callable[..., str]] = {
    "axes": axes,
    "cell": cell,
    "environment": environment,
    "examples": examples,
    "manual": manual,
    "medians": medians,
    "module": module,
    "scoreboard": scoreboard,
    "unlisted": unlisted,
}
"""From the name in a page to the function that writes Markdown from the arguments beside it."""

_COMMENT = re.compile(r"<!-- insert (.+?) -->")


def fill_page(page: str) -> str:
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
