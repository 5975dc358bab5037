"""How many searches end with an image that matches the target, and what that costs.

`rldf search` with its defaults, on pictures that no model was trained on (``benchmarks/targets``):
a search stops at the first image that reads as the target on every axis. Where the goal state's own
image does not match, further seeds and the neighbouring states are tried. The cost is the number
of distinct images seen: those that an empty store would have to generate. The images are generated
into the user's store at the first run.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Case, Report, Results, measure
from benchmarks.stored_world import BASE_TARGETS, EXTENDED_TARGETS
from rldf_agents.applications.search import SearchSettings, open_search

TARGETS = {"base": BASE_TARGETS, "extended": EXTENDED_TARGETS}
BUDGETS = (10, 20, 30, 60, 120)
BAR_BUDGET, BAR_SHARE = 60, 0.98


def run(quick: bool) -> Results:
    """Search for every target once, each with a seed of its own."""
    grammars = {"base": BASE_TARGETS[:5]} if quick else TARGETS
    cases = [
        {"grammar": grammar, "target": target.stem, "seed": seed}
        for grammar, targets in grammars.items()
        for seed, target in enumerate(targets)
    ]
    default = SearchSettings()
    settings = {
        "learner": default.learner,
        "steps": default.steps,
        "stop_at": default.stop_at,
        "more_seeds": default.more_seeds,
        "bar_budget": BAR_BUDGET,
        "bar_share": BAR_SHARE,
    }
    return measure("matching_images", settings, cases, _Searches(), quick=quick)


class _Searches:
    """Runs one search after another with the models loaded once."""

    def __init__(self) -> None:
        self._settings = SearchSettings()

    def __call__(self, case: Case) -> dict[str, Any]:
        settings = replace(self._settings, grammar=case["grammar"], seed=case["seed"])
        with open_search(_file(case), settings) as search:
            result = search.run()
            self._settings = search.settings.with_models_of(search.evaluator)
        return {
            "goal": result.goal.prompt,
            "outside": result.goal.outside,
            "reached": result.reached,
            "matched": result.matched,
            "further_images": len(result.trials),
            "images": result.states_seen,
            "images_to_match": result.states_seen_to_match,
        }


def _file(case: Case) -> Path:
    return next(path for path in TARGETS[case["grammar"]] if path.stem == case["target"])


def report(results: Results) -> Report:
    """Tabulate shares by number of images, and list the searches without a match."""
    settings, rows = results.settings, results.rows
    budget, bar = settings["bar_budget"], settings["bar_share"]
    columns = " | ".join(f"≤ {each}" for each in BUDGETS)
    lines = [
        "# Does a search end with a matching image?",
        "",
        f"`rldf search` with its defaults (`{settings['learner']}`, stops at the first match, at"
        f" most {settings['steps']:,} steps, {settings['more_seeds']} further seeds), one search"
        " per target. An image matches if it reads as the target on every axis. Share of searches"
        " that end with a match, in all and within so many distinct images. The last"
        " column is the other kind of success: a visit to the goal state, whatever its image"
        " shows.",
        "",
        f"| grammar | targets | matched | {columns} | median images | goal state reached |",
        f"|---|---:|---:|{'---:|' * len(BUDGETS)}---:|---:|",
    ]
    grammars = list(dict.fromkeys(row["grammar"] for row in rows))
    groups = [(name, [row for row in rows if row["grammar"] == name]) for name in grammars]
    for name, own in [*groups, ("all", rows)]:
        costs = [row["images_to_match"] for row in own if row["matched"]]
        shares = " | ".join(f"{_share(own, most):.3f}" for most in BUDGETS)
        median = f"{np.median(costs):.0f}" if costs else ""
        reached = sum(row["reached"] for row in own) / len(own)
        lines.append(
            f"| {name} | {len(own)} | {len(costs) / len(own):.3f} | {shares} | {median} |"
            f" {reached:.3f} |"
        )
    share = _share(rows, budget)
    verdict = "met" if share >= bar else "missed"
    tried = [row for row in rows if row["further_images"]]
    lines += [
        "",
        f"Bar: at least {bar:.0%} match within {budget} images. Measured: {share:.1%}, {verdict}."
        f" {len(tried)} searches tried further images of the goal state or its neighbours, and"
        f" {sum(row['matched'] for row in tried)} of them found a match that way.",
    ]
    missed = [row for row in rows if not (row["matched"] and row["images_to_match"] <= budget)]
    if missed:
        lines += ["", f"Without a match within {budget} images:", ""]
        lines += [_missed(row) for row in missed]
    return Report("\n".join(lines))


def _share(rows: list[dict[str, Any]], most: int) -> float:
    return sum(row["matched"] and row["images_to_match"] <= most for row in rows) / len(rows)


def _missed(row: dict[str, Any]) -> str:
    end = f"match after {row['images_to_match']}" if row["matched"] else "no match"
    return (
        f"- {row['grammar']} {row['target']}, read as “{row['goal']}”: {end}, {row['images']}"
        f" images seen, goal state {'reached' if row['reached'] else 'not reached'}"
    )
