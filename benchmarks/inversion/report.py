"""The report: a scoreboard for each group of targets, and whether a search helps."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.aggregation import Estimate, mean_band
from benchmarks.inversion.targets import GROUPS, SHIFTED
from benchmarks.results import Report, Results
from rldf_agents.inversion import RLDF

_AT, _READING = 30, "reading"
_METRICS = ("geometric", "arithmetic", "all_right", "similarity", "pictures")
_INTRODUCTION = """\
Every method gets the same targets, generator and number of pictures. The judge, a classifier that
no method uses, scores the picture that a method delivers against what the target was rendered
from. **All axes**: Soft-TIFA's geometric mean over the axes of the judge's probability of the
true value, high only if every axis is right. **Per axis**: the arithmetic mean. **All right**:
the share of pictures in which the judge's answer is right on every axis. **Similarity**: cosine
of the judge's features of picture and target; there is no CLIP without a download that no method
used, so a similarity by CLIP is left out. Brackets: 95 % interval of a bootstrap over targets,
stratified by kind. At a budget of 0 the picture of the prompt is made for the judge alone. All
methods choose among their pictures by the perception's reading, then reward, then CLIP
similarity, and end at the first picture that reads as the target."""


class _Scores:
    """The rows as arrays [n_strata, n_targets] by group, method, budget and metric."""

    def __init__(self, results: Results) -> None:
        settings = results.settings
        self.budgets: list[int] = settings["budgets"]
        self.titles: dict[str, str] = settings["titles"]
        self.kinds: dict[str, str] = settings["kinds"]
        self.strata: dict[str, str] = settings["groups"]
        self.n_targets: int = settings["targets"]
        self._answers = {
            (row["stratum"], row["method"], row["target"]): row["answers"]
            for row in results.rows
            if "answers" in row
        }
        self.methods = [m for m in self.titles if any(key[1] == m for key in self._answers)]

    def of_group(self, group: str) -> list[str]:
        """Return the strata of a group."""
        return [name for name, of in self.strata.items() if of == group]

    def answers(self, strata: Sequence[str], method: str, budget: int) -> list[dict[str, Any]]:
        """Return what a method delivered at a budget, empty where it delivered nothing."""
        found = [
            self._answers.get((stratum, method, target), {}).get(str(budget))
            for stratum in strata
            for target in range(self.n_targets)
        ]
        return [] if None in found else [answer for answer in found if answer is not None]

    def values(
        self, strata: Sequence[str], method: str, budget: int, metric: str
    ) -> NDArray[np.float64] | None:
        """Return a metric, float64 ``[n_strata, n_targets]``, None where there is none."""
        answers = self.answers(strata, method, budget)
        if not answers:
            return None
        values = np.array([float(answer[metric]) for answer in answers])
        return values.reshape(len(strata), self.n_targets)

    def all_axes(self, group: str, method: str, budget: int) -> NDArray[np.float64] | None:
        """Return the geometric means of a group."""
        return self.values(self.of_group(group), method, budget, "geometric")

    def best(self, group: str, kind: str, budget: int) -> str | None:
        """Return the method of a kind with the highest mean over all axes."""
        found = {
            name: float(values.mean())
            for name in self.methods
            if self.kinds[name] == kind
            and (values := self.all_axes(group, name, budget)) is not None
        }
        return max(found, key=lambda name: found[name], default=None)


def report(results: Results) -> Report:
    """Tabulate scores by group, method and budget, and compare RLDF with the others."""
    scores = _Scores(results)
    at = _AT if _AT in scores.budgets else max(scores.budgets)
    lines = ["# Prompt inversion under a budget", "", _INTRODUCTION, ""]
    lines += [f"{scores.n_targets} targets of each kind, one seed each.", ""]
    groups = [group for group in GROUPS if scores.of_group(group)]
    for group in groups:
        lines += [f"## {group[0].upper()}{group[1:]}", "", _kinds(scores, group), ""]
        lines += [*_scoreboard(scores, group, at), ""]
    lines += ["## Does a search help?", ""]
    lines += [f"- {line}" for group in groups for line in _search_helps(scores, group, at)]
    if SHIFTED in groups:
        lines += ["", "## RLDF against its rivals on shifted targets", "", *_bar(scores, at)]
    lines += ["", f"## By axis, at {at} pictures", "", *_by_axis(scores, at)]
    lines += _left_out(results)
    return Report("\n".join(lines), {"": _csv(scores)})


def _kinds(scores: _Scores, group: str) -> str:
    strata = scores.of_group(group)
    return f"Kinds: {'; '.join(strata)}. {len(strata) * scores.n_targets} targets."


def _scoreboard(scores: _Scores, group: str, at: int) -> Iterator[str]:
    budgets = " | ".join(f"all axes, {budget}" for budget in scores.budgets)
    yield (
        f"| method | {budgets} | per axis, {at} | all right, {at} | similarity, {at}"
        f" | pictures used of {at} |"
    )
    yield f"|---|{'---:|' * (len(scores.budgets) + 4)}"

    def rank(method: str) -> float:
        values = scores.all_axes(group, method, at)
        return 0.0 if values is None else -float(values.mean())

    strata = scores.of_group(group)
    for method in sorted(scores.methods, key=rank):
        title = scores.titles[method]
        cells = [f"**{title}**" if scores.kinds[method] == RLDF else title]
        for budget in scores.budgets:
            values = scores.all_axes(group, method, budget)
            cells.append("" if values is None else str(_mean(values)))
        for metric in _METRICS[1:]:
            found = scores.values(strata, method, at, metric)
            cells.append("" if found is None else f"{found.mean():.3g}")
        yield f"| {' | '.join(cells)} |"


def _search_helps(scores: _Scores, group: str, at: int) -> Iterator[str]:
    best = scores.best(group, RLDF, at)
    if best is None or _READING not in scores.methods:
        return
    difference = _difference(scores, group, best, _READING, at)
    if difference.low > 0:
        verdict = "search helps"
    elif difference.high < 0:
        verdict = "search does harm"
    else:
        verdict = "no difference was measured: direct reading is as good, with one picture"
    yield (
        f"{group}: {scores.titles[best]} with at most {at} pictures minus direct reading, all"
        f" axes: {difference}: {verdict}."
    )


def _bar(scores: _Scores, at: int) -> Iterator[str]:
    best = scores.best(SHIFTED, RLDF, at)
    rivals = [name for name in scores.methods if scores.kinds[name] != RLDF]
    if best is None or not rivals:
        yield "Not judged: RLDF or its rivals were left out."
        return
    behind = []
    yield (
        f"Bar: with at most {at} pictures RLDF's best method scores above every rival on all axes,"
        f" interval apart. {scores.titles[best]} minus:"
    )
    yield ""
    for rival in rivals:
        difference = _difference(scores, SHIFTED, best, rival, at)
        yield f"- {scores.titles[rival]}: {difference}"
        if difference.low <= 0:
            behind.append(scores.titles[rival])
    yield ""
    if not behind:
        yield "Met."
        return
    yield (
        f"Missed: the interval is not above 0 for {', '.join(behind)}. Where the target is read"
        " right, its prompt is the answer and a search can only confirm it; where it is read wrong,"
        " a search for that reading finds what was read, not what is shown."
    )


def _by_axis(scores: _Scores, at: int) -> Iterator[str]:
    found: dict[str, dict[str, list[float]]] = {}
    for method in scores.methods:
        for answer in scores.answers(list(scores.strata), method, at):
            for axis, probability in answer["axes"].items():
                found.setdefault(axis, {}).setdefault(method, []).append(probability)
    yield f"| method | {' | '.join(axis.replace('_', ' ') for axis in found)} |"
    yield f"|---|{'---:|' * len(found)}"
    for method in scores.methods:
        cells = [f"{np.mean(found[axis].get(method, [np.nan])):.3f}" for axis in found]
        yield f"| {scores.titles[method]} | {' | '.join(cells)} |"


def _left_out(results: Results) -> list[str]:
    reasons = {
        results.settings["titles"][row["method"]]: row["left_out"]
        for row in results.rows
        if "left_out" in row
    }
    lines = [f"- {title}: {reason}" for title, reason in reasons.items()]
    return ["", "## Left out", "", *lines] if lines else []


def _difference(scores: _Scores, group: str, method: str, other: str, at: int) -> Estimate:
    """Return the mean difference of two methods on the same targets, over all axes."""
    first, second = (scores.all_axes(group, name, at) for name in (method, other))
    assert first is not None
    assert second is not None
    return _mean(first - second)


def _mean(values: NDArray[np.float64]) -> Estimate:
    band = mean_band(values[..., np.newaxis])
    return Estimate(float(band.mean[0]), float(band.low[0]), float(band.high[0]))


def _csv(scores: _Scores) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stratum", "group", "method", "kind", "budget", "targets", *_METRICS))
    for stratum, group in scores.strata.items():
        for method in scores.methods:
            for budget in scores.budgets:
                answers = scores.answers([stratum], method, budget)
                if answers:
                    means = [np.mean([float(a[metric]) for a in answers]) for metric in _METRICS]
                    names = (stratum, group, method, scores.kinds[method], budget, len(answers))
                    writer.writerow((*names, *(f"{mean:.4f}" for mean in means)))
    return text.getvalue()
