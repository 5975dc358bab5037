"""Our columns beside the paper's rows, what optimism changes, and the distance over steps."""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.aggregation import costs_to_goal, mean_band, search_cost
from benchmarks.dynamic_programming import Floats
from benchmarks.figures import COLOURS, curve_with_band, house_style, new_figure
from benchmarks.results import Report, Results
from benchmarks.table3.runs import (
    AGENTS,
    EPSILONS,
    OPTIMISTIC,
    RANDOM,
    REWARDS,
    TEXTBOOK,
    Agent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_STATES = 480
_NAMES = {"q_learning": "Q", "sarsa": "SARSA", "random": "Random"}
_HEADINGS = ("D_T", "D_max", "D_min", "ρ", "σ²", "Conv.", "F", "C")
_DIGITS = (1, 1, 1, 2, 2, 2, 0, 0)


def report(results: Results) -> Report:
    """Tabulate and draw everything."""
    settings = results.settings
    n_targets, seeds = len(settings["targets"]), settings["seeds"]
    lines = [
        "# The paper's Table 3, many runs a row",
        "",
        f"Base world (480 states), {n_targets} targets with {seeds} seeds each: "
        f"{n_targets * seeds} runs a row. Mean of each column with a 95 % interval (stratified "
        "bootstrap over the runs of each target), beside the row that the paper prints. "
        f"T = {settings['t_short']} steps, action values start at {TEXTBOOK:g}, alpha "
        f"{settings['alpha']}, gamma {settings['gamma']}.",
        "",
        *_paper_table(results),
        "",
        _NOTES.format(t_long=settings["t_long"]),
        "",
        "## Does it find the goal?",
        "",
        *_goal_table(results),
        "",
        "## Distance over steps (the paper's Fig. 6)",
        "",
        "![Distance to the goal over steps](table3.png)",
        "",
        _CURVES,
    ]
    return Report("\n".join(lines), {"": _csv(results)}, {"": _figure(results)})


_NOTES = """\
Differences from the paper, and what it leaves open:

- The paper prints single runs (“the first environment training runs”), on Stable Diffusion 1.4 and
  a picture it does not name; ours are means over many on the embedded world. A printed row is one
  draw from a wide distribution: rows can be compared in kind, not in value.
- T is not given. We take the 100 steps that section 3.1 names for 480 states; sums F and C of at
  most 52 fit that. The same runs continue to {t_long:,} steps for the tables and figures below.
- A run is one trajectory: it starts at a random state and does not end at the goal, but seeks
  reward further (Fig. 10). Two printed rows that have Conv. 1 end at D_T = 9, which agrees with
  that.
- Neither alpha, gamma nor initial values are given: alpha and gamma are ours, 0 is the textbook's.
- Random walking uses neither reward nor epsilon. The paper's six rows of it differ by chance alone;
  ours are one measurement, printed six times.
- F and C count what is read as in the target; a frequency counts only where its noun is right
  (`rldf_gym.rewards`). Reward 1 is multi_semantic, 2 partial_semantic, 3 clip. Several printed rows
  have F = C = 0, that is, no gain in a whole run: by these definitions even random walking gains at
  every other step (a third of all states have the target's number of people), so the paper must
  have counted otherwise, or its models recognised little."""


_CURVES = """\
Mean distance of all runs with 95 % bands. Where values start at 0, agents settle at the first place
that pays, near the goal or far from it; the more they explore (epsilon 0.10), the more often they
arrive. Optimism sends them through the whole world first, and `multi_semantic` then draws them to
the goal. The other two rewards pay at most 1 a step, half of what a value of 20 promises: 2,000
steps do not disprove that promise, and agents still explore evenly, which finds the goal and does
not stay there."""


def _rows(results: Results, agent: Agent) -> list[list[dict[str, Any]]]:
    """The rows of an agent, ``[n_targets][n_seeds]``."""
    settings = vars(agent)
    own = [row for row in results.rows if all(row[name] == settings[name] for name in settings)]
    return [
        [row for row in own if row["target"] == target] for target in results.settings["targets"]
    ]


def _values(results: Results, agent: Agent, entry: str) -> Floats:
    """An entry of all rows of an agent, float64 ``[n_targets, n_seeds, n]``."""
    return np.array(
        [[row[entry] for row in runs] for runs in _rows(results, agent)], dtype=np.float64
    )


def _printed() -> list[dict[str, str]]:
    with (Path(__file__).parent / "printed.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _agent_of(row: dict[str, str]) -> Agent:
    if row["agent"] == RANDOM.learner:
        return RANDOM
    reward = REWARDS[int(row["reward"]) - 1]
    return Agent(row["agent"], reward, float(row["epsilon"]), TEXTBOOK)


def _paper_table(results: Results) -> list[str]:
    columns = results.settings["columns"]
    lines = [
        f"| agent | reward | ε | | {' | '.join(_HEADINGS)} |",
        f"|---|---:|---:|---|{'---:|' * len(_HEADINGS)}",
    ]
    for row in _printed():
        band = mean_band(_values(results, _agent_of(row), "short"))
        ours = [
            f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
            for mean, low, high, digits in zip(band.mean, band.low, band.high, _DIGITS, strict=True)
        ]
        printed = [f"{float(row[column]):g}" for column in columns]
        who = f"{_NAMES[row['agent']]} | {row['reward']} | {row['epsilon']}"
        lines.append(f"| {who} | paper | {' | '.join(printed)} |")
        lines.append(f"| | | | ours | {' | '.join(ours)} |")
    return lines


def _goal_table(results: Results) -> list[str]:
    settings = results.settings
    short, long = settings["t_short"], settings["t_long"]
    lines = [
        f"Share of runs that stood at the goal within {short} and {long:,} steps, and the unique "
        "generations up to the first arrival: interquartile mean with a 95 % interval, runs that "
        f"never arrive counted as all {N_STATES}. By initial action value: {TEXTBOOK:g} as in the "
        f"textbook, and {OPTIMISTIC:g}, the default of our learners.",
        "",
        f"| agent | reward | ε | initial value | within {short} | within {long:,} | unique "
        "generations |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for agent in AGENTS:
        steps, costs = (
            _costs(results, agent, "steps_to_goal"),
            _costs(results, agent, "pictures_to_goal"),
        )
        shares = [float((steps <= limit).mean()) for limit in (short, long)]
        mean = search_cost(costs, budget=N_STATES).interquartile_mean
        how = (
            f"{agent.reward} | {agent.epsilon:.2f} | {agent.initial_value:g}"
            if agent.reward is not None
            else "any | any | -"
        )
        lines.append(
            f"| {_NAMES[agent.learner]} | {how} | {shares[0]:.2f} | {shares[1]:.2f} | "
            f"{mean.value:.0f} [{mean.low:.0f}, {mean.high:.0f}] |"
        )
    return lines


def _costs(results: Results, agent: Agent, entry: str) -> Floats:
    return costs_to_goal([[row[entry] for row in runs] for runs in _rows(results, agent)])


def _csv(results: Results) -> str:
    columns = results.settings["columns"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [f"{c}_{part}" for c in columns for part in ("paper", "mean", "low", "high")]
    writer.writerow(["agent", "reward", "epsilon", *names])
    for row in _printed():
        band = mean_band(_values(results, _agent_of(row), "short"))
        cells: list[str] = []
        for index, column in enumerate(columns):
            ours = (band.mean[index], band.low[index], band.high[index])
            cells += [row[column], *(f"{value:.4f}" for value in ours)]
        writer.writerow([row["agent"], row["reward"], row["epsilon"], *cells])
    return out.getvalue()


def _figure(results: Results) -> "Figure":
    steps = results.settings["checkpoints"]
    with house_style():
        figure = new_figure(9.5, 6.2)
        grid = figure.subplots(2, 3, sharex=True, sharey=True)
        for row, initial_value in enumerate((TEXTBOOK, OPTIMISTIC)):
            for column, reward in enumerate(REWARDS):
                axes = grid[row, column]
                for agent, style in _curves(reward, initial_value):
                    band = mean_band(_values(results, agent, "distances"))
                    curve_with_band(axes, steps, band.mean, band.low, band.high, **style)
                axes.set_xscale("log")
                axes.set_title(f"{reward}, values start at {initial_value:g}")
                axes.set_ylim(bottom=0)
        for axes in grid[-1]:
            axes.set_xlabel("step")
        for axes in grid[:, 0]:
            axes.set_ylabel("distance to the goal")
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def _curves(reward: str, initial_value: float) -> list[tuple[Agent, dict[str, Any]]]:
    """Agents of one panel and how their curves look."""
    curves: list[tuple[Agent, dict[str, Any]]] = []
    for learner, colour in (("q_learning", COLOURS[0]), ("sarsa", COLOURS[1])):
        for epsilon, line in zip(EPSILONS, ("--", "-"), strict=True):
            agent = Agent(learner, reward, epsilon, initial_value)
            label = f"{_NAMES[learner]}, ε = {epsilon:.2f}"
            curves.append((agent, {"color": colour, "linestyle": line, "label": label}))
    return [*curves, (RANDOM, {"color": "#777777", "linestyle": ":", "label": "Random"})]
