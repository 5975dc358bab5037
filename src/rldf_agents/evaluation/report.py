"""An evaluation for people: Markdown, CSV and a page, each beside the paper's tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rldf_agents.applications.output import output_dirs
from rldf_agents.applications.report import render
from rldf_agents.applications.result import REPORT_FILE, as_json, versions
from rldf_agents.evaluation.classifier import Interval
from rldf_agents.evaluation.evaluation import Evaluation
from rldf_agents.evaluation.paper import PAPER, PaperFigure, paper_figures
from rldf_agents.evaluation.transfer import CLONE, REAL
from rldf_gym.atomic_file import write_atomically

JSON_FILE, MARKDOWN_FILE, CSV_FILE = "evaluation.json", "evaluation.md", "evaluation.csv"
FILES = (JSON_FILE, MARKDOWN_FILE, CSV_FILE, REPORT_FILE)
_NONE = "-"
_CSV_HEAD = ("source", "table", "row", "data", "measure", "value", "low", "high")


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        title: above it.
        head: of the columns ``[m]``.
        rows: ``[n][m]``.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """Return the table as Markdown, the first column to the left, the others to the right."""
        lines = [f"## {self.title}", "", _line(self.head)]
        lines.append(_line([":---", *["---:"] * (len(self.head) - 1)]))
        return "\n".join([*lines, *map(_line, self.rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def save_evaluation(evaluation: Evaluation, folder: Path, command: str) -> None:
    """Write evaluation.json, evaluation.md, evaluation.csv and report.html, each atomically.

    Args:
        evaluation: to write.
        folder: is made where it is missing.
        command: what the user can type to repeat the evaluation.

    Raises:
        OSError: a file cannot be written.
    """
    with output_dirs([folder]):
        for name, content in (
            (MARKDOWN_FILE, markdown(evaluation, command).encode()),
            (CSV_FILE, table_csv(evaluation).encode()),
            (REPORT_FILE, page(evaluation, command).encode()),
            (JSON_FILE, as_json(evaluation.to_json())),
        ):
            write_atomically(folder / name, content)


def verdict(evaluation: Evaluation) -> str:
    """Return the sentence that says whether FID and KID can be compared with the paper's."""
    if evaluation.is_comparable:
        return f"Features: {evaluation.features}. FID and KID are comparable with the paper's."
    return (
        f"Features: {evaluation.features}. FID and KID are not comparable with the paper's, which"
        " are measured in Inception features: compare the order of the columns only."
    )


def distance_table(evaluation: Evaluation) -> Table:
    """Return FID, KID, precision and recall to the real data set and each shift."""
    held_out = " (held out)" if any(evaluation.real.splits) else ""
    return Table(
        "The clone: distance to each data set",
        ("data set", "pictures", "FID", "KID", "precision", "recall"),
        tuple(
            (
                f"{REAL}{held_out}" if each.data == REAL else each.data,
                f"{each.pictures:,}",
                _number(each.fid),
                _NONE if each.kid is None else f"{each.kid:.4f} ± {each.kid_deviation:.4f}",
                _number(each.precision),
                _number(each.recall),
            )
            for each in evaluation.distances
        ),
    )


def accuracy_table(evaluation: Evaluation) -> Table | None:
    """Return the accuracy of classifiers by what they are trained and tested on."""
    transfer = evaluation.transfer
    if transfer is None:
        return None
    found = {(test.trained_on, test.tested_on): test for test in transfer.tests}
    names = list(dict.fromkeys(test.tested_on for test in transfer.tests))
    seeds = f"{transfer.settings.seeds} seeds, {transfer.settings.epochs} epochs"
    return Table(
        f"ResNet-18: accuracy in per cent, with the 95 % interval ({seeds})",
        ("tested on", "pictures", "trained on the clone", "trained on real pictures"),
        tuple(
            (
                f"{name} (held out)" if name in (CLONE, REAL) else name,
                f"{found[CLONE, name].test_pictures:,}",
                _per_cent(found[CLONE, name].accuracy),
                _per_cent(found[REAL, name].accuracy),
            )
            for name in names
        ),
    )


def paper_tables() -> tuple[Table, Table]:
    """Return the paper's Tables 1 and 2."""
    figures = paper_figures()
    first = [figure for figure in figures if figure.table == "Table 1"]
    columns = list(dict.fromkeys(figure.data for figure in first))
    rows = list(dict.fromkeys((figure.row, figure.measure) for figure in first))
    printed = {(figure.row, figure.measure, figure.data): figure.value for figure in first}
    return (
        Table(
            f"{PAPER}, Table 1",
            ("data", *columns),
            tuple(
                (f"{row}, {measure}", *(_printed(printed.get((row, measure, c))) for c in columns))
                for row, measure in rows
            ),
        ),
        Table(
            f"{PAPER}, Table 2: ResNet-18 trained on the clone",
            ("data set", "Acc@1"),
            tuple((f.data, f"{f.value:g}") for f in figures if f.table == "Table 2"),
        ),
    )


def class_table(evaluation: Evaluation) -> Table:
    """Return consistency and diversity of every class."""
    return Table(
        "Classes",
        ("class", "pictures", "consistency", "of the real", "diversity", "of the real"),
        tuple(
            (
                row.name,
                f"{row.pictures:,}",
                _share(row.consistency),
                _share(row.real_consistency),
                _number(row.diversity),
                _number(row.real_diversity),
            )
            for row in evaluation.classes
        ),
    )


def facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the figures that stand for the whole, with their names."""
    own = evaluation.distances[0]
    found = [
        ("FID to real" if own.fid is not None else "KID to real", _number(own.fid, own.kid)),
        ("read as their class", _share(evaluation.consistency)),
        ("copies of real pictures", f"{len(evaluation.nearest.copies)}"),
    ]
    transfer = evaluation.transfer
    if transfer is not None and transfer.ratio is not None:
        found.insert(1, ("of the accuracy of real training", _share(transfer.ratio.value)))
    return found


def copies_text(evaluation: Evaluation) -> str:
    """Return how near the clone is to its nearest real pictures, as a sentence."""
    nearest = evaluation.nearest
    return (
        f"The median distance from a clone picture to the nearest real one is"
        f" {np.median(nearest.distances):.3g}; between a real picture and the nearest other it is"
        f" {nearest.typical:.3g}. Clone pictures at less than a tenth of that count as copies:"
        f" {len(nearest.copies)}."
    )


def markdown(evaluation: Evaluation, command: str) -> str:
    """Return the whole evaluation as Markdown."""
    parts = ["# Evaluation of a clone", verdict(evaluation)]
    first, second = paper_tables()
    parts += [distance_table(evaluation).markdown(), first.markdown()]
    accuracy = accuracy_table(evaluation)
    if accuracy is not None:
        parts += [accuracy.markdown()]
        if evaluation.transfer is not None and evaluation.transfer.ratio is not None:
            parts.append(ratio_text(evaluation.transfer.ratio))
        parts.append(second.markdown())
    parts += [class_table(evaluation).markdown(), copies_text(evaluation)]
    parts += [f"- {copy['clone']}: {copy['real']}" for copy in evaluation.copies[:100]]
    parts += [f"Note. {note}" for note in evaluation.notes]
    parts.append(f"Made by:\n\n    {command}")
    return "\n\n".join(parts) + "\n"


def ratio_text(ratio: Interval) -> str:
    """Return the accuracy of the clone's classifiers relative to the real ones', in words."""
    return (
        f"On real pictures, training on the clone reaches {100 * ratio.value:.1f} % of the accuracy"
        f" of training on real ones (95 % interval {100 * ratio.low:.1f} to"
        f" {100 * ratio.high:.1f})."
    )


def table_csv(evaluation: Evaluation) -> str:
    """Return the evaluation's figures and the paper's as CSV, a figure a row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_HEAD)
    for each in evaluation.distances:
        for measure in ("fid", "kid", "precision", "recall"):
            value = getattr(each, measure)
            if value is not None:
                names = ("this clone", "Table 1", evaluation.features, each.data, measure)
                writer.writerow((*names, value, "", ""))
    for test in evaluation.transfer.tests if evaluation.transfer else ():
        interval = (test.accuracy.value, test.accuracy.low, test.accuracy.high)
        row = ("Table 2", f"trained on {test.trained_on}", test.tested_on, "accuracy")
        writer.writerow(("this clone", *row, *interval))
    for figure in paper_figures():
        writer.writerow(("paper", *_paper_row(figure), "", ""))
    return out.getvalue()


def _paper_row(figure: PaperFigure) -> tuple[object, ...]:
    return figure.table, figure.row, figure.data, figure.measure, figure.value


def page(evaluation: Evaluation, command: str) -> str:
    """Return the evaluation as a self-contained HTML page."""
    transfer = evaluation.transfer
    first, second = paper_tables()
    samples = []
    for label, name in enumerate(evaluation.clone.classes):
        rows = [
            folder.load(int(np.flatnonzero(folder.labels == label)[0]))
            for folder in (evaluation.clone, evaluation.real)
        ]
        samples.append((name, *rows))
    fids = [each.fid for each in evaluation.distances if each.fid is not None]
    return render(
        "evaluation.html.jinja",
        evaluation=evaluation,
        facts=facts(evaluation),
        verdict=verdict(evaluation),
        distances=distance_table(evaluation),
        largest_fid=max(fids, default=0.0),
        accuracy=accuracy_table(evaluation),
        ratio="" if transfer is None or transfer.ratio is None else ratio_text(transfer.ratio),
        paper_distances=first,
        paper_accuracy=second,
        classes=class_table(evaluation),
        copies=copies_text(evaluation),
        pairs=_pairs(evaluation),
        samples=samples[:_MOST_SAMPLES],
        versions=versions(),
        command=command,
    )


_MOST_SAMPLES, _MOST_PAIRS = 20, 12


def _pairs(evaluation: Evaluation) -> list[tuple[object, ...]]:
    """Return the clone pictures nearest to a real one: both pictures, their names, distance."""
    nearest = evaluation.nearest
    order = np.argsort(nearest.distances, kind="stable")[:_MOST_PAIRS].tolist()
    copies = set(nearest.copies)
    return [
        (
            evaluation.clone.load(row),
            evaluation.real.load(int(nearest.rows[row])),
            evaluation.clone.name(row),
            evaluation.real.name(int(nearest.rows[row])),
            float(nearest.distances[row]),
            row in copies,
        )
        for row in order
    ]


def _number(*values: float | None) -> str:
    known = next((value for value in values if value is not None), None)
    return _NONE if known is None else f"{known:.3g}" if abs(known) < 100 else f"{known:.1f}"


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{value:.0%}".replace("%", " %")


def _per_cent(interval: Interval) -> str:
    low, high = 100 * interval.low, 100 * interval.high
    return f"{100 * interval.value:.1f} ({low:.1f} to {high:.1f})"


def _printed(value: float | None) -> str:
    return "NR" if value is None else f"{value:g}"
