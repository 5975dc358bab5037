"""How many images a search takes in a world of 10^12 states, with a stand-in for the feedback.

The world is the grammar `world`: nouns, actions and places, hundreds of values on an axis. There
are no pictures. The feedback stands in for models: the mean, over the axes, of how alike the read
value and that of the target are, where a tenth of the states is misread, each always alike, on one
axis, as any other value of it.

How alike two values are is WordNet's path similarity, 1 / (1 + steps), in two forms: along the
grammar's own tree, which the learner gets as well; and, for nouns and scenes, in WordNet itself,
where a word has several ways up, of which the grammar's tree keeps one.

The cost of a search is the number of distinct states that it visits, its start included, until the
target is first visited.
"""

import csv
import functools
import hashlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from benchmarks.locality import WORDNET, similarities
from benchmarks.results import Case, Report, Results, measure
from benchmarks.sample_efficiency.search import EndWithLedger, Ledger, Watched
from benchmarks.sample_efficiency.searchers import JUMPING_PEERS
from rldf_agents.learners import LEARNERS
from rldf_agents.learners.value_trees import tree_distances
from rldf_gym.actions import make_action_mode
from rldf_gym.grammar import Grammar, load_grammar

GRAMMAR = "world"
MISREAD = 0.1
BAR_IMAGES, BAR_STATES = 100, 10**9
GRAMMAR_TREE, WORDNET_GRAPH = "grammar's tree", "WordNet's graph"
BEST = "tree_ucb"
_IN_WORDNET = ("noun", "scene")
_ANY = "any"
_TITLES = {
    "tree_ucb": "**tree UCB**",
    "tree_ucb_halves": "tree UCB without the trees",
    "optuna_tpe": "Optuna TPE",
    "coordinate_search": "coordinate search",
    "hill_climbing": "hill climbing",
}
_UNIT = 2.0**-32


@dataclass(frozen=True)
class _Plan:
    """How much is measured.

    Attributes:
        budget: distinct states granted to a search.
        n_seeds: searches by each searcher, each with a target and a start of its own.
        n_peer_seeds: the same for Optuna's TPE, which takes long.
        n_slow_seeds: the same for the best learner with other moves, and without its trees.
        n_other_seeds: the same for the best learner with the other feedback.
    """

    budget: int
    n_seeds: int
    n_peer_seeds: int
    n_slow_seeds: int
    n_other_seeds: int


_FULL, _QUICK = _Plan(120, 40, 20, 10, 20), _Plan(20, 1, 1, 1, 1)
_FAST = ((BEST, "jump"), ("coordinate_search", _ANY), ("hill_climbing", _ANY))
_SLOW = ((BEST, "tree"), (BEST, "axis"), ("tree_ucb_halves", "jump"))


def run(quick: bool) -> Results:
    """Search for every target with every searcher."""
    plan = _QUICK if quick else _FULL
    grammar = load_grammar(GRAMMAR)
    settings = {
        "grammar": GRAMMAR,
        "states": float(grammar.n_states),
        "misread": MISREAD,
        "budget": plan.budget,
        "bar_images": BAR_IMAGES,
        "bar_states": BAR_STATES,
    }
    packages = ("optuna", "scipy")
    cases = list(_cases(plan))
    return measure(
        "wide_worlds", settings, cases, measure_case, quick=quick, packages=packages, workers=2
    )


def _cases(plan: _Plan) -> Iterator[Case]:
    searches = [(GRAMMAR_TREE, *search, plan.n_seeds) for search in _FAST]
    searches += [(WORDNET_GRAPH, BEST, "jump", plan.n_other_seeds)]
    searches += [(GRAMMAR_TREE, "optuna_tpe", _ANY, plan.n_peer_seeds)]
    searches += [(GRAMMAR_TREE, *search, plan.n_slow_seeds) for search in _SLOW]
    for feedback, searcher, moves, n_seeds in searches:
        for seed in range(n_seeds):
            case = {"feedback": feedback, "searcher": searcher, "moves": moves}
            yield {**case, "seed": seed, "budget": plan.budget}


