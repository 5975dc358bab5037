"""Rows measured once, kept through interruptions, and the files made from them.

A benchmark is a sequence of cases and a function that measures one of them. Every row goes to
``NAME.partial.jsonl`` the moment it is measured; the same command resumes from there, as
long as settings and code are the same. When all are there, ``NAME.json`` takes its place, and the
report (``NAME.md``, tables, figures) is made from that alone.

Quick results lie apart, in ``results/quick``, which git ignores: they never replace full ones.
"""

import datetime
import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

import rldf_agents
import rldf_gym

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("rldf-gym", "gymnasium", "numpy")
_SHARED = ("dynamic_programming.py", "stored_world.py", "synthetic_world.py", "timing.py")
"""Modules of more than one benchmark that decide what is measured."""


class UnavailableError(Exception):
    """A benchmark needs something that is not installed."""


Case = Mapping[str, Any]
"""What identifies a row: JSON values by name, such as target, learner and seed."""


@dataclass(frozen=True)
class Results:
    """What ``NAME.json`` holds."""

    name: str
    quick: bool
    machine: dict[str, Any]
    """What the figures depend on: see `machine_facts`."""
    settings: dict[str, Any]
    """Seeds, sizes and whatever else decides the rows."""
    rows: list[dict[str, Any]]
    """Raw values, one dict a case, the case's own entries first, in the order of the cases."""


@dataclass(frozen=True)
class Report:
    """What is made of results for people to read."""

    markdown: str
    """Links figures by their file name: ``NAME.png``, or ``NAME_KEY.png``."""
    tables: Mapping[str, str] = field(default_factory=dict)
    """CSV texts by key; the key "" gives ``NAME.csv``, any other ``NAME_KEY.csv``."""
    figures: Mapping[str, "Figure"] = field(default_factory=dict)
    """By key, likewise, as PNG."""


def measure(
    name: str,
    settings: Mapping[str, Any],
    cases: Sequence[Case],
    measure_case: Callable[[Case], Mapping[str, Any]],
    *,
    quick: bool,
    packages: Sequence[str] = (),
    workers: int = 1,
) -> Results:
    """Measure what is not measured yet, and write ``NAME.json`` when nothing is missing.

    Args:
        name: of the benchmark, that of its module.
        settings: JSON values; rows kept from a run with other settings or code are dropped.
        cases: all different; measured, or handed to the workers, in this order.
        measure_case: gives the values of one row, JSON values without the case's own entries.
        quick: whether this is the small form, kept apart from the full one.
        packages: distributions whose versions matter here, beside those that always do.
        workers: processes that measure side by side; with more than one, ``measure_case`` has to
            be a function at the top of a module.

    Raises:
        ValueError: two cases are the same.
    """
    keys = [_key(case) for case in cases]
    if len(set(keys)) != len(keys):
        raise ValueError(f"benchmark {name}: two cases are the same, so are their rows")
    folder = _folder(quick)
    folder.mkdir(parents=True, exist_ok=True)
    machine = machine_facts(packages)
    partial = folder / f"{name}.partial.jsonl"
    header = {"settings": settings, "code": code_fingerprint(name)}
    rows = _resume(partial, header)
    missing = [case for case, key in zip(cases, keys, strict=True) if key not in rows]
    progress = tqdm(desc=name, total=len(cases), initial=len(rows), unit="row", mininterval=1.0)
    with partial.open("a", encoding="utf-8") as file, progress:
        for case, values in _measured(missing, measure_case, workers):
            key = _key(case)
            rows[key] = {**case, **values}
            file.write(json.dumps({"key": key, "row": rows[key]}) + "\n")
            file.flush()
            progress.update()
    results = Results(name, quick, machine, dict(settings), [rows[key] for key in keys])
    _write_whole(folder / f"{name}.json", _to_json(results).encode())
    partial.unlink()
    return read_results(name, quick=quick)


def read_results(name: str, *, quick: bool) -> Results:
    """Read ``NAME.json``; FileNotFoundError if it was never measured in full."""
    facts = json.loads((_folder(quick) / f"{name}.json").read_text(encoding="utf-8"))
    return Results(name, quick, facts["machine"], facts["settings"], facts["rows"])


