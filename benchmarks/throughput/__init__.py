"""How fast the environment is, what it costs beside drawing, and what keeping pictures saves.

Forms that are compared run in turn in the same process, round after round; ratios are taken within
each round. The world is the base grammar's, every state of it in the user's store.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from benchmarks.results import Case, Report, Results, measure
from benchmarks.throughput import drawing, reading, starting, stepping, storing, targets

SECTIONS: Mapping[str, ModuleType] = {
    "step": stepping,
    "vector": stepping,
    "start": starting,
    "store": storing,
    "overhead": drawing,
    "atlas": drawing,
    "targets": targets,
    "reading": reading,
}
"""By the name in a case: the module that measures it."""


def run(quick: bool) -> Results:
    """Measure section after section."""
    rounds = 1 if quick else 21
    cases = [case for section in dict.fromkeys(SECTIONS.values()) for case in section.cases(quick)]

    def measure_case(case: Case) -> dict[str, Any]:
        measured: dict[str, Any] = SECTIONS[case["section"]].measure_case(case, rounds)
        return measured

    return measure("throughput", {"rounds": rounds}, cases, measure_case, quick=quick)


def report(results: Results) -> Report:
    """A table for each section."""
    lines = [
        "# Throughput",
        "",
        f"Median of {results.settings['rounds']} rounds; a ratio is the median of the rounds' "
        "ratios, the least and the greatest in brackets.",
    ]
    for section in dict.fromkeys(SECTIONS.values()):
        lines += ["", *section.report(results.rows)]
    return Report("\n".join(lines))
