"""The card that travels with the weights: what they are, what they reach, under which licence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import machine
from tools.embedded_world.evaluate import SEEDS, Figures, markdown_tables


@dataclass(frozen=True)
class Bar:
    """A figure that was promised.

    Attributes:
        what: in words.
        table: key of the table that holds the figure.
        column: key within it.
        bar: the least (or, where ``at_most``, the greatest) value that keeps the promise.
    """

    what: str
    table: str
    column: str
    bar: float
    at_most: bool = False

    def keeps(self, value: float) -> bool:
        """Say whether a measured value keeps the promise."""
        return value <= self.bar if self.at_most else value >= self.bar


GENERATION_BARS = (
    Bar("Drawn as told, base: noun", "base: judged", "noun", 0.97),
    Bar("… frequency", "base: judged", "frequency", 0.95),
    Bar("… density", "base: judged", "density", 0.90),
    Bar("… density where the prompt says one people", "base: judged, one people", "density", 0.80),
    Bar("… scene", "base: judged", "scene", 0.99),
    Bar("… all four", "base: judged", "all", 0.82),
    Bar("Extended: weather", "extended: judged", "weather", 0.95),
    Bar("Extended: time of day", "extended: judged", "time_of_day", 0.95),
    Bar("Actions: action", "actions: judged", "action", 0.85),
    Bar("Closed loop, base: all four read back as drawn", "base: closed loop", "all", 0.75),
)
SPEED_BARS = (
    Bar("Generator, batch 1, ms a picture", "speed", "generator, batch 1", 150, at_most=True),
    Bar("Generator, batch 8, ms a picture", "speed", "generator, batch 8", 60, at_most=True),
    Bar("Perception, batch 1, ms a picture", "speed", "perception, batch 1", 60, at_most=True),
    Bar("All weights, MB", "sizes", "all", 40, at_most=True),
    Bar("Text-to-image pipeline, MB", "sizes", "text_to_image", 25, at_most=True),
)
_AXIS_BAR, _ALL_BAR, _CLIP_BAR, _HELD_OUT_GAP = 0.97, 0.93, 0.90, 0.05

_HEADER = Path(__file__).with_suffix(".md")


def write_card(path: Path, measured: dict[str, Any]) -> None:
    """Write the card, and all figures beside it as ``figures.json`` in the tools' folder.

    Args:
        path: of the card.
        measured: tables "generation" and "perception" by name, and figures "speed", "sizes",
            "autoencoder".
    """
    where = machine()
    tables = {**measured["generation"], **measured["perception"]}
    tables |= {name: measured[name] for name in ("speed", "sizes")}
    parts = [
        _HEADER.read_text(encoding="utf-8").format(seeds=" and ".join(map(str, SEEDS))),
        "## Against the bars\n",
        _bars(tables),
        "\n## All figures\n\nShares of pictures that are right, by axis and on all axes.\n",
        markdown_tables({**measured["generation"], **measured["perception"]}),
        f"\nAutoencoder: {measured['autoencoder']['all']:.1f} dB over all pixels, "
        f"{measured['autoencoder']['figures']:.1f} dB inside figures' boxes.",
        f"\nMeasured {where['date']} on {where['processor']}, {where['cores']} cores, torch "
        f"{where['versions']['torch']}, diffusers {where['versions']['diffusers']}.",
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")
    facts = {"machine": where, **measured}
    figures = Path(__file__).parent / "figures.json"
    figures.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def _bars(tables: dict[str, Figures]) -> str:
    bars = [*GENERATION_BARS, *_perception_bars(tables), *_held_out_bars(tables), *SPEED_BARS]
    lines = ["| what | bar | measured | kept |", "|---|---:|---:|---|"]
    for bar in bars:
        value = tables[bar.table][bar.column]
        digits = 0 if bar.bar > 1 else 3
        sign = "≤" if bar.at_most else "≥"
        verdict = "yes" if bar.keeps(value) else "**no**"
        lines.append(f"| {bar.what} | {sign} {bar.bar:g} | {value:.{digits}f} | {verdict} |")
    return "\n".join(lines)


def _perception_bars(tables: dict[str, Figures]) -> list[Bar]:
    """The worst axis of each grammar, all axes together, and CLIP alone."""
    bars = []
    for grammar in ("base", "extended", "actions"):
        for kind, least in (("perception", _AXIS_BAR), ("CLIP alone", _CLIP_BAR)):
            table = f"{grammar}: {kind}"
            axes = {name: value for name, value in tables[table].items() if name != "all"}
            worst = min(axes, key=lambda name: axes[name])
            what = f"{kind} on held-out renders, {grammar}, worst axis ({worst})"
            bars.append(Bar(what, table, worst, least))
        what = f"perception on held-out renders, {grammar}, all axes"
        bars.append(Bar(what, f"{grammar}: perception", "all", _ALL_BAR))
    return bars


def _held_out_bars(tables: dict[str, Figures]) -> list[Bar]:
    """Held-out combinations may be at most a little worse than those seen in training."""
    return [
        Bar(
            f"Drawn as told, {grammar}, combinations held out, all axes",
            f"{grammar}: judged, held out",
            "all",
            round(tables[f"{grammar}: judged, seen in training"]["all"] - _HELD_OUT_GAP, 3),
        )
        for grammar in ("base", "extended", "actions")
    ]