def measure_case(case: Case) -> dict[str, Any]:
    """Run one search.

    Returns:
        ``images``, distinct states until the target was visited, None if it was not within the
        budget; ``seconds``.
    """
    moves = "jump" if case["moves"] == _ANY else case["moves"]
    world, ledger = WideWorld(case["feedback"], case["seed"], moves), Ledger(case["budget"])
    started = time.perf_counter()
    if case["searcher"] in JUMPING_PEERS:
        _follow(case["searcher"], world, ledger, case["seed"])
    else:
        _learn(case["searcher"], world, ledger, case["seed"])
    return {
        "images": len(ledger.states) if ledger.reached else None,
        "seconds": round(time.perf_counter() - started, 2),
    }


def _learn(searcher: str, world: "WideWorld", ledger: Ledger, seed: int) -> None:
    options = {"trees": tuple(axis.tree for axis in _world().axes)} if searcher == BEST else {}
    learner = LEARNERS[searcher.removesuffix("_halves")](
        world.observation_space, world.action_space, **options
    )
    learner.learn(Watched(world, ledger), ledger.max_looks, seed, [EndWithLedger(ledger)])


def _follow(searcher: str, world: "WideWorld", ledger: Ledger, seed: int) -> None:
    """Evaluate the states that a peer proposes, send it their rewards, until it is over."""
    proposals = JUMPING_PEERS[searcher](_world().nvec.tolist(), seed)
    state = next(proposals)
    while True:
        ledger.look(state, np.array_equal(state, world.goal))
        if ledger.over:
            return
        state = proposals.send(world.reward(np.array(state)))


