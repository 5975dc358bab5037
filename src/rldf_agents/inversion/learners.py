"""RLDF: the search of ``rldf search`` with its default learner."""

from __future__ import annotations

import warnings

from rldf_agents.applications.search import open_search
from rldf_agents.applications.settings import RANDOM, READING, SearchSettings
from rldf_agents.inversion.method import RLDF, register_method
from rldf_agents.inversion.trial import Trial
from rldf_gym.goal import LowConfidenceWarning


@register_method("rldf", title="RLDF search", kind=RLDF)
def from_random(trial: Trial, seed: int) -> None:
    """Walk from random states, as in the paper."""
    _search(trial, seed, RANDOM)


@register_method("rldf_from_reading", title="RLDF search from the reading", kind=RLDF)
def from_reading(trial: Trial, seed: int) -> None:
    """Begin at the prompt that was read in the target, and repair around it."""
    trial.propose(trial.goal.prompt)
    _search(trial, seed, READING)


def _search(trial: Trial, seed: int, start: str) -> None:
    evaluator = trial.evaluator
    settings = SearchSettings(
        grammar=evaluator.grammar,
        generator=evaluator.generator,
        perception=evaluator.perception,
        store=evaluator.store.path,
        generation_seed=evaluator.generation_seed,
        reward=trial.reward,
        budget=trial.budget,
        seed=seed,
        start=start,
    )
    with warnings.catch_warnings():
        # The user was warned when the trial's goal was read.
        warnings.simplefilter("ignore", LowConfidenceWarning)
        with open_search(trial.goal.picture, settings) as search:
            result = search.run()
    for (state, own_seed), _ in result.seen():
        trial.evaluate(state, own_seed)
