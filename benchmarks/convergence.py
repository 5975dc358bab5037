"""How fast Q-learning's table approaches Q*, by step size, on the stored base world.

The paper (section 3) cites Watkins' theorem: with every pair visited for ever and step sizes that
sum to infinity while their squares do not, Q-learning converges to Q* almost surely. Visit-count
steps 1 / n^omega with omega in (0.5, 1] meet the condition, a constant alpha does not. Q* comes
from value iteration on the whole world; behaviour is uniformly random, so that it never depends on
what was learned.

Feedback of a fixed seed is deterministic: there is no noise to average away, and any constant alpha
converges too. Noise is what the conditions are about. `NoisyFeedback` adds it: a stand-in, named
as such, for drawing every visit anew with a dynamic seed, which the paper advises against
(Discussion 2).
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from benchmarks.dynamic_programming import Floats, from_deterministic_env, optimal_action_values
from benchmarks.figures import COLOURS, house_style, new_figure
from benchmarks.results import Case, Report, Results, measure
from benchmarks.stored_world import stored_env
from rldf_agents.learners import QLearning
from rldf_agents.protocols import VectorEnvironment
from rldf_agents.schedules import ConstantStepSize, StepSizeSchedule, VisitCountStepSize
from rldf_gym.store import default_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAMMA = 0.9
DEVIATION = 1.0
"""Of the noise on a reward: what one fine axis read differently would change."""

STEP_SIZES: Mapping[str, StepSizeSchedule] = {
    "1 / n": VisitCountStepSize(1.0),
    "1 / n^0.8": VisitCountStepSize(0.8),
    "1 / n^0.6": VisitCountStepSize(0.6),
    "1": ConstantStepSize(1.0),
    "0.5": ConstantStepSize(0.5),
    "0.1": ConstantStepSize(0.1),
    "0.02": ConstantStepSize(0.02),
}
DETERMINISTIC, NOISY = "deterministic", "noisy"
_FEEDBACKS = {
    DETERMINISTIC: "Deterministic feedback (fixed seed)",
    NOISY: f"Noisy feedback (standard deviation {DEVIATION:g})",
}
NUM_ENVS = 256
"""Sub-environments that are learned from side by side, for speed."""
_FIRST = 1_000
_POINTS_A_DECADE = 6
_EXACT = 1e-12
"""Errors below are rounding."""


def run(quick: bool) -> Results:
    """Learn with every step size, with and without noise."""
    steps, seeds = (60_000, 1) if quick else (10_000_000, 3)
    cases = [
        {"feedback": feedback, "alpha": alpha, "seed": seed}
        for seed in range(seeds)
        for feedback in _FEEDBACKS
        for alpha in STEP_SIZES
    ]
    settings = {
        "steps": steps,
        "seeds": seeds,
        "gamma": GAMMA,
        "epsilon": 1.0,
        "num_envs": NUM_ENVS,
        "deviation": DEVIATION,
        "checkpoints": _checkpoints(steps),
        "target": "the one that is shipped",
        "reward": "multi_semantic",
    }
    measure_case = functools.partial(_measure, steps=steps)
    workers = 1 if quick else 2
    return measure("convergence", settings, cases, measure_case, quick=quick, workers=workers)


class NoisyFeedback(gym.vector.VectorWrapper):
    """Adds seeded Gaussian noise of mean 0 to every reward: a stand-in for dynamic seeds.

    A picture drawn anew at every visit would be read differently now and then. Here the picture
    stays and its reward varies, so that Q* stays what it is and the error can be measured.

    Args:
        env: the environments.
        deviation: standard deviation of the noise.
    """

    def __init__(self, env: VectorEnvironment, deviation: float) -> None:
        super().__init__(env)
        self._deviation = deviation
        self._random = np.random.default_rng()

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Reset; a seed seeds the noise too."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        return self.env.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step, with noise on the rewards."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        noise = self._deviation * self._random.standard_normal(self.num_envs)
        return observations, rewards + noise, terminated, truncated, infos


def _measure(case: Case, steps: int) -> dict[str, Any]:
    """Train up to one checkpoint after the other; learning continues from there."""
    states, optimum = _optimum()
    env = _environments()
    if case["feedback"] == NOISY:
        env = NoisyFeedback(env, DEVIATION)
    learner = QLearning(
        env.single_observation_space,
        env.single_action_space,
        gamma=GAMMA,
        epsilon=1.0,
        step_size=STEP_SIZES[case["alpha"]],
    )
    errors = []
    for checkpoint in [0, *_checkpoints(steps)]:
        learner.learn(env, checkpoint, case["seed"])
        table = np.array([learner.action_values(state) for state in states])
        errors.append(float(f"{np.abs(table - optimum).max():.6g}"))
    return {"errors": errors}


@functools.cache
def _environments() -> VectorEnvironment:
    stored_env().close()  # draws what is missing
    return gym.make_vec("RLDF-v0", num_envs=NUM_ENVS, store=default_path())


@functools.cache
def _optimum() -> tuple[list[Any], Floats]:
    """All states but the goal, and Q* there, float64 ``[n_states - 1, n_actions]``."""
    env = stored_env()
    goal = env.get_wrapper_attr("goal").state
    process = from_deterministic_env(env, goal)
    optimum = optimal_action_values(process, GAMMA)
    grammar = env.get_wrapper_attr("grammar")
    others = np.flatnonzero(process.starts)
    return [grammar.state(int(index)) for index in others], optimum[others]


def _checkpoints(steps: int) -> list[int]:
    """Steps at equal ratios, the last one included."""
    n_points = round(_POINTS_A_DECADE * np.log10(steps / _FIRST)) + 1
    return sorted({round(step) for step in np.geomspace(_FIRST, steps, n_points)})


def report(results: Results) -> Report:
    """Tabulate errors and draw them over steps."""
    settings = results.settings
    from matplotlib.ticker import LogLocator

    with house_style():
        figure = new_figure(9.0, 4.6)
        panels = figure.subplots(1, 2)
        for axes, (feedback, title) in zip(panels, _FEEDBACKS.items(), strict=True):
            _draw(axes, results, feedback)
            axes.set_title(title)
            axes.set_xlabel("step")
            axes.xaxis.set_major_locator(LogLocator())
            axes.set_ylabel("greatest error, max |Q - Q*|")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", title="step size")
    lines = [
        "# How the table approaches Q*",
        "",
        f"Base world (480 states, 8 actions), gamma {settings['gamma']}, uniformly random "
        f"behaviour (epsilon {settings['epsilon']:g}), {settings['steps']:,} steps, seeds: "
        f"{settings['seeds']}; episodes end at the goal. Q* by value iteration on the fully stored "
        "world. Median over seeds of the greatest error, max |Q - Q*|, over all pairs.",
        "",
        *_table(results),
        "",
        "![Greatest error over steps](convergence.png)",
        "",
        "Bands span the seeds. Errors below 1e-12 are rounding and drawn there.",
        "",
        _READING,
    ]
    return Report("\n".join(lines), {"": _csv(results)}, {"": figure})


_READING = """\
**Deterministic feedback.** With the generator's seed fixed, an update has no noise in it, so that
there is nothing to average away: the larger the step, the sooner the table follows what is known
of the next state, and alpha = 1 is the fastest (it is value iteration, one pair at a time). Every
constant alpha converges; the theorem's condition on the squares is sufficient, not necessary. The
visit-count steps converge as the theorem says, but 1 / n does so at a rate of n^-(1 - gamma) only
(Szepesvari 1998; Even-Dar and Mansour 2003): it averages early targets, made of poor estimates,
with the same weight as late ones.

