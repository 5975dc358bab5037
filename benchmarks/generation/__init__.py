"""Pictures per second: our generators against the plain diffusers pipeline with the same recipe.

On the CPU the embedded model draws the same prompts with the same seeds both ways: one by one, as a
loop over prompts does, and in batches of 16. Forms take turns, so that a change of the machine's
load meets all of them.

On a GPU the networks of Stable Diffusion 1.4 and of SD-Turbo get random weights of their true
sizes: what they draw means nothing, the time it takes is the real one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.generation import on_cpu, on_gpu
from benchmarks.results import Case, Report, Results, measure

BAR_CPU, BAR_GPU = 1.2, 3.0


def run(quick: bool) -> Results:
    """Measure the embedded model on the CPU, and the large ones where there is a GPU."""
    repeats = 1 if quick else 5
    cases: list[Case] = [
        {"device": "cpu", "form": form, "repeat": repeat}
        for repeat in range(repeats)
        for form in on_cpu.FORMS
    ]
    if on_gpu.is_available():
        cases += [{"device": "cuda", "form": form, "repeat": 0} for form in on_gpu.FORMS]
    settings = {"bar_cpu": BAR_CPU, "bar_gpu": BAR_GPU, "seeds": "the prompt's number"}

    def measure_case(case: Case) -> Mapping[str, Any]:
        where = on_cpu if case["device"] == "cpu" else on_gpu
        values: Mapping[str, Any] = where.measure(case["form"], quick)
        return values

    packages = ("torch", "diffusers", "transformers")
    return measure("generation", settings, cases, measure_case, quick=quick, packages=packages)


def report(results: Results) -> Report:
    """Tables of both devices, and whether the bars are reached."""
    cpu = [row for row in results.rows if row["device"] == "cpu"]
    gpu = [row for row in results.rows if row["device"] == "cuda"]
    return Report("\n\n".join(["# Generation", *_cpu(cpu), *_gpu(gpu)]))


def _cpu(rows: list[dict[str, Any]]) -> list[str]:
    rates = {form: _median(rows, form, "processor_ms") for form in on_cpu.FORMS}
    walls = {form: _median(rows, form, "wall_ms") for form in on_cpu.FORMS}
    lines = [
        "| embedded, 128x128, 6 steps | processor ms a picture | wall ms |",
        "| --- | ---: | ---: |",
    ]
    lines += [f"| {form} | {rates[form]:.0f} | {walls[form]:.0f} |" for form in on_cpu.FORMS]
    by_one, in_batch = (
        rates[f"plain pipeline, {how}"] / rates[on_cpu.OURS] for how in ("one by one", "batches")
    )
    difference, halved = (
        max(row["largest_difference"] for row in rows if row["form"] in forms)
        for forms in (on_cpu.SAME_PIXELS, (on_cpu.HALF,))
    )
    verdict = "reached" if in_batch >= BAR_CPU else "missed"
    return [
        "## CPU",
        "\n".join(lines),
        f"Our batches draw {by_one:.2f} times the pictures of a loop over prompts, and"
        f" {in_batch:.2f} times those of the plain pipeline in the same batches, by processor time"
        f" (medians of {len(rows) // len(on_cpu.FORMS)}; bar {BAR_CPU} in the same batches:"
        f" {verdict}). Pixels differ by at most {difference} of 255 levels; in bfloat16, which is"
        f" never chosen silently, by at most {halved}.",
    ]


def _gpu(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return ["## GPU", "Not measured: this machine has none."]
    lines = [
        "| form | pictures/s | batch | peak GiB | share of matrix rate | warm-up s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['form']} | {row['pictures_per_second']:.2f} | {row['batch']} |"
        f" {row['peak_gib']:.1f} | {row['share_of_matrix_rate']:.0%} | {row['warm_up_s']:.0f} |"
        for row in rows
    ]
    rate = {row["form"]: row["pictures_per_second"] for row in rows}
    gain = rate[on_gpu.OURS] / rate[on_gpu.PAPER]
    verdict = "reached" if gain >= BAR_GPU else "missed"
    where = f"{rows[0]['card']}, {rows[0]['matrix_tflops']:.0f} TFLOP/s measured in float16"
    gain_text = f"Ours at the best batch draws {gain:.1f} times the paper's recipe's pictures"
    return [f"## GPU: {where}", "\n".join(lines), f"{gain_text} (bar {BAR_GPU}: {verdict})."]


def _median(rows: list[dict[str, Any]], form: str, value: str) -> float:
    return float(np.median([row[value] for row in rows if row["form"] == form]))
