"""How many images a search needs until it finds its target, by search method.

The cost is *unique generations*: distinct states visited, starting states included, until the
goal is first visited. That is what an empty store would have to generate. Learners and
Stable-Baselines3 walk one move at a time; Optuna, random search, hill climbing and coordinate
search may jump to any state, and pay for it alike. All see rewards only.

Three worlds: base (480 states, 100 targets), extended (4,320 states, 30 targets), both in the
embedded world and looked for by pictures that no model was trained on, and a synthetic one of 10^6
states (`benchmarks.synthetic_world`). A search is censored at its world's budget.
"""

import dataclasses
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.results import Case, Results, measure
from benchmarks.sample_efficiency.report import report
from benchmarks.sample_efficiency.search import LOOKS_PER_GENERATION, Ledger
from benchmarks.sample_efficiency.searchers import SEARCHERS, Searcher, find_searcher, search
from benchmarks.sample_efficiency.worlds import (
    BASE,
    WORLDS,
    prepare,
    world_with_target,
)
from benchmarks.synthetic_world import MISREAD
from rldf_agents.learners import LEARNERS
from rldf_gym.registry import resolve

__all__ = ["report", "run", "submit"]


@dataclass(frozen=True)
class _Plan:
    """How much is measured, by world.

    Attributes:
        targets: how many, the first ones.
        sb3_targets: the same for Stable-Baselines3, which takes milliseconds a step.
        budgets: unique generations granted to a search.
        n_seeds: for each target, of its own: no two targets share a starting state.
    """

    targets: Mapping[str, int]
    sb3_targets: Mapping[str, int]
    budgets: Mapping[str, int]
    n_seeds: int


_FULL = _Plan(
    targets={"base": 100, "extended": 30, "synthetic": 10},
    sb3_targets={"base": 30, "extended": 10, "synthetic": 3},
    budgets={name: world.budget for name, world in WORLDS.items()},
    n_seeds=3,
)
_QUICK = _Plan(
    targets={"base": 4, "synthetic": 1},
    sb3_targets={"base": 1, "synthetic": 0},
    budgets={"base": BASE.budget, "synthetic": 300},
    n_seeds=2,
)


def run(quick: bool) -> Results:
    """Search for every target with every searcher and seed."""
    return _run("sample_efficiency", SEARCHERS.values(), quick)


def submit(learner: str, quick: bool) -> Results:
    """Search for the same targets with one more learner, for the scoreboard.

    Args:
        learner: ``package.module:Class``; it is made with the two spaces and has ``learn``.
        quick: whether this is the small form.

    Returns:
        What ``submitted_CLASS.json`` holds, the class in lower case.

    Raises:
        RLDFError: there is no such class.
    """
    resolve("learner", learner, LEARNERS)
    searcher = find_searcher(learner)
    return _run(f"submitted_{searcher.title.lower()}", [searcher], quick, workers=1)


def _run(name: str, searchers: Collection[Searcher], quick: bool, workers: int = 2) -> Results:
    plan = _QUICK if quick else _FULL
    for world in plan.targets:
        prepare(WORLDS[world])
    settings = {
        **dataclasses.asdict(plan),
        "looks_per_generation": LOOKS_PER_GENERATION,
        "misread_in_synthetic": MISREAD,
    }
    return measure(
        name,
        settings,
        list(_cases(plan, searchers)),
        measure_case,
        quick=quick,
        packages=("optuna", "stable-baselines3", "torch"),
        workers=workers,
    )


def _cases(plan: _Plan, searchers: Collection[Searcher]) -> Iterator[Case]:
    for world, n_targets in plan.targets.items():
        for number, target in enumerate(list(WORLDS[world].targets)[:n_targets]):
            for searcher in searchers:
                if searcher.kind != "sb3" or number < plan.sb3_targets[world]:
                    for seed in range(number * plan.n_seeds, (number + 1) * plan.n_seeds):
                        case = {"world": world, "target": target, "searcher": searcher.name}
                        yield {**case, "seed": seed, "budget": plan.budgets[world]}


def measure_case(case: Case) -> dict[str, Any]:
    """Run one search.

    Returns:
        ``goal``, its sentence; ``generations``, unique ones until it was visited, None for a
        censored search; ``looked_at``, states by then or at the end; ``looks``, free ones included;
        ``seconds``.
    """
    env = world_with_target(case["world"], case["target"])
    ledger = Ledger(case["budget"])
    start = time.perf_counter()
    search(case["searcher"], env, ledger, case["seed"])
    return {
        "goal": env.get_wrapper_attr("goal").prompt,
        "generations": len(ledger.states) if ledger.reached else None,
        "looked_at": len(ledger.states),
        "looks": ledger.looks,
        "seconds": round(time.perf_counter() - start, 3),
    }
