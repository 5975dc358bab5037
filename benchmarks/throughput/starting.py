"""How long it takes to start: imports, and the first step of a world that is in the store.

Every start is a new process; its time is the processor time of the whole process, the
interpreter's own start included, and the wall clock beside it.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.results import Case
from benchmarks.stored_world import stored_env
from rldf_gym.store import default_path

_TOLD = "import json, sys; print(json.dumps('torch' in sys.modules))"
GYMNASIUM = "import gymnasium"
PACKAGE = "import gymnasium, rldf_gym"
STEP = "make, reset, step"
VECTOR_STEP = "make_vec of 256, reset, step"
PROGRAMS = {
    GYMNASIUM: GYMNASIUM,
    PACKAGE: PACKAGE,
    STEP: (
        "import sys, gymnasium as gym, rldf_gym; env = gym.make('RLDF-v0', store=sys.argv[1]);"
        " env.reset(seed=0); env.step([0, 1])"
    ),
    VECTOR_STEP: (
        "import sys, gymnasium as gym, rldf_gym;"
        " envs = gym.make_vec('RLDF-v0', 256, store=sys.argv[1]);"
        " envs.reset(seed=0); envs.step([[0, 1]] * 256)"
    ),
}


def cases(quick: bool) -> list[Case]:
    """Every program, in turn, round after round."""
    rounds = 1 if quick else 11
    return [
        {"section": "start", "round": number, "program": name}
        for number in range(rounds)
        for name in PROGRAMS
    ]


def measure_case(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of one process, and whether it imported torch."""
    stored_env().close()
    command = [sys.executable, "-c", f"{PROGRAMS[case['program']]}; {_TOLD}", str(default_path())]
    before, wall = _processor_seconds_of_children(), time.perf_counter()
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return {
        "wall": time.perf_counter() - wall,
        "processor": _processor_seconds_of_children() - before,
        "torch": json.loads(ran.stdout.splitlines()[-1]),
    }


def report(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a table of the programs."""
    own = [row for row in rows if row["section"] == "start"]
    bare = _median(own, GYMNASIUM, "processor")
    bars = {PACKAGE: "≤ 0.05 s over `import gymnasium`", STEP: "no torch", VECTOR_STEP: "no torch"}
    lines = [
        "## Starts",
        "",
        "A new process each; median processor time, the interpreter's start included.",
        "",
        "| | s, processor | s, wall clock | s over `import gymnasium` | imports torch | bar |",
        "|---|---:|---:|---:|---|---|",
    ]
    for name in PROGRAMS:
        processor, wall = (_median(own, name, clock) for clock in ("processor", "wall"))
        torch = "yes" if any(row["torch"] for row in own if row["program"] == name) else "no"
        lines.append(
            f"| {name} | {processor:.3f} | {wall:.3f} | {processor - bare:.3f} | {torch} "
            f"| {bars.get(name, '')} |"
        )
    return lines


def _median(rows: Sequence[dict[str, Any]], program: str, clock: str) -> float:
    return float(np.median([row[clock] for row in rows if row["program"] == program]))


def _processor_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
