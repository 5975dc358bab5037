"""The scoreboard: the share of targets that each searcher finds with a budget of images."""

from collections.abc import Iterator

import numpy as np

from benchmarks.aggregation import mean_band
from benchmarks.results import RESULTS, read_results
from benchmarks.sample_efficiency.costs import Measured
from benchmarks.sample_efficiency.searchers import find_searcher
from benchmarks.sample_efficiency.worlds import WORLDS

_KINDS = {
    "learner": "`rldf_agents`",
    "sb3": "Stable-Baselines3",
    "peer": "may jump",
    "reference": "may jump",
}


def scoreboard(*budgets: str) -> str:
    """Return a Markdown table for every world, the best searcher first.

    Args:
        budgets: numbers of images; those above a world's own budget have no column there.
    """
    results = read_results("sample_efficiency", quick=False)
    submitted = (read_results(path.stem, quick=False) for path in RESULTS.glob("submitted_*.json"))
    rows = [*results.rows, *(row for each in submitted for row in each.rows)]
    measured = Measured(rows, results.settings["budgets"])
    tables = (
        "\n".join(_table(measured, world, [int(budget) for budget in budgets]))
        for world in measured.worlds
    )
    return "\n\n".join(tables)


def _table(measured: Measured, world: str, wanted: list[int]) -> Iterator[str]:
    budgets = [budget for budget in wanted if budget <= measured.budgets[world]]
    yield f"## {WORLDS[world].title}\n"
    yield "| search | kind | " + " | ".join(f"{n} images" for n in budgets) + " | searches |"
    yield "| --- | --- |" + " ---: |" * (len(budgets) + 1)
    rows = {}
    for name in measured.searchers(world):
        costs = measured.costs(world, name)
        share = mean_band(costs[..., np.newaxis] <= np.array(budgets))
        cells = [
            f"{mean:.2f} [{low:.2f},\N{NO-BREAK SPACE}{high:.2f}]"
            for mean, low, high in zip(share.mean, share.low, share.high, strict=True)
        ]
        searcher = find_searcher(name)
        cells = [searcher.title, _KINDS[searcher.kind], *cells, str(costs.size)]
        rows[tuple(-share.mean), float(np.median(costs)), name] = cells
    for key in sorted(rows):
        yield f"| {' | '.join(rows[key])} |"
