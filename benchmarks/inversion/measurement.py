"""One method on one target: what it delivers at each budget, scored by the judge."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gmean

from benchmarks.inversion.targets import STRATA, DescribedTarget, load_target
from benchmarks.judge import Judge
from benchmarks.results import Case
from rldf_agents.inversion import MethodUnavailableError, Trial, methods, run_method
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.factory import make_evaluator, make_models
from rldf_gym.goal import LowConfidenceWarning, infer_goal
from rldf_gym.grammar import load_grammar

_LEAST = 1e-6
"""Probabilities are at least this: one axis at 0 would hide the others in a geometric mean."""


class Measurement:
    """Measures one case after another, with models and stores opened once.

    Args:
        judge: scores the pictures.
        budgets: numbers of pictures, ascending.
    """

    def __init__(self, judge: Judge, budgets: Sequence[int]) -> None:
        self._judge, self._budgets = judge, tuple(budgets)
        self._models = make_models("embedded", "auto", None)
        self._evaluators: dict[str, StateEvaluator] = {}

    def __call__(self, case: Case) -> Mapping[str, Any]:
        """Return ``answers``, by budget, or ``left_out``, the reason why there are none."""
        stratum = STRATA[case["stratum"]]
        target, evaluator = load_target(stratum, case["target"]), self._evaluator(stratum.searched)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LowConfidenceWarning)
            goal = infer_goal(evaluator, target.picture)
        trial = Trial(evaluator, goal, max(self._budgets))
        try:
            run_method(methods()[case["method"]], trial, case["seed"])
        except MethodUnavailableError as error:
            return {"left_out": str(error)}
        found = {budget: trial.answer(budget) for budget in self._budgets}
        answers = {
            str(budget): {
                "prompt": answer.prompt,
                "generation_seed": answer.seed,
                "pictures": min(budget, len(trial.candidates)),
                "matches": answer.matches,
                **score(self._judge, answer.picture, target),
            }
            for budget, answer in found.items()
            if answer is not None
        }
        return {"read_as": goal.prompt, "answers": answers}

    def close(self) -> None:
        """Close the stores."""
        for evaluator in self._evaluators.values():
            evaluator.store.close()

    def _evaluator(self, grammar: str) -> StateEvaluator:
        if grammar not in self._evaluators:
            compiled = load_grammar(grammar)
            self._evaluators[grammar] = make_evaluator(compiled, *self._models, "default")
        return self._evaluators[grammar]


def score(judge: Judge, picture: NDArray[np.uint8], target: DescribedTarget) -> dict[str, Any]:
    """Return the judge's scores of a picture.

    Returns:
        ``axes``, its probability of the true value by axis; ``arithmetic`` and ``geometric``, their
        means; ``all_right``, whether its answer is right on all axes; ``similarity``, the cosine of
        its features of the picture and the target.
    """
    answers = judge.probabilities(picture[np.newaxis])
    known = [
        {axis: judge.answers[axis].index(value) for axis, value in truth.items()}
        for truth in target.truths
    ]
    scored = [
        {axis: max(float(answers[axis][0, label]), _LEAST) for axis, label in labels.items()}
        for labels in known
    ]
    best = int(np.argmax([gmean(list(axes.values())) for axes in scored]))
    axes, labels = scored[best], known[best]
    like_picture, like_target = (
        judge.features(image[np.newaxis])[0] for image in (picture, target.picture)
    )
    return {
        "axes": {axis: round(value, 4) for axis, value in axes.items()},
        "arithmetic": float(np.mean(list(axes.values()))),
        "geometric": float(gmean(list(axes.values()))),
        "all_right": all(answers[axis][0].argmax() == label for axis, label in labels.items()),
        "similarity": float(like_picture @ like_target),
    }
