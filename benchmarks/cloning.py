"""Planning, speed and interruptions of ``rldf clone``.

Rates are those of the embedded model, from the first finished shards to the last: loading is left
out. Engines take turns and are compared within each round, because a machine's speed drifts. Kills
hit a clone of the synthetic world, whose generator sleeps for some milliseconds a picture; what
survives a kill does not depend on the model.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.results import Case, Report, Results, measure
from benchmarks.synthetic_world import (
    TabularGenerator,
    paint,
    synthetic_grammar,
    tabular_perception,
)
from benchmarks.timing import ratio
from rldf_gym.atomic_file import write_atomically
from rldf_gym.grammar import load_grammar
from rldf_gym.perception import Perception

LOG = "RLDF_CLONING_LOG"
"""Environment variable: file to which the sleeping generator writes the seed of each picture."""

SLEEP = 0.01
MOST_DIFFERENCE_MB, MOST_SECONDS, SPEED_UP_BAR, BESIDE_LOCAL_BAR = 50, 60, 0.9, 0.95
GRAMMAR = synthetic_grammar()
_KINDS = ("worker", "driver", "all")


def run(quick: bool) -> Results:
    """Measure planning, rates and kills."""
    sizes = (1_000, 100_000) if quick else (1_000, 10_000_000)
    cases: list[dict[str, Any]] = [{"case": "memory", "pictures": size} for size in sizes]
    cases.append({"case": "plan", "pictures": 20_000 if quick else 1_500_000})
    engines = [("local", 1), ("local", 2)] if quick else [("local", 2), ("ray", 2), ("ray", 1)]
    cases += [
        {"case": "rate", "round": number, "engine": engine, "workers": workers}
        for number in range(1 if quick else 5)
        for engine, workers in engines[:: -1 if number % 2 else 1]
    ]
    cases.append({"case": "kills", "kills": 3 if quick else 50})
    settings = {
        "rate_pictures": 48 if quick else 384,
        "rate_shard": 16,
        "kill_pictures": 200 if quick else 2_000,
        "kill_shard": 16,
        "sleep": SLEEP,
    }

    def measure_case(case: Case) -> Mapping[str, Any]:
        if case["case"] in ("memory", "plan"):
            return _planned(case["case"], case["pictures"])
        with tempfile.TemporaryDirectory() as folder:
            if case["case"] == "rate":
                return _rate(Path(folder), case, settings)
            return _kills(Path(folder), case["kills"], settings)

    return measure(
        "cloning", settings, cases, measure_case, quick=quick, packages=("torch", "pyarrow")
    )


def _planned(case: str, n_pictures: int) -> dict[str, float]:
    program = f"import benchmarks.cloning as b; b.print_plan({case!r}, {n_pictures})"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    values: dict[str, float] = json.loads(done.stdout)
    return values


def print_plan(case: str, n_pictures: int) -> None:
    """Plan a clone in this process, and print seconds and the peak of the memory as JSON.

    Args:
        case: "plan" makes every picture; "memory" lists the shards and makes those of every
            hundredth.
        n_pictures: of ten classes in all.
    """
    from rldf_agents.cloning.plan import MOST_IN_SHARD, ClonedClass, Layout, Plan
    from rldf_agents.cloning.sampling import all_marginals

    grammar = load_grammar("extended")
    noun = grammar.axis_index("noun")
    varying = [axis for axis in range(grammar.n_axes) if axis != noun]
    plan = Plan(
        layout=Layout(10, {"train": n_pictures // 10}, MOST_IN_SHARD),
        grammar=grammar,
        classes=tuple(ClonedClass(str(n), str(n), (n,)) for n in range(10)),
        class_axes=(noun,),
        marginals=all_marginals(grammar, varying, {}),
        seed=0,
        fingerprint="f" * 64,
    )
    started, processor = time.perf_counter(), time.process_time()
    made = 0
    for number in list(range(plan.layout.n_shards)):
        if case == "plan" or number % 100 == 0:
            made += len(plan.pictures(plan.layout.shard(number)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - started
    values = {
        "made": made,
        "seconds": seconds,
        "processor_seconds": time.process_time() - processor,
    }
    print(json.dumps({**values, "peak_mb": peak}))


def _rate(folder: Path, case: Case, settings: Mapping[str, Any]) -> dict[str, float]:
    """Return pictures per second between the first finished shards and the last."""
    source, out = folder / "source", folder / "out"
    embedded = Path(__file__).parent / "targets" / "embedded"
    for number, picture in enumerate(sorted(embedded.glob("*.webp"))[:8]):
        (source / str(number)).mkdir(parents=True)
        write_atomically(source / str(number) / picture.name, picture.read_bytes())
    words = [*("--per-class", settings["rate_pictures"] // 8), "--engine", case["engine"]]
    words += ["--workers", case["workers"], "--shard-size", settings["rate_shard"]]
    words += ["--store", folder / "store.sqlite"]
    subprocess.run(_command(source, out, *words), check=True, stdout=subprocess.DEVNULL)
    records = sorted(path.stat().st_mtime for path in (out / "shards").rglob("*.json"))
    # The first shard of each worker ends when the models of all are loaded.
    counted = records[case["workers"] - 1 :]
    n_pictures = (len(counted) - 1) * settings["rate_shard"]
    sizes = [path.stat().st_size for path in (out / "train").rglob("*.png")]
    return {
        "pictures_per_second": n_pictures / (counted[-1] - counted[0]),
        "picture_bytes": float(np.mean(sizes)),
    }


def _kills(folder: Path, n_kills: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Kill a clone again and again, finish it, and count what is wrong."""
    from rldf_agents.cloning.manifest import read_manifest
    from rldf_agents.cloning.verification import verify

    source, out, log = folder / "source", folder / "out", folder / "log"
    for noun in range(10):
        (source / f"class{noun}").mkdir(parents=True)
        Image.fromarray(paint((0, noun, 0, 0, 0, 0))).save(source / f"class{noun}" / "0.png")
    words = _command(source, out, "--per-class", settings["kill_pictures"] // 10, "--workers", 2)
    words += [
        "--shard-size",
        str(settings["kill_shard"]),
        "--grammar",
        "benchmarks.cloning:GRAMMAR",
    ]
    words += ["--generator", "benchmarks.cloning:Sleeping"]
    words += ["--perception", "benchmarks.cloning:perception", "--store", ":memory:"]
    chance, kinds = random.Random(0), Counter[str]()
    n_planned = -(-settings["kill_pictures"] // settings["kill_shard"])
    for left in range(n_kills, 0, -1):
        done = _n_records(out)
        # So many shards until the next kill that the last one comes before the end.
        aim = done + min(chance.randint(0, 2), (n_planned - done) // left)
        driver = _start(words, log)
        while driver.poll() is None and (not _workers(driver.pid) or _n_records(out) < aim):
            time.sleep(0.01)
        time.sleep(chance.random() * 0.3)
        kind = chance.choice(_KINDS)
        if kind == "worker" and (workers := _workers(driver.pid)):
            os.kill(chance.choice(workers), signal.SIGKILL)
            kinds[kind] += 1
            # The driver replaces its workers; it is stopped when that has led to a shard.
            aim = _n_records(out) + 1
            while driver.poll() is None and _n_records(out) < aim:
                time.sleep(0.01)
            driver.send_signal(signal.SIGTERM)
        elif driver.poll() is None:
            (os.kill if kind == "driver" else os.killpg)(driver.pid, signal.SIGKILL)
            kinds[kind] += 1
        driver.wait()
    status = _start(words, log).wait()
    found = verify(out)
    ids = [row["id"] for row in read_manifest(out)]
    seeds = Counter(log.read_text().split())
    return {
        "status": status,
        "killed": dict(kinds),
        "missing": settings["kill_pictures"] - found.pictures,
        "duplicate": len(ids) - len(set(ids)),
        "faults": found.faults[:10],
        "generated_again": sum(seeds.values()) - len(seeds),
    }


def _command(source: Path, out: Path, *words: object) -> list[str]:
    first = [sys.executable, "-m", "rldf_agents", "clone", source, "--out", out, "--quiet"]
    return [str(word) for word in (*first, *words)]


def _start(words: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        words,
        start_new_session=True,
        env={**os.environ, LOG: str(log)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _n_records(out: Path) -> int:
    return sum(1 for _ in (out / "shards").rglob("*.json"))


def _workers(driver: int) -> list[int]:
    """Return the processes of the driver's pool."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(driver)], capture_output=True, text=True
    )
    lines = [line for line in listed.stdout.splitlines() if "spawn_main" in line]
    return [int(line.split()[0]) for line in lines]


@dataclass(frozen=True)
class Sleeping:
    """The synthetic world's generator, which sleeps and writes down what it generates."""

    name: str = "sleeping"
    fingerprint: str = "sleeping"

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Return the pictures of prompts: uint8 ``[n, 1, n_axes, 3]``."""
        time.sleep(SLEEP * len(prompts))
        if log := os.environ.get(LOG):
            with Path(log).open("a", encoding="utf-8") as file:
                file.write("".join(f"{seed}\n" for seed in seeds))
        return TabularGenerator(GRAMMAR)(prompts, seeds)


def perception() -> Perception:
    """Return the synthetic world's perception."""
    return tabular_perception(GRAMMAR)


def report(results: Results) -> Report:
    """Tabulate what was measured beside the bars."""
    rows = results.rows
    small, large = (row for row in rows if row["case"] == "memory")
    [plan] = [row for row in rows if row["case"] == "plan"]
    [kills] = [row for row in rows if row["case"] == "kills"]
    difference = large["peak_mb"] - small["peak_mb"]
    rates: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        if row["case"] == "rate":
            own = rates.setdefault((row["engine"], row["workers"]), [])
            own.append(row["pictures_per_second"])
    lines = [
        "# Cloning a data set",
        "",
        "| what | measured | bar |",
        "| --- | ---: | ---: |",
        f"| memory to plan {large['pictures']:,} pictures over {small['pictures']:,} |"
        f" {difference:.1f} MB | < {MOST_DIFFERENCE_MB} MB |",
        f"| time to plan {plan['pictures']:,} pictures | {plan['seconds']:.1f} s"
        f" ({plan['processor_seconds']:.1f} s of one processor) | < {MOST_SECONDS} s |",
    ]
    lines += [
        f"| {engine}, {workers} workers, pictures per second | {float(np.median(own)):.2f} | |"
        for (engine, workers), own in sorted(rates.items())
    ]
    if ("ray", 2) in rates:
        twice = [2 * rate for rate in rates["ray", 1]]
        lines += [
            f"| Ray: 2 workers over twice 1 worker | {ratio(rates['ray', 2], twice)} |"
            f" ≥ {SPEED_UP_BAR} |",
            f"| 2 workers: Ray over local | {ratio(rates['ray', 2], rates['local', 2])} |"
            f" ≥ {BESIDE_LOCAL_BAR} |",
        ]
    killed = ", ".join(f"{count} {kind}" for kind, count in sorted(kills["killed"].items()))
    most = sum(kills["killed"].values()) * 2 * results.settings["kill_shard"]
    lines += [
        f"| after {sum(kills['killed'].values())} kills ({killed}): missing pictures |"
        f" {kills['missing']} | 0 |",
        f"| duplicate pictures | {kills['duplicate']} | 0 |",
        f"| faults that verification finds | {len(kills['faults'])} | 0 |",
        f"| pictures generated again | {kills['generated_again']} | ≤ {most} |",
        "",
        "Rates: the embedded model at 128 pixels, one thread for each worker, median of the rounds,"
        " reading and writing included, loading left out; ratios are medians of those within each"
        " round, the least and the greatest in brackets. Kills: a clone of"
        f" {results.settings['kill_pictures']:,} pictures of the synthetic world in shards of"
        f" {results.settings['kill_shard']}, with 2 local workers.",
    ]
    return Report("\n".join(lines))
