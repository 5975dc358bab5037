"""What a user would try instead of reinforcement learning: searches that may jump to any state.

Each is a Python generator: it yields the state to evaluate next and receives the reward of that
state's image, until the caller stops. It receives nothing else. A second visit is free.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rldf_agents.inversion.method import MethodUnavailableError, register_method
from rldf_agents.inversion.trial import Trial

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

State: TypeAlias = tuple[int, ...]
Proposals: TypeAlias = Generator[State, float, None]
Peer: TypeAlias = Callable[[Sequence[int], int], Proposals]
"""Makes a search from the sizes of all axes ``[n_axes]`` and a seed."""

_POPULATION = 10
"""Of the genetic search: with Optuna's 50, a budget of 30 would not reach a second generation."""


def follow(proposals: Proposals, evaluate: Callable[[State], float | None]) -> None:
    """Evaluate the states that a search proposes, and send it their rewards.

    Args:
        proposals: of the search; closed at the end.
        evaluate: returns the reward of a state, None to end.
    """
    try:
        state = next(proposals)
        while (reward := evaluate(state)) is not None:
            state = proposals.send(reward)
    except StopIteration:
        pass
    finally:
        proposals.close()


def random_search(sizes: Sequence[int], seed: int) -> Proposals:
    """Look at states in random order, each once; ends when all have been seen.

    A rejected draw costs nothing, so that a world need not be listed to be searched.
    """
    random = np.random.default_rng(seed)
    seen: set[State] = set()
    n_states = int(np.prod(np.asarray(sizes, dtype=object)))
    while len(seen) < n_states:
        state = _anywhere(sizes, random)
        if state not in seen:
            seen.add(state)
            yield state


def hill_climbing(sizes: Sequence[int], seed: int) -> Proposals:
    """Steepest ascent over the states one move away, from a random state after every summit.

    Reward steps up only where an axis comes to be right, so most states lie on a plateau. It
    therefore crosses them by moves to equally good states where it has not stood yet (Russell and
    Norvig, section 4.1, "sideways moves"), which saves it two fifths of the pictures on the base
    world. It restarts where every neighbour is worse or known.
    """
    random = np.random.default_rng(seed)
    while True:
        state = _anywhere(sizes, random)
        value = yield state
        stood_at = {state}
        while True:
            fresh = [other for other in _one_move_away(state, sizes) if other not in stood_at]
            values = []
            for other in _shuffled(fresh, random):
                values.append(((yield other), other))
            best = max(values, key=lambda pair: pair[0], default=None)
            if best is None or best[0] < value:
                break
            value, state = best
            stood_at.add(state)


def coordinate_search(sizes: Sequence[int], seed: int) -> Proposals:
    """Try the values of one axis after another, and keep the first that is better.

    It jumps along an axis and counts on every axis showing in the reward by itself. After a round
    without a gain it starts again at a random state.
    """
    random = np.random.default_rng(seed)
    while True:
        state = _anywhere(sizes, random)
        value = yield state
        gained = True
        while gained:
            gained = False
            for axis in random.permutation(len(sizes)).tolist():
                for other in _shuffled(list(_along(state, axis, sizes[axis])), random):
                    found = yield other
                    if found > value:
                        state, value, gained = other, found, True
                        break


def tree_parzen_estimator(sizes: Sequence[int], seed: int) -> Proposals:
    """Optuna's TPE with its own defaults, one categorical for each axis."""
    return _tree_parzen_estimator(sizes, seed)


def tuned_tree_parzen_estimator(sizes: Sequence[int], seed: int) -> Proposals:
    """Optuna's TPE with settings chosen on the base and extended worlds.

    Tried were univariate, multivariate and grouped models; integers for categoricals; 5 to 30
    random trials first; 10 % to 40 % of the trials counted as good; lighter priors; 4 to 100
    candidates. Few random trials and many good ones took the fewest pictures.
    """
    return _tree_parzen_estimator(sizes, seed, n_startup_trials=5, gamma=_quarter)


def genetic_search(sizes: Sequence[int], seed: int) -> Proposals:
    """Optuna's NSGA-II, a genetic algorithm, with a population that fits a small budget.

    Tournaments, uniform crossover, mutation of one axis on average (Deb et al. 2002; with one
    objective its ranking is by the reward alone).
    """
    optuna = _optuna()
    yield from _ask_and_answer(
        sizes, optuna.samplers.NSGAIISampler(population_size=_POPULATION, seed=seed)
    )


def _tree_parzen_estimator(sizes: Sequence[int], seed: int, **settings: Any) -> Proposals:
    optuna = _optuna()
    with warnings.catch_warnings():
        # "gamma" goes away in Optuna 6; no setting that stays does as well.
        warnings.simplefilter("ignore", FutureWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, **settings)
    yield from _ask_and_answer(sizes, sampler)


def _ask_and_answer(sizes: Sequence[int], sampler: BaseSampler) -> Proposals:
    """Propose what a sampler of Optuna asks for, one categorical for each axis."""
    optuna = _optuna()
    study = optuna.create_study(direction="maximize", sampler=sampler)
    axes = {
        str(axis): optuna.distributions.CategoricalDistribution(range(size))
        for axis, size in enumerate(sizes)
    }
    while True:
        trial = study.ask(axes)
        study.tell(trial, (yield tuple(trial.params[name] for name in axes)))


def _optuna() -> Any:
    if importlib.util.find_spec("optuna") is None:
        raise MethodUnavailableError("Optuna is not installed: pip install 'rldf-gym[compare]'")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


@register_method("genetic", title="genetic search (NSGA-II)")
def _genetic(trial: Trial, seed: int) -> None:
    _search(trial, genetic_search, seed)


@register_method("tpe", title="Optuna's TPE")
def _tpe(trial: Trial, seed: int) -> None:
    _search(trial, tuned_tree_parzen_estimator, seed)


@register_method("coordinate", title="coordinate search")
def _coordinate(trial: Trial, seed: int) -> None:
    _search(trial, coordinate_search, seed)


@register_method("random", title="random search")
def _random(trial: Trial, seed: int) -> None:
    _search(trial, random_search, seed)


def _search(trial: Trial, peer: Peer, seed: int) -> None:
    follow(peer(trial.evaluator.grammar.nvec.tolist(), seed), trial.evaluate)


def _quarter(n_trials: int) -> int:
    """How many of so many trials TPE counts as good: a quarter, and never more than 25."""
    return min(-(-n_trials // 4), 25)


def _anywhere(sizes: Sequence[int], random: np.random.Generator) -> State:
    return tuple(int(random.integers(size)) for size in sizes)


def _one_move_away(state: State, sizes: Sequence[int]) -> Iterator[State]:
    for axis, label in enumerate(state):
        for other in (label - 1, label + 1):
            if 0 <= other < sizes[axis]:
                yield (*state[:axis], other, *state[axis + 1 :])


def _along(state: State, axis: int, size: int) -> Iterator[State]:
    for label in range(size):
        if label != state[axis]:
            yield (*state[:axis], label, *state[axis + 1 :])


def _shuffled(states: Sequence[State], random: np.random.Generator) -> list[State]:
    return [states[i] for i in random.permutation(len(states)).tolist()]
