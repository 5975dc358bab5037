"""What ``rldf search``, ``slide`` and ``ablate`` deliver, by a judge that none of them uses.

Targets are renders that no model was trained on (``benchmarks/targets/embedded``), with the words
that they were rendered from. `benchmarks.judge` says what each delivered picture shows; it agrees
where that is what the target was rendered from. The judge makes mistakes too: its answers about the
targets themselves stand beside. ``$RLDF_JUDGE`` names another weights file of the judge.
"""

import csv
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.judge import WEIGHTS, Judge, JudgeError, load_judge
from benchmarks.results import Case, Report, Results, measure
from rldf_agents.applications.ablate import ablate
from rldf_agents.applications.search import SearchSettings, open_search
from rldf_agents.applications.settings import READING
from rldf_agents.applications.slide import slide
from rldf_agents.errors import AgentError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.factory import make_evaluator, make_models
from rldf_gym.goal import LowConfidenceWarning, load_picture
from rldf_gym.grammar import load_grammar

_FOLDER = Path(__file__).parent / "targets" / "embedded"
VARIATIONS, RESULTS = 8, 8
DELIVER_BAR, JUDGE_BAR = 0.98, 0.95
SLID = ("weather", "time_of_day")
CONCEPTS = ("foggy", "night", "painting", "sketch")
_SIZES = {"search": 50, "slide": 12, "ablate": 8}
_QUICK = {"search": 1, "slide": 1, "ablate": 1}

Truth = Mapping[str, str]
"""The words that a target was rendered from, by axis."""


def run(quick: bool) -> Results:
    """Run the commands on every target, and let the judge say what came out.

    Raises:
        SystemExit: the judge has no weights.
    """
    try:
        judge = load_judge(Path(os.environ.get("RLDF_JUDGE", WEIGHTS)))
    except JudgeError as error:
        raise SystemExit(f"applications: {error}") from error
    sizes, targets = _QUICK if quick else _SIZES, _targets()
    photos = [name for name, truth in targets.items() if truth["style"] == "photo"]
    n = sizes["search"]
    cases: list[Case] = [
        {"command": "search", "what": grammar, "target": target}
        for grammar, some in (("base", photos[:n]), ("extended", photos[n : 2 * n]))
        for target in some
    ]
    cases += [
        {"command": "slide", "what": " and ".join(SLID), "target": target}
        for target in photos[: sizes["slide"]]
    ]
    for concept in CONCEPTS:
        shown = [name for name, truth in targets.items() if concept in truth.values()]
        # A concept that is no style is best seen in photos.
        plain = [name for name in shown if targets[name]["style"] in ("photo", concept)]
        cases += [
            {"command": "ablate", "what": concept, "target": target}
            for target in plain[: sizes["ablate"]]
        ]
    settings = {"variations": VARIATIONS, "results": RESULTS, "judge": judge.fingerprint, **sizes}
    return measure("applications", settings, cases, _Commands(judge, targets), quick=quick)


def _targets() -> dict[str, Truth]:
    grammar = load_grammar("embedded")
    with (_FOLDER / "prompts.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["picture"]: {
                axis.name: axis.values[label]
                for axis, label in zip(grammar.axes, grammar.encode(row["prompt"]), strict=True)
            }
            for row in csv.DictReader(file)
        }


