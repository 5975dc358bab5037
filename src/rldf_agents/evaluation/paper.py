"""Figures of the paper's Tables 1 and 2, to show beside a clone's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

PAPER = "RLDF (arXiv:2311.15648)"


@dataclass(frozen=True)
class PaperFigure:
    """One figure of the paper, named as there.

    Attributes:
        table: "Table 1" or "Table 2".
        row: the paper's name of what was measured; [19] is Bansal and Grover 2023.
        data: the paper's name of the data set that it was measured on.
        measure: "FID", "KID" or "Acc@1" (per cent).
        value: as printed.
    """

    table: str
    row: str
    data: str
    measure: str
    value: float


@cache
def paper_figures() -> tuple[PaperFigure, ...]:
    """Return all figures of both tables that are not "NR" (not reported)."""
    source = resources.files("rldf_agents.evaluation") / "paper.csv"
    rows = csv.DictReader(source.read_text("utf-8").splitlines())
    return tuple(
        PaperFigure(row["table"], row["row"], row["data"], row["measure"], float(row["value"]))
        for row in rows
    )
