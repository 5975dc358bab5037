"""What a user would try instead of reinforcement learning: searches that may jump to any state.

Each is a Python generator: it yields the state to evaluate next and receives the reward of that
state's image, until the caller stops. It receives nothing else. A second visit is free.
"""

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

State: TypeAlias = tuple[int, ...]
Proposals: TypeAlias = Generator[State, float, None]
Peer: TypeAlias = Callable[[Sequence[int], int], Proposals]
"""Makes a search from the sizes of all axes ``[n_axes]`` and a seed."""


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


def _tree_parzen_estimator(sizes: Sequence[int], seed: int, **settings: Any) -> Proposals:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # "gamma" goes away in Optuna 6; no setting that stays does as well.
        warnings.simplefilter("ignore", FutureWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, **settings)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    axes: dict[str, optuna.distributions.BaseDistribution] = {
        str(axis): optuna.distributions.CategoricalDistribution(range(size))
        for axis, size in enumerate(sizes)
    }
    while True:
        trial = study.ask(axes)
        study.tell(trial, (yield tuple(trial.params[name] for name in axes)))


JUMPING_PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "optuna_tpe": tree_parzen_estimator,
        "optuna_tpe_tuned": tuned_tree_parzen_estimator,
        "hill_climbing": hill_climbing,
        "random_search": random_search,
        "coordinate_search": coordinate_search,
    }
)


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
