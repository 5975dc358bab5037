"""Prompt inversion under a budget: who finds the prompt of a picture with few generated pictures.

Every method of `rldf_agents.inversion` gets the same targets, generator and number of pictures, and
delivers the best that it has at budgets of 0, 1, 10, 30 and 100. Methods see the perception of
``rldf search``. They are scored by `benchmarks.judge`, which none of them uses, against what the
target was rendered from: Soft-TIFA of GenEval 2 (Kamath et al. 2025), the judge's probability of
the true value on each axis, with the arithmetic mean over the axes and the geometric mean, which is
high only if all axes are right.

Targets are renders that no model was trained on, of four grammars; those of the base grammar are
also cropped, darkened, without colour, and as a painting. Targets outside the grammar show two
kinds of things, of which the base grammar can name one.

A method is added with one file in ``src/rldf_agents/inversion``. ``$RLDF_JUDGE`` names another
weights file of the judge.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.inversion.measurement import Measurement
from benchmarks.inversion.report import report
from benchmarks.inversion.targets import STRATA
from benchmarks.judge import WEIGHTS, JudgeError, load_judge
from benchmarks.results import Results, measure
from rldf_agents.inversion import methods

__all__ = ["BUDGETS", "report", "run"]

BUDGETS = (0, 1, 10, 30, 100)
_LEFT_OUT = ("random",)
"""Methods that are no rival: what random search needs is in the benchmark sample_efficiency."""


@dataclass(frozen=True)
class _Plan:
    """How much is measured.

    Attributes:
        strata: names of the kinds of targets.
        targets: of each, the first ones.
        budgets: numbers of pictures.
    """

    strata: tuple[str, ...]
    targets: int
    budgets: tuple[int, ...]


_FULL = _Plan(tuple(STRATA), 5, BUDGETS)
_QUICK = _Plan(("base", "base, grey"), 2, BUDGETS[:3])


def run(quick: bool) -> Results:
    """Run every method on every target, and score what it delivers at each budget.

    Raises:
        SystemExit: the judge has no weights.
    """
    plan = _QUICK if quick else _FULL
    weights = Path(os.environ.get("RLDF_JUDGE", WEIGHTS))
    try:
        judge = load_judge(weights)
    except JudgeError as error:
        raise SystemExit(f"inversion: {error}") from error
    names = [name for name in methods() if name not in _LEFT_OUT]
    cases: list[Mapping[str, Any]] = [
        {"stratum": stratum, "target": target, "method": name, "seed": target}
        for stratum in plan.strata
        for target in range(plan.targets)
        for name in names
    ]
    settings = {
        "budgets": plan.budgets,
        "targets": plan.targets,
        "titles": {name: methods()[name].title for name in names},
        "kinds": {name: methods()[name].kind for name in names},
        "groups": {name: STRATA[name].group for name in plan.strata},
        "judge": judge.fingerprint,
    }
    with contextlib.closing(Measurement(judge, plan.budgets)) as measurement:
        return measure(
            "inversion", settings, cases, measurement, quick=quick, packages=("optuna", "torch")
        )
