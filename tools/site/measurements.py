"""Measured numbers for the site's pages, from the reports in ``benchmarks/results``."""

import csv
import io

from benchmarks.results import RESULTS
from benchmarks.sample_efficiency.worlds import WORLDS

_MEDIANS = {
    "`factored_ucb`, the default of `rldf search`": ("factored_ucb",),
    "`dyna_q`": ("dyna_q",),
    "`linear_q_learning`": ("linear_q_learning",),
    "`q_learning`, the paper's": ("q_learning",),
    "coordinate search: one axis after another, jumping along it": ("coordinate_search",),
    "Optuna's TPE, its defaults / tuned (may jump to any state)": (
        "optuna_tpe",
        "optuna_tpe_tuned",
    ),
    "Stable-Baselines3 DQN / PPO / A2C (fewer targets)": ("sb3_dqn", "sb3_ppo", "sb3_a2c"),
    "hill climbing (may start again anywhere)": ("hill_climbing",),
    "random search, nothing twice (may jump)": ("random_search",),
}


def cell(report: str, row: str, column: str, section: str = "") -> str:
    """Return a cell of a table in a report, as the report shows it.

    Args:
        report: name of the benchmark.
        row: texts that start the row, separated by ";".
        column: its heading.
        section: text of the table's section's heading; "" for any section.

    Raises:
        ValueError: there is no such cell, or more than one.
    """
    headings: list[str] = []
    found = []
    is_there = not section
    for line in (RESULTS / f"{report}.md").read_text(encoding="utf-8").splitlines():
        cells = [text.strip() for text in line.strip("|").split("|")]
        if line.startswith("#"):
            is_there = section in ("", line.strip("# "))
        if not line.startswith("|"):
            headings = []
        elif not headings:
            headings = cells
        elif is_there and cells[: row.count(";") + 1] == row.split(";") and column in headings:
            found.append(cells[headings.index(column)])
    if len(found) != 1:
        raise ValueError(f"{report}.md has {len(found)} cells {column!r} in rows {row!r}; name one")
    return found[0]


def medians() -> str:
    """Return the medians of sample_efficiency as a table: a row a method, a column a world."""
    text = (RESULTS / "sample_efficiency.csv").read_text(encoding="utf-8")
    measured = {
        (row["world"], row["searcher"]): float(row["median"])
        for row in csv.DictReader(io.StringIO(text))
    }
    lines = [
        "| search | " + " | ".join(world.title for world in WORLDS.values()) + " |",
        "| --- |" + " ---: |" * len(WORLDS),
    ]
    for label, searchers in _MEDIANS.items():
        cells = (
            " / ".join(_median(measured[world, name], WORLDS[world].budget) for name in searchers)
            for world in WORLDS
        )
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _median(value: float, budget: int) -> str:
    return f"> {budget:,}" if value >= budget else f"{value:,.0f}"
