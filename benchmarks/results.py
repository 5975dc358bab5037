"""Where benchmarks write what they measured, and on what."""

import datetime
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("rldf-gym", "gymnasium", "numpy", "torch", "diffusers", "ultralytics")


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, cores, Python and package versions, date."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write(name: str, settings: dict[str, Any], rows: list[dict[str, Any]], report: str) -> None:
    """Write NAME.json and NAME.md, whole or not at all.

    Args:
        name: of the benchmark.
        settings: seeds, sizes and whatever else decides the rows.
        rows: raw values, one dict a run.
        report: Markdown made from the rows.
    """
    RESULTS.mkdir(exist_ok=True)
    where = machine()
    facts = {"machine": where, "settings": settings, "rows": rows}
    versions = ", ".join(f"{package} {version}" for package, version in where["versions"].items())
    footer = (
        f"\n\nMeasured {where['date']} on {where['processor']}, {where['cores']} cores, "
        f"Python {where['python']}; {versions}.\n"
    )
    for suffix, text in (
        (".json", json.dumps(facts, indent=1) + "\n"),
        (".md", report.rstrip() + footer),
    ):
        partial = RESULTS / f"{name}{suffix}.partial"
        partial.write_text(text)
        partial.replace(RESULTS / f"{name}{suffix}")
