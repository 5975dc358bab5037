"""Prompt inversion: methods that find a prompt for a picture, at a bounded number of pictures.

A method is one function. It evaluates states of the grammar through a `Trial`, which counts the
pictures and ends the run when the budget is spent or a picture matches::

    @register_method("first_guess", title="first guess", kind=NO_SEARCH)
    def first_guess(trial: Trial, seed: int) -> None:
        trial.evaluate((0,) * trial.goal.grammar.n_axes)

Every module of this package is imported by `methods`: a method is added by adding one file.
``rldf compare`` and ``python -m benchmarks inversion`` run them all.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from rldf_agents.inversion.method import (
    BLACK_BOX,
    KINDS,
    NO_SEARCH,
    RLDF,
    Method,
    MethodUnavailableError,
    register_method,
    registered,
)
from rldf_agents.inversion.trial import Candidate, Trial, TrialEndedError, run_method

__all__ = [
    "BLACK_BOX",
    "NO_SEARCH",
    "RLDF",
    "Candidate",
    "Method",
    "MethodUnavailableError",
    "Trial",
    "TrialEndedError",
    "methods",
    "register_method",
    "run_method",
]


def methods() -> Mapping[str, Method]:
    """Return every method by name: RLDF, those without a search, and other searches."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    ordered = sorted(registered().values(), key=lambda method: KINDS.index(method.kind))
    return {method.name: method for method in ordered}
