"""Tables and figures of both questions, made from the rows alone."""

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.aggregation import mean_band
from benchmarks.classic.experiments import EXAMPLE, OPTIMUM
from benchmarks.classic.worlds import LEARNER_NAMES
from benchmarks.dynamic_programming import Floats
from benchmarks.figures import COLOURS, LINES, curve_with_band, house_style, new_figure
from benchmarks.results import Report, Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {"q_learning": "Q-learning", "sarsa": "SARSA"}
_OPTIMAL = 1e-6
"""Greatest distance of a return to the optimal one that rounding explains."""
_LATE = 100
"""Episodes at the end over which online returns are averaged."""
_WINDOW = 10
"""Episodes that a point of the figure averages."""
_LOWEST = {"CliffWalking": -60.0, "Taxi": -120.0}
"""Where the axes of returns are cut off: policies that go in circles lose a point every step."""


def report(results: Results) -> Report:
    """Tabulate and draw the answers to both questions."""
    return Report(
        "\n\n".join(["# Worlds nobody here wrote", _optimum(results), _example(results)]),
        {"optimum": _optimum_csv(results), "example_6_6": _example_csv(results)},
        {"optimum": _optimum_figure(results), "example_6_6": _example_figure(results)},
    )


def _optimum(results: Results) -> str:
    settings = results.settings
    lines = [
        "## The optimal return",
        "",
        "Expected sum of rewards of an episode under the greedy policy, computed exactly on the "
        "environment's transition table `P`, undiscounted and without a time limit (the learners "
        "are trained with one: an episode that is cut off is bootstrapped from where it stopped). "
        "The optimum is value iteration's on the same table. "
        f"{settings['seeds']} seeds; “optimal from step” is the median over the seeds of the first "
        f"checkpoint (there are {_n_checkpoints(results)}) from which on the policy stays optimal.",
        "",
        "| environment | learner | steps | optimum | mean return at the end | worst seed | optimal "
        "at the end | optimal from step |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for world, case in settings["worlds"].items():
        optimum = settings["optimal_returns"][world]
        for learner in LEARNER_NAMES:
            returns = _greedy_returns(results, world, learner)
            good = np.abs(returns - optimum) <= _OPTIMAL
            every = case["steps"] / good.shape[1]
            since = [every * (_last_false(row) + 1) for row in good if row[-1]]
            lines.append(
                f"| {_named(world, case)} | {_TITLES[learner]} | {case['steps']:,} | {optimum:.4g} "
                f"| {returns[:, -1].mean():.4g} | {returns[:, -1].min():.4g} | "
                f"{good[:, -1].sum()} of {len(good)} | {np.median(since) if since else 0:,.0f} |"
            )
    lines += ["", "![Greedy return over steps](classic_optimum.png)", "", *_learned_with(settings)]
    return "\n".join(lines)


def _named(world: str, case: dict[str, Any]) -> str:
    kind = world.partition(", ")[2]
    return f"{case['env']}, {kind}" if kind else str(case["env"])


def _learned_with(settings: dict[str, Any]) -> list[str]:
    lines = [
        "Learned with: optimistic initial values (no state is worth more), Q-learning with a "
        "constant epsilon. SARSA learns what its own, exploring policy is worth, and so reaches "
        "the optimum only as exploration vanishes: in the deterministic worlds it relies on "
        "optimism alone, on slippery ice epsilon falls to 0 over the run. On the cliff with a "
        "constant epsilon it prefers the safe path: that is Example 6.6, below.",
        "",
    ]
    for world, case in settings["worlds"].items():
        chosen = "; ".join(
            f"{_TITLES[name]} epsilon {how['epsilon']}, alpha {how['step_size']}"
            for name, how in case["learners"].items()
        )
        lines.append(
            f"- {_named(world, case)}: gamma {case['gamma']}, initial value "
            f"{case['initial_value']:g}; {chosen}."
        )
    return lines


def _example(results: Results) -> str:
    case = results.settings[EXAMPLE]
    lines = [
        "## Sutton & Barto's Example 6.6: cliff walking",
        "",
        f"Epsilon {case['epsilon']}, alpha {case['alpha']}, gamma {case['gamma']:g}, "
        f"{case['episodes']} episodes, {results.settings['cliff_seeds']} seeds. Online return: sum "
        "of rewards of an episode while learning, exploration and falls included; mean over seeds "
        "with a bootstrap 95 % interval.",
        "",
        f"| learner | online return, all episodes | online return, last {_LATE} | greedy return, "
        "median | greedy policy takes the optimal path (-13) | greedy policy does not arrive |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for learner in LEARNER_NAMES:
        returns, greedy = _online_returns(results, learner)
        means = np.stack([returns.mean(axis=1), returns[:, -_LATE:].mean(axis=1)], axis=1)
        band = mean_band(means[np.newaxis])
        cells = [
            f"{mean:.1f} [{low:.1f}, {high:.1f}]"
            for mean, low, high in zip(band.mean, band.low, band.high, strict=True)
        ]
        lines.append(
            f"| {_TITLES[learner]} | {cells[0]} | {cells[1]} | {np.median(greedy):.0f} | "
            f"{int((greedy == -13).sum())} of {len(greedy)} | "
            f"{int((greedy < -100).sum())} of {len(greedy)} |"
        )
    lines += [
        "",
        "![Sum of rewards during episode](classic_example_6_6.png)",
        "",
        "As in the book: Q-learning learns the values of the optimal path along the edge, and "
        "falls now and then because it explores there; SARSA takes its exploration into account, "
        "learns the longer, safe path, and earns more while learning. With alpha constant, SARSA's "
        "values never settle: a fall shortly before the end of the run can leave a greedy policy "
        "that goes in circles.",
    ]
    return "\n".join(lines)


def _n_checkpoints(results: Results) -> int:
    return max(len(row.get("greedy_returns", ())) for row in results.rows)


def _greedy_returns(results: Results, world: str, learner: str) -> Floats:
    """Float64 ``[n_seeds, n_checkpoints]``."""
    chosen = [
        row["greedy_returns"]
        for row in results.rows
        if row["question"] == OPTIMUM and row["world"] == world and row["learner"] == learner
    ]
    return np.array(chosen, dtype=np.float64)


def _online_returns(results: Results, learner: str) -> tuple[Floats, Floats]:
    """Online float64 ``[n_seeds, n_episodes]``, and of the final greedy policy ``[n_seeds]``."""
    chosen = [r for r in results.rows if r["question"] == EXAMPLE and r["learner"] == learner]
    online = np.array([row["returns"] for row in chosen], dtype=np.float64)
    return online, np.array([row["greedy_return"] for row in chosen])


def _last_false(row: Any) -> int:
    """Number of entries up to the last one that is false."""
    false = np.flatnonzero(~row)
    return int(false[-1]) + 1 if len(false) else 0


def _optimum_csv(results: Results) -> str:
    lines = ["environment,learner,seed,optimal_return,greedy_return"]
    for row in results.rows:
        if row["question"] == OPTIMUM:
            optimum = results.settings["optimal_returns"][row["world"]]
            env = results.settings["worlds"][row["world"]]["env"]
            lines.append(
                f'"{_named(row["world"], {"env": env})}",{row["learner"]},{row["seed"]},'
                f"{optimum:.6g},{row['greedy_returns'][-1]:.6g}"
            )
    return "\n".join(lines) + "\n"


def _example_csv(results: Results) -> str:
    lines = ["episode,learner,mean_return,low,high"]
    for learner in LEARNER_NAMES:
        band = mean_band(_online_returns(results, learner)[0][np.newaxis])
        lines += [
            f"{episode},{learner},{mean:.3f},{low:.3f},{high:.3f}"
            for episode, (mean, low, high) in enumerate(
                zip(band.mean, band.low, band.high, strict=True), start=1
            )
        ]
    return "\n".join(lines) + "\n"


def _optimum_figure(results: Results) -> "Figure":
    from matplotlib.ticker import MaxNLocator

    settings = results.settings
    with house_style():
        figure = new_figure(8.0, 5.6)
        grid = figure.subplots(2, 2)
        for axes, (world, case) in zip(grid.flat, settings["worlds"].items(), strict=True):
            optimum = settings["optimal_returns"][world]
            axes.axhline(optimum, color="#444444", linestyle=":", label="optimum")
            for learner, colour, line in zip(LEARNER_NAMES, COLOURS, LINES, strict=False):
                returns = _greedy_returns(results, world, learner)
                steps = case["steps"] / returns.shape[1] * np.arange(1, returns.shape[1] + 1)
                curve_with_band(
                    axes,
                    steps,
                    np.median(returns, axis=0),
                    *np.quantile(returns, (0.25, 0.75), axis=0),
                    color=colour,
                    linestyle=line,
                    label=_TITLES[learner],
                )
            axes.set_title(_named(world, case))
            axes.set_xlabel("step of training")
            axes.set_ylabel("return of the greedy policy")
            lowest = _LOWEST.get(world, 0.0)
            margin = 0.06 * (optimum - lowest)
            axes.set_ylim(lowest - margin, optimum + margin)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter("{x:,.0f}")
        grid[0, 0].legend(loc="lower right")
        figure.suptitle(
            f"Median and quartiles over seeds ({settings['seeds']}); lower returns are cut off",
            fontsize=9.5,
        )
    return figure


def _example_figure(results: Results) -> "Figure":
    with house_style():
        figure = new_figure(7.0, 4.2)
        axes = figure.subplots()
        for learner, colour in zip(LEARNER_NAMES, COLOURS, strict=False):
            returns = _online_returns(results, learner)[0]
            band = mean_band(_smoothed(returns)[np.newaxis])
            episodes = np.arange(returns.shape[1] - len(band.mean) + 1, returns.shape[1] + 1)
            curve_with_band(
                *(axes, episodes, band.mean, band.low, band.high),
                color=colour,
                label=_TITLES[learner],
            )
        axes.axhline(-13, color="#444444", linestyle=":", label="optimal path")
        axes.set_ylim(-100, 0)
        axes.set_xlim(0, results.settings[EXAMPLE]["episodes"])
        axes.set_xlabel("episode")
        axes.set_ylabel(f"sum of rewards during episode (mean of {_WINDOW})")
        axes.legend(loc="lower right")
    return figure


def _smoothed(returns: Floats) -> Floats:
    """Means over the last ten episodes, ``[n_seeds, n_episodes - 9]``."""
    kernel = np.full(_WINDOW, 1.0 / _WINDOW)
    return np.array([np.convolve(row, kernel, mode="valid") for row in returns])
