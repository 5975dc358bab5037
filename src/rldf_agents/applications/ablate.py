"""Remove a concept from what a picture means, and measure whether it is gone (paper, Fig. 8).

A search keeps what its grammar says. A concept that the grammar has no words for, such as a style,
is not searched for, so the generated pictures show it only where the generator adds it by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rldf_agents.applications.concept import Concept, find_concept
from rldf_agents.applications.output import clear, kept_by_store
from rldf_agents.applications.report import render_ablation
from rldf_agents.applications.result import (
    BEST_FILE,
    REPORT_FILE,
    RESULT_FILE,
    VARIATIONS_FOLDER,
    as_json,
    png,
    versions,
)
from rldf_agents.applications.trajectory import Frame
from rldf_agents.applications.trials import further_images, visit_of
from rldf_agents.errors import AgentError
from rldf_gym.atomic_file import write_atomically
from rldf_gym.batching import batch_size
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal, infer_goal
from rldf_gym.perception import Reading, fill_unread

_TRIES = 4
"""Images to try for each result, at the most."""

_CONFIDENCE = 0.95

Interval = tuple[float, float]


class Level(NamedTuple):
    """Scores of several pictures together.

    Attributes:
        mean: of the scores.
        interval: 95 % bootstrap interval of the mean; None for fewer than two pictures.
        spread: the middle 95 % of the scores themselves.
    """

    mean: float
    interval: Interval | None
    spread: Interval

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> Level:
        """Return the level of scores float64 ``[n]``, at least one."""
        from scipy.stats import bootstrap

        interval = None
        if len(scores) > 1:
            found = bootstrap(
                (scores,),
                np.mean,
                confidence_level=_CONFIDENCE,
                method="percentile",
                random_state=np.random.default_rng(0),
            ).confidence_interval
            interval = float(found.low), float(found.high)
        tail = 100 * (1 - _CONFIDENCE) / 2
        low, high = np.percentile(scores, [tail, 100 - tail])
        return cls(float(scores.mean()), interval, (float(low), float(high)))


@dataclass(frozen=True, eq=False)
class Ablation:
    """Pictures that mean what a target means, without a concept.

    Attributes:
        concept: what is to vanish.
        goal: what was read in the target, in the concept's grammar.
        results: generated pictures that read as the goal on every axis.
        readings: of all pictures that were generated for it, those that do not included.
        target_score: probability of the concept in the target, 0 to 1.
        scores: of it in each result, float64 ``[n_results]``.
        plain_scores: of it in generated pictures of other states, float64 ``[n_plain]``.
        generator: name of the generator.
        generation_seed: of the first result and of the plain pictures.
    """

    concept: Concept
    goal: Goal
    results: tuple[Frame, ...]
    readings: tuple[Reading, ...]
    target_score: float
    scores: NDArray[np.float64]
    plain_scores: NDArray[np.float64]
    generator: str
    generation_seed: int

    @property
    def found(self) -> bool:
        """Whether any generated picture reads as the goal."""
        return bool(self.results)

    @property
    def level(self) -> Level | None:
        """Return the scores of the results together, None where there is no result."""
        return Level.of(self.scores) if self.found else None

    @property
    def plain_level(self) -> Level:
        """Return the scores of the plain pictures together."""
        return Level.of(self.plain_scores)

    @property
    def in_target(self) -> bool:
        """Whether the target shows the concept more than chance and more than plain pictures do."""
        chance = 1 / (1 + len(self.concept.counterparts))
        return self.target_score > max(chance, self.plain_level.spread[1])

    @property
    def vanished(self) -> bool:
        """Whether the results' interval overlaps with the scores of plain pictures."""
        level = self.level
        if level is None:
            return False
        low = level.mean if level.interval is None else level.interval[0]
        return low <= self.plain_level.spread[1]

    @property
    def rejected(self) -> int:
        """Number of pictures that were generated for the goal and do not read as it."""
        return len(self.readings) - len(self.results)

    @property
    def stays(self) -> dict[str, float]:
        """Return for every axis the share of generated pictures that keep its value, 0 to 1."""
        kept = [reading.values == self.goal.state for reading in self.readings]
        shares = np.mean(kept, axis=0).tolist()
        return dict(zip(self.goal.grammar.axis_names, shares, strict=True))

    @property
    def all_stay(self) -> float:
        """Return the share of generated pictures that keep every axis, 0 to 1."""
        return len(self.results) / len(self.readings)

    @property
    def headline(self) -> str:
        """Return the outcome in one sentence."""
        words = self.concept.words
        if not self.found:
            return f"No generated picture reads as the target on every axis, with “{words}” or not"
        if not self.in_target:
            return f"The target itself does not show “{words}” more than plain pictures do"
        return f"“{words}” {'is gone' if self.vanished else 'is still there'}; all else was kept"

    def to_json(self) -> dict[str, Any]:
        """Return the content of result.json."""
        level, plain = self.level, self.plain_level
        return {
            "concept": self.concept.words,
            "concept_axis": self.concept.axis_name,
            "compared_with": list(self.concept.counterparts),
            "goal_prompt": self.goal.prompt,
            "goal_state": self.goal.state.tolist(),
            "found": self.found,
            "in_target": self.in_target,
            "vanished": self.vanished,
            "target_score": self.target_score,
            "score": None if level is None else level.mean,
            "interval": None if level is None else level.interval,
            "plain": {"score": plain.mean, "interval": plain.interval, "range": plain.spread},
            "results": [
                {
                    "file": _file(number),
                    "prompt": frame.prompt,
                    "state": list(frame.visit.state),
                    "seed": frame.visit.seed,
                    "verified": True,
                    "score": float(score),
                }
                for number, (frame, score) in enumerate(
                    zip(self.results, self.scores, strict=True), 1
                )
            ],
            "rejected": self.rejected,
            "stays": self.stays,
            "all_stay": self.all_stay,
            "n_plain": len(self.plain_scores),
            "outside": self.goal.outside,
            "guesses": list(self.goal.low_confidence_axes),
            "grammar": self.goal.grammar.name,
            "generator": self.generator,
            "generation_seed": self.generation_seed,
            "versions": versions(),
        }

    def save(self, folder: Path, target: str, command: str) -> None:
        """Write result.json, best.png, variations/NN.png and report.html, each atomically.

        Files of an earlier result are removed.

        Args:
            folder: must exist.
            target: name of the picture, for the report.
            command: what the user can type to repeat it, for the report.

        Raises:
            OSError: a file cannot be written.
        """
        summary = self.to_json()
        page = render_ablation(self, target, summary["versions"], command)
        clear(folder)
        files = {_file(n): png(each.picture) for n, each in enumerate(self.results, 1)}
        if self.found:
            files[BEST_FILE] = png(self.results[0].picture)
        files[REPORT_FILE] = page.encode()
        files[RESULT_FILE] = as_json({"target": target, **summary})
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            write_atomically(folder / name, content)


