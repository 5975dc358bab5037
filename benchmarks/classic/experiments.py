"""The two experiments: returns of greedy policies over training, and returns along the cliff."""

from typing import Any

from benchmarks.classic.worlds import CLIFF, LEARNER_NAMES, WORLDS, new_learner, opened
from benchmarks.dynamic_programming import (
    DecisionProcess,
    expected_return,
    greedy_policy,
    optimal_return,
)
from benchmarks.results import Case, Results, measure
from rldf_agents.protocols import Environment, Episode, Learner, SingleEnvironment, Step

OPTIMUM = "optimum"
EXAMPLE = "example 6.6"
EPSILON, ALPHA = 0.1, 0.5
"""Of Example 6.6; the book gives epsilon alone."""
EPISODES = 500

_CHECKPOINTS = 50
_PATIENCE = 1_000
"""Steps after which a greedy policy that goes round in circles is given up."""


def run(quick: bool) -> Results:
    """Train every learner in every world, and walk the cliff of Example 6.6."""
    seeds, cliff_seeds = (1, 10) if quick else (20, 100)
    cases: list[Case] = [
        {"question": OPTIMUM, "world": world, "learner": learner, "seed": seed}
        for world in WORLDS
        for learner in LEARNER_NAMES
        for seed in range(seeds)
    ]
    cases += [
        {"question": EXAMPLE, "learner": learner, "seed": seed}
        for learner in LEARNER_NAMES
        for seed in range(cliff_seeds)
    ]
    settings = {
        "seeds": seeds,
        "cliff_seeds": cliff_seeds,
        "worlds": {name: world.facts() for name, world in WORLDS.items()},
        "optimal_returns": {name: optimal_return(opened(name)[1]) for name in WORLDS},
        "example 6.6": {"episodes": EPISODES, "epsilon": EPSILON, "alpha": ALPHA, "gamma": 1.0},
    }
    return measure("classic", settings, cases, _measure, quick=quick)


def _measure(case: Case) -> dict[str, Any]:
    return _optimum(case) if case["question"] == OPTIMUM else _example(case)


def _optimum(case: Case) -> dict[str, Any]:
    env, process = opened(case["world"])
    steps = WORLDS[case["world"]].steps
    evaluation = _GreedyEvaluation(env, process, steps // _CHECKPOINTS)
    learner = new_learner(case["learner"], case["world"])
    learner.learn(env, steps, case["seed"], [evaluation])
    return {"greedy_returns": evaluation.returns}


def _example(case: Case) -> dict[str, Any]:
    env, process = opened(CLIFF)
    learner = new_learner(case["learner"], CLIFF, epsilon=EPSILON, step_size=ALPHA)
    online = _OnlineReturns(EPISODES)
    learner.learn(env, EPISODES * WORLDS[CLIFF].steps, case["seed"], [online])
    return {"returns": online.returns, "greedy_return": _greedy_return(env, process, learner)}


def _greedy_return(env: SingleEnvironment, process: DecisionProcess, learner: Learner) -> float:
    return round(expected_return(process, greedy_policy(env, learner), _PATIENCE), 6)


class _GreedyEvaluation:
    """Evaluates the greedy policy exactly, every so many steps.

    Attributes:
        returns: expected sum of rewards of an episode, after ``every`` steps, twice as many, ...
    """

    def __init__(self, env: SingleEnvironment, process: DecisionProcess, every: int) -> None:
        self.returns: list[float] = []
        self._env, self._process, self._every = env, process, every
        self._learner: Learner | None = None

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Remember whom to evaluate."""
        self._learner = learner

    def on_step(self, step: Step) -> None:
        """Evaluate if it is time."""
        if self._learner is not None and step.timestep % self._every == 0:
            self.returns.append(_greedy_return(self._env, self._process, self._learner))

    def on_episode_end(self, episode: Episode) -> None:
        """Episodes do not matter here."""

    def on_training_end(self) -> None:
        """Nothing to tidy."""


class _OnlineReturns:
    """Keeps the sum of rewards of every episode and ends the run after so many.

    Attributes:
        returns: one for each episode.
    """

    def __init__(self, episodes: int) -> None:
        self.returns: list[int] = []
        self._episodes = episodes

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Nothing to prepare."""

    def on_step(self, step: Step) -> None:
        """Single steps do not matter here."""

    def on_episode_end(self, episode: Episode) -> bool:
        """Keep the return, a whole number on the cliff; continue until there are enough."""
        self.returns.append(round(episode.total_reward))
        return len(self.returns) < self._episodes

    def on_training_end(self) -> None:
        """Nothing to tidy."""
