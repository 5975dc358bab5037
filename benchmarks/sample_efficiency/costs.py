"""The rows as costs: unique generations until the goal, by world, searcher, target and seed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.aggregation import SearchCost, costs_to_goal, search_cost
from benchmarks.sample_efficiency.searchers import SEARCHERS

Costs = npt.NDArray[np.float64]


class Measured:
    """What was measured.

    Attributes:
        budgets: of every world that was searched, unique generations.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], budgets: Mapping[str, int]) -> None:
        self.budgets = budgets
        self._runs: dict[tuple[str, str], dict[str, list[int | None]]] = {}
        for row in rows:
            of_target = self._runs.setdefault((row["world"], row["searcher"]), defaultdict(list))
            of_target[row["target"]].append(row["generations"])
        self._summaries: dict[tuple[str, str], SearchCost] = {}

    @property
    def worlds(self) -> list[str]:
        """Names of the worlds, the smallest first."""
        return list(self.budgets)

    def searchers(self, world: str) -> list[str]:
        """Names of those who searched this world, in the order of the registry, then the others."""
        found = {name for where, name in self._runs if where == world}
        return [*filter(found.__contains__, SEARCHERS), *sorted(found.difference(SEARCHERS))]

    def targets(self, world: str, searcher: str) -> frozenset[str]:
        """Names of the targets that it searched for."""
        return frozenset(self._runs[world, searcher])

    def costs(self, world: str, searcher: str, targets: Sequence[str] | None = None) -> Costs:
        """Unique generations until the goal, float64 ``[n_targets, n_seeds]``, inf if censored."""
        runs = self._runs[world, searcher]
        return costs_to_goal([runs[target] for target in (targets or sorted(runs))])

    def summary(self, world: str, searcher: str) -> SearchCost:
        """What its searches cost."""
        if (world, searcher) not in self._summaries:
            costs = self.costs(world, searcher)
            self._summaries[world, searcher] = search_cost(costs, self.budgets[world])
        return self._summaries[world, searcher]

    def within(self, world: str, searcher: str, generations: int) -> float:
        """Share of its searches that arrived within so many unique generations."""
        return float((self.costs(world, searcher) <= generations).mean())

    def best(self, world: str, *kinds: str) -> str:
        """Who of these kinds has the lowest interquartile mean cost, or else finds more, sooner."""

        def cost(name: str) -> tuple[float, float]:
            summary = self.summary(world, name)
            return summary.interquartile_mean.value, -summary.area.value

        return min((n for n in self.searchers(world) if SEARCHERS[n].kind in kinds), key=cost)