def _file(number: int) -> str:
    return f"{VARIATIONS_FOLDER}/{number:02}.png"


def ablate(
    evaluator: StateEvaluator,
    target: NDArray[np.uint8],
    words: str,
    n_results: int = 16,
    n_plain: int = 16,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ablation:
    """Generate pictures that mean what a target means, without a concept.

    The goal state's picture is generated with one seed after another, then the states around it,
    until enough read as the target.

    Args:
        evaluator: generates and reads.
        target: uint8 ``[H, W, 3]``.
        words: the concept; where the evaluator's grammar has it, it is left out.
        n_results: pictures that read as the target, at least 1.
        n_plain: generated pictures of other states to compare with, at least 1.
        on_progress: receives the number of finished pictures, and of all wanted.

    Raises:
        AgentError: a number below 1, or see `find_concept`.
        GrammarError: the grammar has no axis left without the concept.
        KeyboardInterrupt: Ctrl-C; its text says what was kept.
    """
    for name, number in (("results", n_results), ("plain", n_plain)):
        if number < 1:
            raise AgentError(f"--{name} is {number}: give at least 1")
    concept = find_concept(words, evaluator.grammar, evaluator.perception)
    evaluator = StateEvaluator(
        *(concept.grammar, evaluator.generator, evaluator.perception, evaluator.store),
        evaluator.generation_seed,
    )
    goal = infer_goal(evaluator, target)
    results: list[Frame] = []
    result_readings: list[Reading] = []
    readings: list[Reading] = []
    plain: list[Reading] = []
    try:
        images = further_images(evaluator, goal, _TRIES * n_results - 1, ())
        at_once = batch_size(evaluator.generator)
        while batch := list(itertools.islice(images, min(at_once, n_results - len(results)))):
            read = evaluator.readings([state for state, _ in batch], [seed for _, seed in batch])
            readings += read
            for image, reading in zip(batch, read, strict=True):
                visit = visit_of(goal, *image, reading)
                if visit.matches:
                    results.append(Frame.of(evaluator, visit))
                    result_readings.append(reading)
            on_progress(len(results), n_results + n_plain)
        for others in evaluator.evaluate(_other_states(goal, n_plain, evaluator.generation_seed)):
            plain += others
            on_progress(len(results) + len(plain), n_results + n_plain)
    except KeyboardInterrupt as interrupt:
        done = len(results) + len(plain)
        raise KeyboardInterrupt(kept_by_store(done, n_results + n_plain)) from interrupt

    def scores(of: Sequence[Reading]) -> NDArray[np.float64]:
        spec, grammar = evaluator.spec, evaluator.grammar
        filled = [fill_unread(reading, grammar, spec) for reading in of]
        return np.array([concept.probability(reading, spec) for reading in filled])

    return Ablation(
        concept=concept,
        goal=goal,
        results=tuple(results),
        readings=tuple(readings),
        target_score=float(scores([goal.reading])[0]),
        scores=scores(result_readings),
        plain_scores=scores(plain),
        generator=evaluator.generator.name,
        generation_seed=evaluator.generation_seed,
    )


def _other_states(goal: Goal, at_most: int, seed: int) -> list[int]:
    """Return the numbers of different random states other than the goal's."""
    grammar, random = goal.grammar, np.random.default_rng(seed)
    own = grammar.index(goal.state)
    wanted = min(at_most, grammar.n_states - 1)
    chosen: dict[int, None] = {}
    while len(chosen) < wanted:
        number = int(random.integers(grammar.n_states))
        if number != own:
            chosen[number] = None
    return list(chosen)
