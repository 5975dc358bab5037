"""Speed of generating alone and beside a second process on the same cores.

Every form runs in processes of its own, which load the embedded generator, wait for each other,
and then generate batches for the same time. "PyTorch's own" are as many threads as processors, with
libgomp's long busy loops: OMP_NUM_THREADS is set, and `rldf_gym.threads` leaves a user's choice.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np

from benchmarks.results import Case, Report, Results, measure
from benchmarks.timing import ratio
from rldf_gym.generation import make_generator
from rldf_gym.grammar import load_grammar
from rldf_gym.threads import available_processors

OURS, DEFAULT = "rldf_gym", "PyTorch's own"
FORMS = ((DEFAULT, 1), (OURS, 1), (OURS, 2), (DEFAULT, 2))
"""By who sets PyTorch's threads, and number of processes."""

ALONE_BAR, TOGETHER_BAR = 0.95, 0.8


def run(quick: bool) -> Results:
    """Measure every form once a round."""
    rounds, batches, seconds = (1, [2], 1) if quick else (5, [1, 16], 6)
    cases = [
        {"round": number, "batch": batch, "set_by": set_by, "processes": processes}
        for number in range(rounds)
        for batch in batches
        for set_by, processes in FORMS
        if (set_by, processes) != (DEFAULT, 2) or (number == 0 and not quick)  # takes minutes
    ]

    def measure_case(case: Case) -> dict[str, float]:
        program = f"import benchmarks.busy_machine as b; b.generate({case['batch']}, {seconds})"
        own = {} if case["set_by"] == OURS else {"OMP_NUM_THREADS": str(available_processors())}
        return {"images_per_second": _images_per_second(program, case["processes"], own)}

    settings = {"generator": "embedded", "batches": batches, "rounds": rounds, "seconds": seconds}
    return measure("busy_machine", settings, cases, measure_case, quick=quick, packages=("torch",))


def generate(batch: int, seconds: float) -> None:
    """Load the generator, say so, wait for a line, then generate and print images per second."""
    grammar, generator = load_grammar("base"), make_generator("embedded")
    prompts = [grammar.decode(grammar.state(number)) for number in range(batch)]
    generator(prompts, [0] * batch)
    print("ready", flush=True)
    sys.stdin.readline()
    n_batches, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        n_batches += 1
        generator(prompts, [n_batches] * batch)
    print(n_batches * batch / (time.perf_counter() - start), flush=True)


def _images_per_second(program: str, n_processes: int, variables: Mapping[str, str]) -> float:
    """Sum over processes that start to generate at the same time."""
    user_settings = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: text for name, text in os.environ.items() if name not in user_settings}
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", program],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment | variables,
                )
            )
            for _ in range(n_processes)
        ]
        for process in processes:
            _read_line(process)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return sum(float(_read_line(process)) for process in processes)


def _read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise OSError("a generating process ended early; its error stands above")
    return line


def report(results: Results) -> Report:
    """Tabulate all forms, and compare two ratios with their bars."""
    settings = results.settings
    lines = [
        "# A busy machine",
        "",
        "Images per second of the embedded generator, one process alone and two processes"
        f" together: median of {settings['rounds']} rounds of {settings['seconds']} s;"
        " PyTorch's own together, once.",
        "",
        "| batch | threads set by | alone | two processes together |",
        "|---:|---|---:|---:|",
    ]
    verdicts = []
    for batch in settings["batches"]:
        rates = {
            form: [
                float(row["images_per_second"])
                for row in results.rows
                if (row["batch"], row["set_by"], row["processes"]) == (batch, *form)
            ]
            for form in FORMS
        }
        for set_by in (OURS, DEFAULT):
            alone, together = (_median(rates[set_by, n]) for n in (1, 2))
            lines.append(f"| {batch} | {set_by} | {alone} | {together} |")
        verdicts.append(
            f"- Batch {batch}: alone, rldf_gym is {ratio(rates[OURS, 1], rates[DEFAULT, 1])} times"
            " as fast as with PyTorch's own threads; two processes together are"
            f" {ratio(rates[OURS, 2], rates[OURS, 1])} times as fast as one alone."
        )
    lines += [
        "",
        f"The bars are {ALONE_BAR} and {TOGETHER_BAR}. Each ratio is the median of the rounds',"
        " with the least and the greatest in brackets.",
        "",
        *verdicts,
    ]
    return Report("\n".join(lines))


def _median(rates: list[float]) -> str:
    return f"{np.median(rates):.1f}" if rates else "not measured"