class WideWorld(gym.Env[npt.NDArray[np.int64], Any]):
    """The states of the grammar, walked by one of the action modes, without pictures.

    Args:
        feedback: `GRAMMAR_TREE` or `WORDNET_GRAPH`.
        seed: decides target, start, and which states are misread.
        moves: an action mode.

    Attributes:
        goal: the target's state, int64 ``[n_axes]``.
    """

    def __init__(self, feedback: str, seed: int, moves: str) -> None:
        grammar = _world()
        self.observation_space = spaces.MultiDiscrete(grammar.nvec)
        self._mode = make_action_mode(moves, grammar.axes)
        self.action_space = self._mode.space
        self._alike = _alike(feedback)
        self._seed, self._sizes = seed, grammar.nvec
        random = np.random.default_rng([seed, 20_231_127])
        self.goal = random.integers(grammar.nvec)
        self._start = random.integers(grammar.nvec)
        self._state = self._start

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.int64], dict[str, Any]]:
        """Return to the start."""
        super().reset(seed=seed)
        self._state = self._start
        return self._state.copy(), self._info()

    def step(self, action: Any) -> tuple[npt.NDArray[np.int64], float, bool, bool, dict[str, Any]]:
        """Move, and return the feedback on the new state."""
        self._state = self._mode.apply([action], self._state[np.newaxis])[0]
        info = self._info()
        return self._state.copy(), self.reward(self._state), info["at_goal"], False, info

    def reward(self, state: npt.NDArray[np.int64]) -> float:
        """Return the mean likeness of what is read in a state, 0 .. 1."""
        pairs = zip(self._alike, self.read(state), self.goal, strict=True)
        return float(np.mean([table[value, goal] for table, value, goal in pairs]))

    def read(self, state: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return what is read in a state: itself, or misread on one axis as any other value."""
        key = self._seed.to_bytes(8, "big") + state.astype(">i8").tobytes()
        numbers = np.frombuffer(hashlib.blake2b(key, digest_size=12).digest(), ">u4")
        chance, axis, other = numbers.astype(np.int64).tolist()
        shown = state.copy()
        if chance * _UNIT < MISREAD:
            axis %= len(shown)
            size = int(self._sizes[axis])
            shown[axis] = (shown[axis] + 1 + other % (size - 1)) % size
        return shown

    def _info(self) -> dict[str, Any]:
        return {"at_goal": bool(np.array_equal(self._state, self.goal))}


@functools.cache
def _world() -> Grammar:
    return load_grammar(GRAMMAR)


@functools.cache
def _alike(feedback: str) -> list[npt.NDArray[np.float64]]:
    """How alike the values of every axis are: ``[n_values, n_values]`` each."""
    return [
        similarities(GRAMMAR, axis.name, WORDNET)
        if feedback == WORDNET_GRAPH and axis.name in _IN_WORDNET
        else 1 / (1 + tree_distances(axis.tree).astype(np.float64))
        for axis in _world().axes
    ]


def report(results: Results) -> Report:
    """Tabulate the costs, and compare the best learner's median with the bar."""
    settings = results.settings
    found = _costs(results)
    bar = settings["bar_images"]
    median = float(np.median(found[GRAMMAR_TREE, BEST, "jump"]))
    verdict = "met" if median <= bar and settings["states"] >= settings["bar_states"] else "missed"
    lines = [
        "# Wide worlds",
        "",
        f"Grammar `{settings['grammar']}`, {settings['states']:.1e} states, no pictures: the"
        " feedback is a **stand-in** that follows WordNet's path similarity on every axis, and"
        f" misreads {settings['misread']:.0%} of the states on one axis, as any other value of it."
        " The cost is the number of distinct states visited, the start included, until the target"
        f" is first visited; a search ends after {settings['budget']}. Tree UCB's constants were"
        " chosen with this stand-in, on other targets.",
        "",
        f"**Bar:** median of at most {bar} images by the best learner, in at least"
        f" {settings['bar_states']:.0e} states: {_number(median, settings['budget'])}, {verdict}.",
    ]
    texts = {
        GRAMMAR_TREE: "Likeness along the grammar's own tree, which tree UCB receives too.",
        WORDNET_GRAPH: "Likeness of nouns and scenes in WordNet itself. A word has several ways up"
        " there, of which the grammar's tree keeps one: it is often wrong about what is near.",
    }
    for feedback, text in texts.items():
        lines += ["", f"## Likeness: {feedback}", "", text, "", *_table(found, feedback, bar)]
    lines += [
        "",
        "Moves: `jump` sets one axis to a value, `tree` moves along the axis's tree, `axis` by one"
        " value; `any` may change all axes at once. Walking `axis` by `axis`, the straight way from"
        " start to target alone visits some 700 states.",
    ]
    return Report("\n".join(lines), {"": _csv(found)})


_Costs = dict[tuple[str, str, str], npt.NDArray[np.float64]]


def _costs(results: Results) -> _Costs:
    """Return the images of every search, infinite if it did not arrive, the cheapest first."""
    lists: dict[tuple[str, str, str], list[float]] = {}
    for row in results.rows:
        images = float("inf") if row["images"] is None else row["images"]
        lists.setdefault((row["feedback"], row["searcher"], row["moves"]), []).append(images)
    costs = {key: np.array(images, np.float64) for key, images in lists.items()}
    return dict(sorted(costs.items(), key=lambda item: (np.median(item[1]), item[0])))


def _table(costs: _Costs, feedback: str, bar: int) -> Iterator[str]:
    yield f"| search | moves | searches | found | within {bar} | median images | 90 % within |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for (own, searcher, moves), images in costs.items():
        if own == feedback:
            shares = f"{np.isfinite(images).mean():.2f} | {(images <= bar).mean():.2f}"
            quantiles = (np.quantile(images, q, method="higher") for q in (0.5, 0.9))
            numbers = " | ".join(_number(each) for each in quantiles)
            yield f"| {_TITLES[searcher]} | {moves} | {len(images)} | {shares} | {numbers} |"


def _number(images: float, budget: int | None = None) -> str:
    if np.isfinite(images):
        return f"{images:.0f}"
    return "not found" if budget is None else f"more than {budget}"


def _csv(costs: _Costs) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("feedback", "searcher", "moves", "searches", "found", "median"))
    for key, images in costs.items():
        share, median = np.isfinite(images).mean(), np.quantile(images, 0.5, method="higher")
        writer.writerow((*key, len(images), f"{share:.3f}", _number(median)))
    return text.getvalue()
