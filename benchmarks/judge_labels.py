"""How often the judge agrees with labels given by eye, on generated pictures.

`benchmarks/judge/labelled` holds pictures that the embedded text-to-image model generated, with
labels given by eye, without the prompts in sight; an axis that could not be read is empty. The
judge learned from renders, and generated pictures are softer.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.judge import AXES, load_judge
from benchmarks.results import Case, Report, Results, measure

FOLDER = Path(__file__).parent / "judge" / "labelled"
_FACTS = ("picture", "prompt", "seed")


def run(quick: bool) -> Results:
    """Let the judge label every picture; there are few enough for both forms."""
    with (FOLDER / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labelled: list[Case] = [
        {"picture": row["picture"], "axis": axis, "by eye": word}
        for row in rows
        for axis, word in row.items()
        if axis not in _FACTS and word
    ]
    judge = load_judge()
    names = [row["picture"] for row in rows]
    pictures = np.stack([np.asarray(Image.open(FOLDER / name).convert("RGB")) for name in names])
    found = judge.probabilities(pictures)

    def judged(case: Case) -> dict[str, Any]:
        probabilities = found[case["axis"]][names.index(case["picture"])]
        best = int(probabilities.argmax())
        return {
            "judge": judge.answers[case["axis"]][best],
            "probability": float(probabilities[best]),
        }

    settings = {"pictures": len(rows)}
    return measure("judge_labels", settings, labelled, judged, quick=quick)


def report(results: Results) -> Report:
    """Tabulate agreement by axis, and list what the two see differently."""
    lines = [
        "# The judge beside labels given by eye",
        "",
        f"{results.settings['pictures']} pictures that the embedded model generated, labelled by "
        "eye without the prompts in sight.",
        "",
        "| axis | labels | the judge agrees | its mean probability |",
        "|---|---:|---:|---:|",
    ]
    rows = {axis: [row for row in results.rows if row["axis"] == axis] for axis in AXES}
    lines += [_line(axis, some) for axis, some in rows.items() if some]
    lines += [_line("all labels", results.rows), "", "Where they differ:", ""]
    lines += [
        f"- {row['picture']}, {row['axis']}: by eye {row['by eye']}, judge {row['judge']} "
        f"({row['probability']:.2f})"
        for row in results.rows
        if row["judge"] != row["by eye"]
    ]
    return Report("\n".join([*lines, ""]))


def _line(name: str, rows: Sequence[dict[str, Any]]) -> str:
    agreed = np.mean([row["judge"] == row["by eye"] for row in rows])
    sure = np.mean([row["probability"] for row in rows])
    return f"| {name} | {len(rows)} | {agreed:.3f} | {sure:.3f} |"
