"""Everything that searches: the learners, Stable-Baselines3, and the peers that may jump."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.sample_efficiency.search import EndWithLedger, Ledger, Watched, follow_in
from rldf_agents.inversion import black_box
from rldf_agents.learners import LEARNERS
from rldf_agents.protocols import SingleEnvironment
from rldf_gym.registry import resolve

JUMPING_PEERS: Mapping[str, black_box.Peer] = MappingProxyType(
    {
        "optuna_tpe": black_box.tree_parzen_estimator,
        "optuna_tpe_tuned": black_box.tuned_tree_parzen_estimator,
        "hill_climbing": black_box.hill_climbing,
        "random_search": black_box.random_search,
        "coordinate_search": black_box.coordinate_search,
    }
)
SB3_MODELS = ("dqn", "ppo", "a2c")
REFERENCES = ("coordinate_search",)
"""Peers that no bar names: what is possible where one may jump along an axis."""

_SB3 = "sb3_"


@dataclass(frozen=True)
class Searcher:
    """What is compared.

    Attributes:
        name: of its rows.
        title: for people.
        kind: "learner", "sb3", "peer" or "reference".
    """

    name: str
    title: str
    kind: str


def _searchers() -> dict[str, Searcher]:
    found = [Searcher(name, name.replace("_", " "), "learner") for name in LEARNERS]
    found += [Searcher(_SB3 + name, f"SB3 {name.upper()}", "sb3") for name in SB3_MODELS]
    for name in JUMPING_PEERS:
        kind = "reference" if name in REFERENCES else "peer"
        found.append(
            Searcher(name, name.replace("_", " ").replace("optuna tpe", "Optuna TPE"), kind)
        )
    return {searcher.name: searcher for searcher in found}


SEARCHERS: Mapping[str, Searcher] = MappingProxyType(_searchers())


def find_searcher(name: str) -> Searcher:
    """Return the searcher of a name; ``package.module:Class`` is a learner outside this package."""
    return SEARCHERS.get(name) or Searcher(name, name.rpartition(":")[2], "learner")


def search(name: str, env: SingleEnvironment, ledger: Ledger, seed: int) -> None:
    """Search for the environment's target until the ledger says that it is over.

    Everyone comes with its own defaults and sees observations and rewards only.
    """
    kind = find_searcher(name).kind
    if kind == "learner":
        watched = Watched(env, ledger)
        learner = resolve("learner", name, LEARNERS)(env.observation_space, env.action_space)
        learner.learn(watched, ledger.max_looks, seed, [EndWithLedger(ledger)])
    elif kind == "sb3":
        _search_with_sb3(name.removeprefix(_SB3), Watched(env, ledger), ledger, seed)
    else:
        sizes = env.get_wrapper_attr("grammar").nvec.tolist()
        follow_in(JUMPING_PEERS[name](sizes, seed), env, ledger)


def _search_with_sb3(name: str, env: SingleEnvironment, ledger: Ledger, seed: int) -> None:
    import torch

    from rldf_agents.sb3 import CallbackBridge, make_model

    torch.set_num_threads(1)
    model = make_model(name, env, seed=seed)
    model.learn(ledger.max_looks, callback=CallbackBridge([EndWithLedger(ledger)]))