**Noisy feedback.** Here the conditions matter. A constant alpha falls as fast as it did, then stops
at a floor, where each update brings in as much noise as it averages away, and the maximum over
noisy values errs upwards (Thrun and Schwartz 1993). The larger alpha, the sooner it stops and the
higher: there the error stays, however long the run. The error of visit-count steps keeps falling:
1 / n^0.6 is ahead at first, for it forgets early targets soonest; 1 / n^0.8, which averages over
more of them, catches up with it in the long run; 1 / n is held back by early targets here, too.

The noise is a stand-in (`NoisyFeedback`): Gaussian, mean 0, added to the reward of a world whose
pictures stay as they are. With a true dynamic seed the reward's mean would differ, too."""


def _errors(results: Results, feedback: str, alpha: str) -> Floats:
    """Float64 ``[n_seeds, 1 + n_checkpoints]``, before the first step first."""
    chosen = [
        row["errors"]
        for row in results.rows
        if row["feedback"] == feedback and row["alpha"] == alpha
    ]
    return np.array(chosen, dtype=np.float64)


def _draw(axes: "Axes", results: Results, feedback: str) -> None:
    steps = results.settings["checkpoints"]
    for alpha, colour in zip(STEP_SIZES, COLOURS, strict=False):
        errors = np.maximum(_errors(results, feedback, alpha)[:, 1:], _EXACT)
        line = "-" if alpha.startswith("1 /") else "--"
        label = alpha if alpha.startswith("1 /") else f"constant {alpha}"
        axes.loglog(steps, np.median(errors, axis=0), line, color=colour, label=label)
        axes.fill_between(
            steps, errors.min(axis=0), errors.max(axis=0), color=colour, alpha=0.18, linewidth=0
        )


def _table(results: Results) -> list[str]:
    checkpoints = results.settings["checkpoints"]
    shown = [int(np.searchsorted(checkpoints, last)) for last in _decades(checkpoints[-1])]
    names = [f"{checkpoints[index]:,}" for index in shown]
    lines = [
        f"| feedback | step size | at the start | {' | '.join(names)} |",
        f"|---|---|---:|{'---:|' * len(names)}",
    ]
    for feedback in _FEEDBACKS:
        for alpha in STEP_SIZES:
            errors = np.median(_errors(results, feedback, alpha), axis=0)
            cells = [f"{errors[1 + index]:.3g}" for index in shown]
            kind = alpha if alpha.startswith("1 /") else f"constant {alpha}"
            lines.append(f"| {feedback} | {kind} | {errors[0]:.3g} | {' | '.join(cells)} |")
    return lines


def _decades(last: int) -> list[int]:
    powers = [10**k for k in range(3, 12) if 10**k < last]
    return [*powers, last]


def _csv(results: Results) -> str:
    lines = ["feedback,step_size,seed,step,error"]
    for row in results.rows:
        steps = [0, *results.settings["checkpoints"]]
        lines += [
            f"{row['feedback']},{row['alpha']},{row['seed']},{step},{error}"
            for step, error in zip(steps, row["errors"], strict=True)
        ]
    return "\n".join(lines) + "\n"