def publish(results: Results, report: Report) -> Path:
    """Write the report's files, each whole or not at all, and return the path of ``NAME.md``.

    Files of an earlier report that this one does not write stay.
    """
    folder, name = _folder(results.quick), results.name
    for key, text in report.tables.items():
        _write_whole(folder / f"{_file_stem(name, key)}.csv", text.encode())
    for key, figure in report.figures.items():
        partial = folder / f"{_file_stem(name, key)}.png.partial"
        figure.savefig(partial, format="png", dpi=160, metadata={"Software": None})
        partial.replace(partial.with_suffix(""))
    path = folder / f"{name}.md"
    _write_whole(path, f"{report.markdown.rstrip()}\n\n{_footer(results)}\n".encode())
    return path


def machine_facts(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Return what figures depend on: processor, cores, system, versions, date, commit.

    Args:
        packages: distributions to name beside those that matter to every benchmark.
    """
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {p: importlib.metadata.version(p) for p in (*_PACKAGES, *packages)},
        "commit": _commit(),
    }


def code_fingerprint(name: str) -> str:
    """Return 16 hexadecimal digits that change with whatever code decides the benchmark's rows.

    That is the packages, the grammars, the modules that benchmarks share, and its own.
    """
    digest = hashlib.sha256()
    roots = [Path(package.__path__[0]) for package in (rldf_gym, rldf_agents)]
    files = [path for root in roots for path in sorted(root.rglob("*.py"))]
    files += sorted(Path(__file__).parents[1].glob("grammars/**/*.lark"))
    here = Path(__file__).parent
    files += [here / shared for shared in _SHARED]
    for path in (*files, here / f"{name}.py", *sorted((here / name).glob("*.py"))):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _measured(
    cases: Sequence[Case], measure_case: Callable[[Case], Mapping[str, Any]], workers: int
) -> Iterator[tuple[Case, Mapping[str, Any]]]:
    """Every case and its values, as they come."""
    if workers == 1 or not cases:
        yield from ((case, measure_case(case)) for case in cases)
        return
    # Spawned, not forked: torch's threads and open databases do not survive a fork.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        futures = {pool.submit(measure_case, case): case for case in cases}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _folder(quick: bool) -> Path:
    return RESULTS / "quick" if quick else RESULTS


def _file_stem(name: str, key: str) -> str:
    return f"{name}_{key}" if key else name


def _key(case: Case) -> str:
    return json.dumps(case, sort_keys=True)


def _resume(partial: Path, header: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows kept by an interrupted run, by key; leaves a file that holds the header and these.

    A line cut short by a crash is dropped: its row is measured again.
    """
    first_line = json.dumps(header, sort_keys=True)
    lines = partial.read_text(encoding="utf-8").splitlines() if partial.exists() else []
    kept: dict[str, dict[str, Any]] = {}
    if lines and lines[0] == first_line:
        for line in lines[1:]:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                break
            kept[entry["key"]] = entry["row"]
    elif len(lines) > 1:
        tqdm.write(f"{partial.name} was measured with other settings or code: starting anew")
    entries = [json.dumps({"key": key, "row": row}) for key, row in kept.items()]
    _write_whole(partial, "".join(f"{line}\n" for line in (first_line, *entries)).encode())
    return kept


def _to_json(results: Results) -> str:
    """One row a line: two runs can be compared line by line."""
    rows = ",\n".join(f"  {json.dumps(row)}" for row in results.rows)
    return (
        f'{{\n "machine": {json.dumps(results.machine)},\n'
        f' "settings": {json.dumps(results.settings)},\n "rows": [\n{rows}\n ]\n}}\n'
    )


def _write_whole(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def _footer(results: Results) -> str:
    where = results.machine
    versions = ", ".join(f"{package} {version}" for package, version in where["versions"].items())
    system = f" ({where['system']})" if where.get("system") else ""
    commit = f", commit {where['commit']}" if where.get("commit") else ""
    quick = " Quick form: too few runs to conclude from." if results.quick else ""
    return (
        f"Measured {where['date']} on {where['processor']}, {where['cores']} cores{system}, "
        f"Python {where['python']}; {versions}{commit}. Raw rows: `{results.name}.json`.{quick}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str | None:
    """The commit of the working tree, "-dirty" where other files than results differ from it.

    None outside git.
    """
    git = shutil.which("git")
    if git is None:
        return None

    def git_output(*words: str) -> str:
        command = [git, "-C", str(RESULTS.parents[1]), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    commit = git_output("rev-parse", "--short", "HEAD")
    changed = git_output(
        "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"
    )
    return f"{commit}-dirty" if commit and changed else commit or None
