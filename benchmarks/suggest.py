"""Whether a grammar made for one picture holds its state, and what it saves in a search.

The world is the grammar "embedded" with the words that the embedded models know. The pictures are
renders that no model was trained on (``benchmarks/targets/embedded``), with the prompt that each
was made from; those that the world can describe are used. Pictures whose style leaves nothing of a
thing or a person are not among them (``tools/embedded_world/targets.py``). `suggest_grammar` gets
the picture alone.

The first targets are then searched for as ``rldf search`` does, in the whole world and in the
suggested grammar. The cost is the number of distinct images seen until the search ends.
"""

import csv
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import Case, Report, Results, measure
from rldf_agents.applications.search import SearchSettings, open_search
from rldf_gym.factory import make_models
from rldf_gym.suggestion import Suggestion, SuggestionError, suggest_grammar

HOLDS, WHOLE, SUGGESTED = "holds", "whole", "suggested"
STEPS = 300
BAR_SHARE, BAR_STATES, BAR_IMAGES = 0.98, 50, 0.5
_FOLDER = Path(__file__).parent / "targets" / "embedded"


def run(quick: bool) -> Results:
    """Suggest a grammar for every target, and search for the first of them in both."""
    n_targets, n_searches = (10, 2) if quick else (300, 30)
    targets = _Targets()
    names = targets.describable[:n_targets]
    cases = [{"part": HOLDS, "target": name} for name in names]
    cases += [
        {"part": part, "target": name} for name in names[:n_searches] for part in (WHOLE, SUGGESTED)
    ]
    settings = {
        "world_states": targets.suggest(names[0]).world.n_states,
        "steps": STEPS,
        "bar_share": BAR_SHARE,
        "bar_states": BAR_STATES,
        "bar_images": BAR_IMAGES,
    }
    return measure("suggest", settings, cases, targets, quick=quick)


class _Targets:
    """Measures one target after another with the models loaded once."""

    def __init__(self) -> None:
        generator, perception = make_models("embedded", "auto", None)
        self._settings = SearchSettings(generator=generator, perception=perception, steps=STEPS)
        with (_FOLDER / "prompts.csv").open(encoding="utf-8", newline="") as file:
            self._prompts = {Path(r["picture"]).stem: r["prompt"] for r in csv.DictReader(file)}

    def suggest(self, name: str) -> Suggestion:
        settings = self._settings
        return suggest_grammar(
            _FOLDER / f"{name}.webp", generator=settings.generator, perception=settings.perception
        )

    @cached_property
    def describable(self) -> list[str]:
        """The targets whose prompts the world can say."""
        world = self.suggest(next(iter(self._prompts))).world
        return [name for name, prompt in self._prompts.items() if prompt in world]

    def __call__(self, case: Case) -> dict[str, Any]:
        try:
            suggestion = self.suggest(case["target"])
        except SuggestionError:
            return {"suggested": False}
        if case["part"] == HOLDS:
            prompt = self._prompts[case["target"]]
            truth = suggestion.world.encode(prompt).tolist()
            lost = [
                each.axis.name
                for each, label in zip(suggestion.axes, truth, strict=True)
                if label not in each.labels
            ]
            return {
                "suggested": True,
                "holds": prompt in suggestion.grammar,
                "lost": lost,
                "states": suggestion.grammar.n_states,
            }
        grammar = suggestion.world if case["part"] == WHOLE else suggestion.grammar
        settings = replace(self._settings, grammar=grammar, seed=int(case["target"]))
        with open_search(_FOLDER / f"{case['target']}.webp", settings) as search:
            result = search.run()
        return {
            "suggested": True,
            "found": result.found,
            "reached": result.reached,
            "images": result.states_seen,
        }


def report(results: Results) -> Report:
    """Compare shares, states and images with the bars."""
    settings = results.settings
    rows = [row for row in results.rows if row["part"] == HOLDS]
    made = [row for row in rows if row["suggested"]]
    share = sum(row["holds"] for row in made) / len(rows)
    states = [row["states"] for row in made]
    part = settings["world_states"] / max(states)
    lost = [axis for row in made for axis in row["lost"]]
    per_axis = ", ".join(f"{axis} {lost.count(axis)}" for axis in dict.fromkeys(lost)) or "none"
    lines = [
        "# A grammar made from the picture",
        "",
        f"World: the grammar `embedded`, {settings['world_states']:,} states with the words that"
        f" the models know. {len(rows)} renders that no model was trained on, each with something"
        " to see of every thing and person that it has.",
        "",
        "| | measured | bar | |",
        "|---|---:|---:|---|",
        f"| suggested grammars that hold the true state | {share:.3f} | ≥ {settings['bar_share']} |"
        f" {_verdict(share >= settings['bar_share'])} |",
        f"| states of the world over those of the largest suggested grammar | {part:.0f} |"
        f" ≥ {settings['bar_states']} | {_verdict(part >= settings['bar_states'])} |",
    ]
    images = {name: _searches(results, name) for name in (WHOLE, SUGGESTED)}
    medians = {name: float(np.median([r["images"] for r in own])) for name, own in images.items()}
    ratio = medians[SUGGESTED] / medians[WHOLE]
    lines += [
        f"| images seen, suggested over whole, ratio of medians | {ratio:.2f} |"
        f" ≤ {settings['bar_images']} | {_verdict(ratio <= settings['bar_images'])} |",
        "",
        f"States of a suggested grammar: median {np.median(states):.0f}, greatest {max(states)}."
        f" Axes that lost the true value: {per_axis}. Outside the world: {len(rows) - len(made)}.",
        "",
        f"`rldf search` with its defaults and at most {settings['steps']} steps, for the first"
        f" {len(images[WHOLE])} of these targets:",
        "",
        "| grammar | found a matching image | goal state reached | median images | mean |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, own in images.items():
        shares = [np.mean([row[key] for row in own]) for key in ("found", "reached")]
        mean = np.mean([row["images"] for row in own])
        lines.append(
            f"| {name} | {shares[0]:.3f} | {shares[1]:.3f} | {medians[name]:.0f} | {mean:.1f} |"
        )
    return Report("\n".join(lines))


def _searches(results: Results, part: str) -> list[dict[str, Any]]:
    return [row for row in results.rows if row["part"] == part and row["suggested"]]


def _verdict(met: bool) -> str:
    return "met" if met else "missed"
