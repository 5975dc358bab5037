"""The runs: every agent, reward and epsilon, on several targets, from many starting states."""

import functools
import itertools
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from benchmarks.results import Case, Results, measure
from benchmarks.stored_world import TARGETS, stored_env
from rldf_agents.learners import LEARNERS, SARSA, QLearning, RandomAgent
from rldf_agents.protocols import Environment, Episode, Learner, SingleEnvironment, Step
from rldf_agents.statistics import RunStatistics, StatisticsRecorder, run_statistics

REWARDS = ("multi_semantic", "partial_semantic", "clip")
"""The paper's rewards 1, 2 and 3."""
EPSILONS = (0.01, 0.10)
TEXTBOOK, OPTIMISTIC = 0.0, 20.0
"""Initial action values: the paper does not give any; ``QLearning``'s default is the second."""
T_SHORT = 100
"""The paper names 100 steps of training for a world of 480 states (section 3.1)."""
T_LONG = 2_000


@dataclass(frozen=True)
class Columns:
    """Table 3's columns of one run."""

    d_final: float
    d_max: float
    d_min: float
    deviation: float
    variance: float
    reached: float
    fine: float
    coarse: float


@dataclass(frozen=True)
class Agent:
    """Who walks, for which reward; random walking depends on neither reward nor settings."""

    learner: str
    reward: str | None = None
    epsilon: float | None = None
    initial_value: float | None = None


RANDOM = Agent(RandomAgent.name)
AGENTS = (
    *(
        Agent(*chosen)
        for chosen in itertools.product(
            (QLearning.name, SARSA.name), REWARDS, EPSILONS, (TEXTBOOK, OPTIMISTIC)
        )
    ),
    RANDOM,
)


def run(quick: bool) -> Results:
    """Walk every agent to every target from every seed."""
    targets, seeds, steps = (TARGETS[:2], 2, 300) if quick else (TARGETS[:10], 20, T_LONG)
    # Every target has seeds of its own: the same seed would repeat start and walk on all of them.
    cases = [
        {"target": target.stem, **vars(agent), "seed": seeds * index + seed}
        for (index, target), agent, seed in itertools.product(
            enumerate(targets), _by_reward(), range(seeds)
        )
    ]
    settings = {
        "targets": [target.stem for target in targets],
        "seeds": seeds,
        "t_short": T_SHORT,
        "t_long": steps,
        "gamma": 0.9,
        "alpha": 0.5,
        "columns": list(Columns.__dataclass_fields__),
        "checkpoints": _checkpoints(steps),
    }
    return measure("table3", settings, cases, functools.partial(_walk, steps=steps), quick=quick)


def _by_reward() -> list[Agent]:
    """The agents, those of one reward together: they share an environment."""
    return sorted(AGENTS, key=lambda agent: agent.reward or "")


@functools.lru_cache(maxsize=1)
def _env(target: str, reward: str | None) -> SingleEnvironment:
    """One trajectory without an end: the agent continues from the goal (paper, Fig. 10)."""
    picture = next(path for path in TARGETS if path.stem == target)
    return stored_env(picture, reward=reward, stop_at=None, max_episode_steps=-1)


def _walk(case: Case, steps: int) -> dict[str, Any]:
    env = _env(case["target"], case["reward"])
    kind = LEARNERS[case["learner"]]
    settings = (
        {}
        if case["reward"] is None
        else {
            "gamma": 0.9,
            "step_size": 0.5,
            "epsilon": case["epsilon"],
            "initial_value": case["initial_value"],
        }
    )
    learner = kind(env.observation_space, env.action_space, **settings)
    recorder, pictures = StatisticsRecorder(), _PicturesToGoal()
    learner.learn(env, steps, case["seed"], [recorder, pictures])
    distances = [int(record.distance) for record in recorder.records]
    return {
        "short": _columns(run_statistics(recorder.records[:T_SHORT])),
        "long": _columns(recorder.statistics()),
        "steps_to_goal": recorder.statistics().steps_to_goal,
        "pictures_to_goal": pictures.to_goal,
        "distances": [distances[step - 1] for step in _checkpoints(steps)],
    }


def _columns(statistics: RunStatistics) -> list[float]:
    columns = Columns(
        d_final=statistics.final_distance,
        d_max=statistics.max_distance,
        d_min=statistics.min_distance,
        deviation=statistics.distance_deviation,
        variance=statistics.distance_variance,
        reached=statistics.times_reached,
        fine=statistics.fine,
        coarse=statistics.coarse,
    )
    return [round(float(value), 4) for value in astuple(columns)]


def _checkpoints(steps: int) -> list[int]:
    """Steps at equal ratios from 1 on, the last one included."""
    return sorted({round(step) for step in np.geomspace(1, steps, 36)})


class _PicturesToGoal:
    """Counts the distinct states of a run up to the first arrival.

    The environment's own count continues from run to run, as its store does.

    Attributes:
        to_goal: their number, None before the first arrival.
    """

    def __init__(self) -> None:
        self.to_goal: int | None = None
        self._seen: set[bytes] = set()

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Nothing to prepare."""

    def on_step(self, step: Step) -> None:
        """Count the state that the step left and the one it led to."""
        if self.to_goal is None:
            transition = step.transition
            for state in (transition.observation, transition.next_observation):
                self._seen.add(np.asarray(state).tobytes())
            if step.info["at_goal"]:
                self.to_goal = len(self._seen)

    def on_episode_end(self, episode: Episode) -> None:
        """Episodes do not matter here."""

    def on_training_end(self) -> None:
        """Nothing to tidy."""
