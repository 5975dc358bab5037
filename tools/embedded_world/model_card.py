"""Writes the card that ships with the weights: what they are, their figures, their licence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import machine_facts
from tools.embedded_world.evaluate import SEEDS, Figures, markdown_tables


@dataclass(frozen=True)
class Bar:
    """A figure to reach.

    Attributes:
        what: in words.
        table: key of the table that holds the figure.
        column: key within it.
        bar: the least (or, where ``at_most``, the greatest) value that reaches it.
    """

    what: str
    table: str
    column: str
    bar: float
    at_most: bool = False

    def keeps(self, value: float) -> bool:
        """Return whether a measured value reaches the bar."""
        return value <= self.bar if self.at_most else value >= self.bar


BARS = (
    Bar("Autoencoder, dB over all pixels", "autoencoder", "all", 29.5),
    Bar("… inside figures' boxes", "autoencoder", "figures", 26.5),
    Bar("Base, judged, all four axes", "base: judged", "all", 0.98),
    Bar("… closed loop, all four", "base: closed loop", "all", 0.95),
    Bar("Extended, judged, all six", "extended: judged", "all", 0.85),
    Bar("… weather, worst of five seeds", "summary", "weather, worst seed", 0.95),
    Bar("Actions, judged, all", "actions: judged", "all", 0.93),
    Bar("Objects, judged, all, in either order", "objects: judged", "all", 0.85),
    Bar(
        "Distance of generated to rendered pictures, new over previous weights",
        "summary",
        "distance, new over previous",
        0.5,
        at_most=True,
    ),
    Bar("Shifted renders, all four axes, mean over the shifts", "summary", "shifted", 0.85),
    Bar("Clean renders, worst axis", "summary", "clean, worst axis", 0.99),
    Bar(
        "Photographs against renders, area under ROC",
        "photographs against renders",
        "area under ROC",
        0.99,
    ),
    Bar(
        "… flagged at 1 % false alarms",
        "photographs against renders",
        "flagged at 1 % false alarms",
        0.95,
    ),
    Bar("Generation, batch 1, ms a picture", "speed", "generator, batch 1", 80, at_most=True),
    Bar("Generation, batch 16, ms a picture", "speed", "generator, batch 16", 28, at_most=True),
    Bar("All weights, MB", "sizes", "all", 48, at_most=True),
    Bar("Text-to-image pipeline, MB", "sizes", "text_to_image", 28, at_most=True),
)


_HEADER = Path(__file__).with_suffix(".md")


def write_card(folder: Path, measured: dict[str, Any]) -> None:
    """Write the card of the models in ``folder``, and all figures beside it as JSON.

    Args:
        folder: receives README.md and figures.json.
        measured: tables "generation", "perception", "robustness", "calibration" and "outside" by
            name, figures "speed", "sizes", "weather", "distance" and "autoencoder", and the
            "extent" of what was measured.
    """
    where = machine_facts(("torch", "diffusers"))
    shares = {**measured["generation"], **measured["perception"], **measured["robustness"]}
    tables = {**shares, **measured["outside"], "summary": summary(measured)}
    tables |= {name: measured[name] for name in ("speed", "sizes", "autoencoder")}
    parts = [
        _HEADER.read_text(encoding="utf-8").format(
            seeds=" and ".join(map(str, SEEDS)), **measured["extent"]
        ),
        "## Against the bars\n",
        _against_bars(tables),
        "\n## All figures\n\nShares of pictures that are right, by axis and on all axes.\n",
        markdown_tables(shares),
        "\nExpected calibration errors, on renders of which half were changed at random.\n",
        markdown_tables(measured["calibration"]),
        "\nPictures that are flagged as outside the world.\n",
        markdown_tables(measured["outside"]),
        f"\nMeasured {where['date']} on {where['processor']}, {where['cores']} cores, torch "
        f"{where['versions']['torch']}, diffusers {where['versions']['diffusers']}.",
    ]
    (folder / "README.md").write_text("\n".join(parts) + "\n", encoding="utf-8")
    facts = {"machine": where, **measured}
    (folder / "figures.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def summary(measured: dict[str, Any]) -> Figures:
    """Return the figures that follow from several tables."""
    shifted = [
        table["all"] for name, table in measured["robustness"].items() if ": perception" in name
    ]
    clean = [
        value
        for name in ("base: perception", "extended: perception", "actions: perception")
        for axis, value in measured["perception"][name].items()
        if axis != "all"
    ]
    distance = measured["distance"]
    return {
        "weather, worst seed": min(measured["weather"].values()),
        "distance, new over previous": distance["new"] / distance["previous"],
        "shifted": sum(shifted) / len(shifted),
        "clean, worst axis": min(clean),
    }


def _against_bars(tables: dict[str, Figures]) -> str:
    lines = ["| what | bar | measured | reached |", "|---|---:|---:|---|"]
    for bar in BARS:
        value = tables[bar.table][bar.column]
        digits = 1 if bar.bar > 1 else 3
        sign = "≤" if bar.at_most else "≥"
        verdict = "yes" if bar.keeps(value) else "**no**"
        lines.append(f"| {bar.what} | {sign} {bar.bar:g} | {value:.{digits}f} | {verdict} |")
    return "\n".join(lines)
