"""How many targets a search finds, and what it costs: base grammar, embedded world.

Twenty target pictures that no model was trained on (``benchmarks/targets``), several seeds, 2,000
steps at most. The cost is the number of distinct states visited until the first visit
to the goal: the images that an empty store would have to generate.
"""

import functools
import itertools
from typing import Any

import numpy as np

from benchmarks.results import Case, Report, Results, measure
from benchmarks.stored_world import TARGETS, stored_env
from rldf_agents.learners import LEARNERS
from rldf_agents.protocols import Environment, Episode, Learner, SingleEnvironment, Step
from rldf_agents.statistics import StatisticsRecorder

LEARNER_NAMES = ("q_learning", "sarsa", "random")
STEPS = 2_000
BUDGETS = (10, 20, 30, 50, 100, 200, 300, 480)


def run(quick: bool) -> Results:
    """Search for every target with every learner and seed."""
    targets, n_seeds = (TARGETS[:5], 2) if quick else (TARGETS, 10)
    # No two targets share a seed, and thereby a starting state.
    cases = [
        {"target": target.stem, "learner": name, "seed": n_seeds * number + nth}
        for (number, target), name, nth in itertools.product(
            enumerate(targets), LEARNER_NAMES, range(n_seeds)
        )
    ]
    settings = {"targets": len(targets), "seeds": n_seeds, "steps": STEPS}
    return measure("search_success", settings, cases, _search, quick=quick)


@functools.lru_cache(maxsize=1)
def _env(target: str) -> SingleEnvironment:
    return stored_env(next(path for path in TARGETS if path.stem == target))


def _search(case: Case) -> dict[str, Any]:
    env = _env(case["target"])
    learner = LEARNERS[case["learner"]](env.observation_space, env.action_space)
    recorder, watch = StatisticsRecorder(), _UntilGoal()
    learner.learn(env, STEPS, case["seed"], [recorder, watch])
    statistics = recorder.statistics()
    reached = statistics.steps_to_goal is not None
    return {
        "goal": env.get_wrapper_attr("goal").prompt,
        "reached": reached,
        "steps": statistics.steps,
        "pictures_to_goal": len(watch.states) if reached else None,
    }


class _UntilGoal:
    """Ends the run at the first arrival and keeps the distinct states that it stood in.

    Attributes:
        states: starting states included.
    """

    def __init__(self) -> None:
        self.states: set[tuple[int, ...]] = set()

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Nothing to prepare."""

    def on_step(self, step: Step) -> bool:
        """Note where the step started and where it led; continue until the goal."""
        for observation in (step.transition.observation, step.transition.next_observation):
            self.states.add(tuple(int(label) for label in np.asarray(observation)))
        return not step.info["at_goal"]

    def on_episode_end(self, episode: Episode) -> None:
        """Episodes do not matter here."""

    def on_training_end(self) -> None:
        """Nothing to tidy."""


def report(results: Results) -> Report:
    """Tabulate shares and medians, one line a learner."""
    rows, targets = results.rows, results.settings["targets"]
    seeds, limit = results.settings["seeds"], results.settings["steps"]
    columns = " | ".join(f"≤ {budget}" for budget in BUDGETS)
    lines = [
        "# Does a search find the picture?",
        "",
        f"Base grammar (480 states), `multi_semantic`, {targets} targets with {seeds} seeds of "
        f"their own each, at most {limit:,} steps. Share of searches that reached the goal, in all "
        "and within so many distinct pictures, and the median number of pictures and steps of "
        "those that did.",
        "",
        f"| learner | reached | targets reached by every seed | {columns} | median pictures "
        "| median steps |",
        f"|---|---:|---:|{'---:|' * len(BUDGETS)}---:|---:|",
    ]
    for name in LEARNER_NAMES:
        own = [row for row in rows if row["learner"] == name]
        costs = [row["pictures_to_goal"] for row in own if row["reached"]]
        shares = [f"{sum(cost <= budget for cost in costs) / len(own):.2f}" for budget in BUDGETS]
        missed = {row["target"] for row in own if not row["reached"]}
        steps = [row["steps"] for row in own if row["reached"]]
        lines.append(
            f"| {name} | {len(costs) / len(own):.3f} | {targets - len(missed)} of {targets} | "
            f"{' | '.join(shares)} | {np.median(costs):.0f} | {np.median(steps):.0f} |"
        )
    return Report("\n".join(lines))
