"""Speed of generating alone and beside a second process on the same cores.

Every form runs in processes of its own, which load the embedded generator, wait for each other,
and then generate batches for the same time. "libgomp's default" imports torch before rldf_gym: it
keeps the long busy loops that `rldf_gym.threads` shortens.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack

import numpy as np

from benchmarks.results import Case, Report, Results, measure
from benchmarks.throughput.timing import ratio
from rldf_gym.generation import make_generator
from rldf_gym.grammar import load_grammar

OURS, DEFAULT = "rldf_gym", "libgomp's default"
FORMS: Mapping[tuple[str, int], str] = {
    (DEFAULT, 1): "import torch, benchmarks.busy_machine as b; b.generate({batch}, {seconds})",
    (OURS, 1): "import benchmarks.busy_machine as b; b.generate({batch}, {seconds})",
    (OURS, 2): "import benchmarks.busy_machine as b; b.generate({batch}, {seconds})",
    (DEFAULT, 2): "import torch, benchmarks.busy_machine as b; b.generate({batch}, {seconds})",
}
"""By waiting and number of processes: the program of each process."""

ALONE_BAR, TOGETHER_BAR = 0.95, 0.8


def run(quick: bool) -> Results:
    """Measure every form once a round."""
    rounds, batch, seconds = (1, 2, 1) if quick else (7, 16, 10)
    cases = [
        {"round": number, "waiting": waiting, "processes": processes}
        for number in range(rounds)
        for waiting, processes in FORMS
        if not (quick and (waiting, processes) == (DEFAULT, 2))  # takes minutes
    ]

    def measure_case(case: Case) -> dict[str, float]:
        program = FORMS[case["waiting"], case["processes"]].format(batch=batch, seconds=seconds)
        return {"images_per_second": _images_per_second(program, case["processes"])}

    settings = {"generator": "embedded", "batch": batch, "rounds": rounds, "seconds": seconds}
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


def _images_per_second(program: str, n_processes: int) -> float:
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
                    env=environment,
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
    rates = {
        form: [
            float(row["images_per_second"])
            for row in results.rows
            if (row["waiting"], row["processes"]) == form
        ]
        for form in FORMS
    }
    lines = [
        "# A busy machine",
        "",
        "Images per second of the embedded generator, in batches of {batch}, two processes"
        " together: median of {rounds} rounds of {seconds} s.".format_map(results.settings),
        "",
        "| threads wait as set by | alone | two processes together |",
        "|---|---:|---:|",
    ]
    for waiting in (OURS, DEFAULT):
        alone, together = (_median(rates[waiting, n]) for n in (1, 2))
        lines.append(f"| {waiting} | {alone} | {together} |")
    lines += [
        "",
        f"Alone, rldf_gym is {ratio(rates[OURS, 1], rates[DEFAULT, 1])} times as fast as with"
        f" libgomp's default; the bar is {ALONE_BAR}. Two processes together are"
        f" {ratio(rates[OURS, 2], rates[OURS, 1])} times as fast as one alone; the bar is"
        f" {TOGETHER_BAR}. Each is the median of the rounds' ratios, the least and the greatest in"
        " brackets.",
    ]
    return Report("\n".join(lines))


def _median(rates: list[float]) -> str:
    return f"{np.median(rates):.1f}" if rates else "not measured"
