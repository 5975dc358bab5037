"""The store: rows found and kept per second as it grows, bytes a picture, seconds to open."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import trange

from benchmarks.results import Case
from benchmarks.stored_world import stored_env
from benchmarks.timing import Seconds, Work, in_turn, microseconds, ratio
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.store import Store, image_key, maintenance
from rldf_gym.store.schema import PICTURES
from rldf_gym.store.store import ModelOutput

SIZES = (10**3, 10**5, 10**6)
QUICK_SIZES = (10**3, 10**4)
ROWS_AT_ONCE = 1_000
"""While a store is filled."""
LOOKUPS, LOT, LOTS = 5_000, 16, 20
"""What a round looks up, one by one, and keeps: lots as large as the world's batches."""
DIMENSIONS = 128
"""Of the embedded world's embeddings, the largest of its readings."""
MODEL = "model"


def cases(quick: bool) -> list[Case]:
    """Stores of all sizes are one case: their times are compared."""
    return [{"section": "store", "sizes": list(QUICK_SIZES if quick else SIZES)}]


def measure_case(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of lookups, insertions and openings at every size; bytes of the stored world."""
    with tempfile.TemporaryDirectory() as folder:
        stores = {n: _filled(Path(folder) / f"{n}.sqlite", n) for n in case["sizes"]}
        # Before anything is added: every round of insertions makes the files larger.
        file_bytes = {n: _file(store).stat().st_size for n, store in stores.items()}
        lookups: dict[str, Work] = {
            str(n): _lookups(store, n, rounds) for n, store in stores.items()
        }
        inserts: dict[str, Work] = {str(n): _inserts(store, n) for n, store in stores.items()}
        opens: dict[str, Work] = {str(n): _open(store) for n, store in stores.items()}
        measured: dict[str, Any] = {
            "lookups": in_turn(lookups, rounds),
            "opens": in_turn(opens, rounds),
            "inserts": in_turn(inserts, rounds),
            "file_bytes": file_bytes,
        }
        for store in stores.values():
            store.close()
    return {**measured, **_picture_costs(rounds)}


def report(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a table of the sizes."""
    [row] = [row for row in rows if row["section"] == "store"]
    lookups, inserts, opens = (row[name] for name in ("lookups", "inserts", "opens"))
    smallest = next(iter(lookups))
    lines = [
        "## The store",
        "",
        f"Model outputs of {DIMENSIONS} numbers, looked up one by one in random order, and kept "
        f"in lots of {LOT}; processor time, but for opening and the first lookup: wall clock.",
        "",
        "| rows | lookups/s | µs a lookup | times the smallest store's | bar | rows kept/s | "
        "ms to open | bytes a row |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size in lookups:
        lookup = microseconds(lookups[size]["processor"], LOOKUPS)
        insert = microseconds(inserts[size]["processor"], LOT * LOTS)
        times = _times(lookups, size, smallest)
        bar = "≤ 1.5" if size != smallest else ""
        opening = microseconds(opens[size]["wall"], 1) / 1e3
        lines.append(
            f"| {int(size):,} | {1e6 / lookup:,.0f} | {lookup:.1f} | {times} | {bar} "
            f"| {1e6 / insert:,.0f} | {opening:.1f} | {row['file_bytes'][size] / int(size):,.0f} |"
        )
    n = row["pictures"]
    return [
        *lines,
        "",
        f"A picture of the base grammar's world takes {row['picture_bytes'] / n / 1e3:.1f} kB, "
        f"{row['world_bytes'] / n / 1e3:.1f} kB with its readings and all else; "
        f"{1e3 * row['seconds_to_keep'] / n:.2f} ms of processor time to keep (encoding included), "
        f"{microseconds(row['picture_lookups'], n) / 1e3:.2f} ms to find and decode.",
    ]


def _times(seconds: Seconds, size: str, smallest: str) -> str:
    return ratio(seconds[size]["processor"], seconds[smallest]["processor"])


def _filled(path: Path, n_rows: int) -> Store:
    store = Store.open(path, limit=None)
    for start in trange(0, n_rows, ROWS_AT_ONCE, desc=f"{n_rows:,} rows", leave=False):
        store.add_outputs(MODEL, _outputs(range(start, start + ROWS_AT_ONCE)))
    # Closing moves what SQLite's journal holds into the file.
    store.close()
    return Store.open(path, limit=None)


def _outputs(numbers: Sequence[int]) -> dict[str, ModelOutput]:
    embedding = np.random.default_rng(0).random(DIMENSIONS, np.float32)
    return {str(number): {"embedding": embedding} for number in numbers}


def _lookups(store: Store, n_rows: int, rounds: int) -> Work:
    """Other rows in every round: those of the round before would be found in SQLite's cache."""
    drawn = np.random.default_rng(0).integers(0, n_rows, (rounds + 1, LOOKUPS)).tolist()
    keys = iter([[str(n) for n in of_round] for of_round in drawn])

    def work() -> None:
        for key in next(keys):
            store.outputs(MODEL, [key])

    return work


def _inserts(store: Store, n_rows: int) -> Work:
    new = iter(range(n_rows, 2 * n_rows + 10**7, LOT))

    def work() -> None:
        for _ in range(LOTS):
            start = next(new)
            store.add_outputs(MODEL, _outputs(range(start, start + LOT)))

    return work


def _open(store: Store) -> Work:
    path = _file(store)

    def work() -> None:
        opened = Store.open(path, limit=None)
        opened.outputs(MODEL, ["0"])
        opened.close()

    return work


def _file(store: Store) -> Path:
    if store.path is None:
        raise ValueError("a store in memory has no file")
    return store.path


def _picture_costs(rounds: int) -> dict[str, Any]:
    """Of the base grammar's pictures and their readings, copied into a store of their own."""
    env = stored_env()
    world: StateEvaluator = env.get_wrapper_attr("evaluator")
    states = world.grammar.states()
    pictures = {
        (world.grammar.decode(state), world.generation_seed): world.picture(state)
        for state in states
    }
    generator = world.generator.fingerprint
    keys = [image_key(generator, prompt, seed) for prompt, seed in pictures]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "world.sqlite"
        store = Store.open(path, limit=None)
        start = time.process_time()
        store.add_pictures(generator, pictures)
        kept = time.process_time() - start
        for model in world.perception.models().values():
            store.add_outputs(model.fingerprint, world.store.outputs(model.fingerprint, keys))
        seconds = in_turn({"pictures": lambda: [store.picture(key) for key in keys]}, rounds)
        store.close()
        found = [
            part.content_bytes for part in maintenance.info(path).usage if part.table == PICTURES
        ]
        world_bytes = path.stat().st_size
    env.close()
    return {
        "pictures": len(pictures),
        "picture_bytes": found[0],
        "world_bytes": world_bytes,
        "seconds_to_keep": kept,
        "picture_lookups": seconds["pictures"]["processor"],
    }
