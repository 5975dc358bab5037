"""How many targets a search finds, and what it costs: base grammar, embedded world.

Twenty target pictures that no model was trained on (``benchmarks/targets``), several seeds, 2,000
steps at most. What counts is the number of distinct pictures that a search had looked at when it
first stood at the goal: what it would have had to draw with an empty store.
"""

import itertools
import tempfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from tqdm import tqdm

import rldf_gym
from benchmarks.results import write
from rldf_agents.contracts import Environment, Episode, Learner, Step
from rldf_agents.learners import LEARNERS
from rldf_agents.statistics import StatisticsRecorder

gym.register_envs(rldf_gym)

TARGETS = sorted((Path(__file__).parent / "targets").glob("*.png"))
STEPS = 2_000
BUDGETS = (10, 20, 30, 50, 100, 200, 300, 480)


def run(quick: bool) -> None:
    """Search for every target with every learner and seed."""
    targets, seeds = (TARGETS[:5], range(2)) if quick else (TARGETS, range(10))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for target in tqdm(targets, desc="targets"):
            env = gym.make("RLDF-v0", target=target, store=Path(folder) / "store.sqlite")
            goal = env.unwrapped.goal
            for name, seed in itertools.product(LEARNERS, seeds):
                row = {"target": target.stem, "goal": goal.prompt, "learner": name, "seed": seed}
                rows.append({**row, **_search(env, name, seed)})
            env.close()
    settings = {"targets": len(targets), "seeds": list(seeds), "steps": STEPS, "quick": quick}
    name = "search_success_quick" if quick else "search_success"
    write(name, settings, rows, _report(rows, len(targets), len(seeds)))


def _search(env: Environment, name: str, seed: int) -> dict[str, Any]:
    learner = LEARNERS[name](env.observation_space, env.action_space)
    recorder, watch = StatisticsRecorder(), _UntilGoal()
    learner.learn(env, STEPS, seed, [recorder, watch])
    statistics = recorder.statistics()
    reached = statistics.steps_to_goal is not None
    return {
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
        """Note where the step started and where it led; go on until the goal."""
        for observation in (step.transition.observation, step.transition.next_observation):
            self.states.add(tuple(int(label) for label in np.asarray(observation)))
        return not step.info["at_goal"]

    def on_episode_end(self, episode: Episode) -> None:
        """Episodes do not matter here."""

    def on_training_end(self) -> None:
        """Nothing to tidy."""


def _report(rows: list[dict[str, Any]], targets: int, seeds: int) -> str:
    columns = " | ".join(f"≤ {budget}" for budget in BUDGETS)
    lines = [
        "# Does a search find the picture?",
        "",
        f"Base grammar (480 states), `multi_semantic`, {targets} targets, {seeds} seeds each, at "
        f"most {STEPS:,} steps. Share of searches that reached the goal, in all and within so "
        "many distinct pictures, and the median number of pictures and steps of those that did.",
        "",
        f"| learner | reached | targets reached by every seed | {columns} | median pictures "
        "| median steps |",
        f"|---|---:|---:|{'---:|' * len(BUDGETS)}---:|---:|",
    ]
    for name in LEARNERS:
        own = [row for row in rows if row["learner"] == name]
        costs = [row["pictures_to_goal"] for row in own if row["reached"]]
        shares = [f"{sum(cost <= budget for cost in costs) / len(own):.2f}" for budget in BUDGETS]
        missed = {row["target"] for row in own if not row["reached"]}
        steps = [row["steps"] for row in own if row["reached"]]
        lines.append(
            f"| {name} | {len(costs) / len(own):.3f} | {targets - len(missed)} of {targets} | "
            f"{' | '.join(shares)} | {np.median(costs):.0f} | {np.median(steps):.0f} |"
        )
    return "\n".join(lines)