class _Commands:
    """Runs one command after another with the models loaded once."""

    def __init__(self, judge: Judge, targets: Mapping[str, Truth]) -> None:
        self._judge, self._targets = judge, targets
        self._models = make_models("embedded", "auto", None)
        self._evaluators: dict[str, StateEvaluator] = {}

    def __call__(self, case: Case) -> dict[str, Any]:
        picture, truth = load_picture(_FOLDER / case["target"]), self._targets[case["target"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LowConfidenceWarning)
            return getattr(self, f"_{case['command']}")(case["what"], picture, truth)

    def _search(self, grammar: str, picture: NDArray[np.uint8], truth: Truth) -> dict[str, Any]:
        generator, perception = self._models
        settings = SearchSettings(
            grammar,
            generator=generator,
            perception=perception,
            start=READING,
            variations=VARIATIONS,
        )
        axes = load_grammar(grammar).axis_names
        with open_search(picture, settings) as search:
            result = search.run()
            read = search.evaluator.picture(search.goal.state)
        delivered = [frame.picture for frame in result.variations]
        return {
            "found": result.found,
            "verified": len(delivered),
            "agree": self._agree(delivered, truth, axes),
            "direct": self._agree([read], truth, axes)[0],
            "on_target": self._agree([picture], truth, axes)[0],
        }

    def _slide(self, _: str, picture: NDArray[np.uint8], truth: Truth) -> dict[str, Any]:
        cells = slide(self._evaluator("extended"), picture, SLID).cells
        grammar = load_grammar("extended")
        pictures = [cell.picture for cell in cells]
        follows = {}
        for name in SLID:
            axis = grammar.axis_index(name)
            meant = [grammar.axes[axis].values[cell.state[axis]] for cell in cells]
            said = self._say(pictures, name)
            follows[name] = [one == other for one, other in zip(said, meant, strict=True)]
        stays = self._agree(pictures, truth, ("noun", "scene"))
        on_target = self._agree([picture], truth, ("noun", "scene"))[0]
        return {"follows": follows, "stays": stays, "on_target": on_target}

    def _ablate(self, words: str, picture: NDArray[np.uint8], truth: Truth) -> dict[str, Any]:
        evaluator = self._evaluator("base")
        axes = evaluator.grammar.axis_names
        try:
            found = ablate(evaluator, picture, words, RESULTS)
        except AgentError as error:
            return {"left_out": str(error)}
        pictures = [frame.picture for frame in found.results]
        axis = next(name for name, value in truth.items() if value == words)
        return {
            "in_target": found.in_target,
            "vanished": found.vanished,
            "target_score": found.target_score,
            "scores": found.scores.tolist(),
            "plain_scores": found.plain_scores.tolist(),
            "agree": self._agree(pictures, truth, axes),
            "gone": [said != words for said in self._say(pictures, axis)],
            "on_target": self._agree([picture], truth, axes)[0],
        }

    def _evaluator(self, grammar: str) -> StateEvaluator:
        if grammar not in self._evaluators:
            compiled = load_grammar(grammar)
            self._evaluators[grammar] = make_evaluator(compiled, *self._models, "default")
        return self._evaluators[grammar]

    def _agree(
        self, pictures: Sequence[NDArray[np.uint8]], truth: Truth, axes: Sequence[str]
    ) -> list[bool]:
        """Return for each picture whether the judge sees the truth on all axes."""
        said = [self._say(pictures, axis) for axis in axes]
        meant = tuple(truth[axis] for axis in axes)
        return [values == meant for values in zip(*said, strict=True)]

    def _say(self, pictures: Sequence[NDArray[np.uint8]], axis: str) -> list[str]:
        if not pictures:
            return []
        labels = self._judge.probabilities(np.stack(pictures))[axis].argmax(axis=1)
        return [self._judge.answers[axis][label] for label in labels]


def report(results: Results) -> Report:
    """Tabulate the shares beside the bars."""
    rows, settings = results.rows, results.settings
    lines = [
        "# What search, slide and ablate deliver",
        "",
        "On renders that no model was trained on. “The judge agrees” means that a classifier that"
        " none of the models uses sees what the target was rendered from. Its answers about the"
        " targets themselves are the last column: what it gets wrong there, it may get wrong"
        " elsewhere.",
        "",
        "## Search",
        "",
        f"`rldf search --start reading --variations {settings['variations']}`. Bars:"
        f" {DELIVER_BAR:.0%} deliver all variations; on {JUDGE_BAR:.0%} of the delivered pictures"
        " the judge agrees on all axes."
        " Direct reading: the picture of the prompt that is read, without a search.",
        "",
        f"| grammar | targets | deliver {settings['variations']} verified | judge agrees"
        " | … direct reading | … targets |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for grammar, own in _groups(rows, "search").items():
        full = [row["verified"] >= settings["variations"] for row in own]
        lines.append(
            f"| {grammar} | {len(own)} | {np.mean(full):.3f} | {_flat(own, 'agree'):.3f}"
            f" | {np.mean([row['direct'] for row in own]):.3f} | {_on_targets(own)} |"
        )
    lines += [
        "",
        "## Slide",
        "",
        f"`rldf slide --axis weather --axis time_of_day`. Bars: {JUDGE_BAR:.0%} of the cells"
        f" follow, and in {JUDGE_BAR:.0%} object and scene stay.",
        "",
        "| targets | weather follows | time of day follows | object and scene stay | … targets |",
        "|---:|---:|---:|---:|---:|",
    ]
    for own in _groups(rows, "slide").values():
        follows = [np.mean([row["follows"][axis] for row in own]) for axis in SLID]
        lines.append(
            f"| {len(own)} | {follows[0]:.3f} | {follows[1]:.3f} | {_flat(own, 'stays'):.3f}"
            f" | {_on_targets(own)} |"
        )
    lines += [
        "",
        "## Ablate",
        "",
        f"`rldf ablate --results {settings['results']}` with the grammar `base`. Bar: the score"
        f" falls to the level of plain pictures, with the content kept in {JUDGE_BAR:.0%} by the"
        " judge.",
        "",
        "| concept | targets | shown by the target | vanished | score: target | … results"
        " | … plain | gone by the judge | content kept by the judge | … targets |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    notes = []
    for concept, own in _groups(rows, "ablate").items():
        scored = [row for row in own if "left_out" not in row]
        if not scored:
            notes += ["", f"Left out, {concept}: {own[0]['left_out']}"]
            continue
        shares = [np.mean([row[key] for row in scored]) for key in ("in_target", "vanished")]
        scores = [
            np.mean([row["target_score"] for row in scored]),
            *(_flat(scored, key) for key in ("scores", "plain_scores", "gone", "agree")),
        ]
        cells = " | ".join(f"{value:.3f}" for value in (*shares, *scores))
        lines.append(f"| {concept} | {len(scored)} | {cells} | {_on_targets(scored)} |")
    return Report("\n".join([*lines, *notes]))


def _groups(rows: Sequence[dict[str, Any]], command: str) -> dict[str, list[dict[str, Any]]]:
    own = [row for row in rows if row["command"] == command]
    return {what: [r for r in own if r["what"] == what] for what in dict.fromkeys(map(_what, own))}


def _what(row: dict[str, Any]) -> str:
    return str(row["what"])


def _flat(rows: Sequence[dict[str, Any]], key: str) -> float:
    """Return the mean over all pictures of all rows."""
    values = [value for row in rows for value in row[key]]
    return float(np.mean(values)) if values else float("nan")


def _on_targets(rows: Sequence[dict[str, Any]]) -> str:
    return f"{np.mean([row['on_target'] for row in rows]):.3f}"
