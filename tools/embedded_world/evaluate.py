"""Measures the shipped models against the bars and writes the figures.

Faithfulness is judged by `benchmarks.judge`, which learned from its own renders only. The seeds
used here trained and chose nothing. Everything is loaded as a user loads it.
"""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.judge import Judge
from rldf_gym.generation import Generator
from rldf_gym.grammar import Grammar, load_grammar
from rldf_gym.perception import Perception, TextPictureModel
from tools.embedded_world.corpus import GRAMMARS, LABELS, Corpus, held_out, true_states
from tools.embedded_world.reading import read_states
from tools.embedded_world.shifts import SHIFTS, shifted

SEEDS = (1001, 1002)
WEATHER_SEEDS = (7, 1001, 1002, 1003, 1004)
_CHUNK = 16
_JUDGED = {  # axis of a grammar: axis of the judge
    "first_noun": "noun",
    "first_count": "frequency",
    "second_count": "second_frequency",
}

Figures = dict[str, float]


@dataclass(frozen=True)
class Extent:
    """How many pictures are measured.

    Attributes:
        states: most states of a grammar that are generated with each seed.
        weathers: states of the extended grammar that are generated with each of five seeds.
        renders: most renders of each grammar.
        shifted: renders that each shift is applied to.
        changed: renders that are changed at random.
    """

    states: int = 720
    weathers: int = 96
    renders: int = 1_000
    shifted: int = 300
    changed: int = 2_000

    def times(self, share: float) -> "Extent":
        """Return the share 0..1 of each, at least 100 changed ones."""
        fewer = {name: max(1, round(count * share)) for name, count in vars(self).items()}
        return Extent(**{**fewer, "changed": max(100, fewer["changed"])})


@dataclass(frozen=True)
class Generated:
    """Generated pictures of a grammar's states.

    Attributes:
        states: int64 [n, n_axes].
        pictures: uint8 [n, H, W, 3].
    """

    states: np.ndarray
    pictures: np.ndarray


def generate(
    generator: Generator, grammar: Grammar, states: np.ndarray, seeds: Sequence[int]
) -> Generated:
    """Generate every state with every seed."""
    pairs = [(state, seed) for seed in seeds for state in states]
    parts = []
    for start in tqdm(range(0, len(pairs), _CHUNK), desc=f"generating {grammar.name}"):
        chunk = pairs[start : start + _CHUNK]
        parts.append(generator([grammar.decode(s) for s, _ in chunk], [seed for _, seed in chunk]))
    return Generated(np.stack([state for state, _ in pairs]), np.concatenate(parts))


def judged_states(judge: Judge, grammar: Grammar, pictures: np.ndarray) -> np.ndarray:
    """Return the judge's labels of pictures, int64 [n, n_axes]; -1 for a word that is none."""
    found = judge.probabilities(pictures)
    columns = []
    for axis in grammar.axes:
        judged = _JUDGED.get(axis.name, axis.name)
        words = judge.answers[judged]
        label = np.array([axis.values.index(w) if w in axis.values else -1 for w in words])
        columns.append(label[found[judged].argmax(1)])
    return np.stack(columns, 1)


def without_order(grammar: Grammar, states: np.ndarray) -> np.ndarray:
    """Return states [n, n_axes] with two things in the order of their labels.

    "one dog and many car" and "many car and one dog" are read alike.
    """
    if "second_noun" not in grammar.axis_names:
        return states
    first, second = (
        [grammar.axis_index(f"{place}_{what}") for what in ("noun", "count")]
        for place in ("first", "second")
    )
    swap = (states[:, first] @ (2, 1)) > (states[:, second] @ (2, 1))
    ordered = states.copy()
    ordered[np.ix_(swap, first + second)] = states[np.ix_(swap, second + first)]
    return ordered


def accuracy(grammar: Grammar, found: np.ndarray, true: np.ndarray) -> Figures:
    """Return the share of equal labels by axis, and of states equal on all axes."""
    right = without_order(grammar, found) == without_order(grammar, true)
    figures = {axis.name: float(right[:, i].mean()) for i, axis in enumerate(grammar.axes)}
    return {**figures, "all": float(right.all(1).mean())}


def sampled_states(grammar: Grammar, at_most: int) -> np.ndarray:
    """Return every state of a small grammar, a seeded sample of a large one."""
    if grammar.n_states <= at_most:
        indices = np.arange(grammar.n_states)
    else:
        indices = np.random.default_rng(0).permutation(grammar.n_states)[:at_most]
    return np.stack([grammar.state(int(i)) for i in indices])


def measure_generation(
    generator: Generator, perception: Perception, judge: Judge, extent: Extent
) -> dict[str, Figures]:
    """Return faithfulness by the judge, and the closed loop by the perception, by grammar."""
    tables: dict[str, Figures] = {}
    for name in GRAMMARS:
        grammar = load_grammar(name)
        generated = generate(generator, grammar, sampled_states(grammar, extent.states), SEEDS)
        states = generated.states
        judged = judged_states(judge, grammar, generated.pictures)
        tables[f"{name}: judged"] = accuracy(grammar, judged, states)
        unseen = held_out(grammar, states)
        for label, rows in (("seen in training", ~unseen), ("held out", unseen)):
            tables[f"{name}: judged, {label}"] = accuracy(grammar, judged[rows], states[rows])
        for value, word in enumerate(_people_words(grammar)):
            rows = states[:, grammar.axis_index("density")] == value
            tables[f"{name}: judged, {word} people"] = accuracy(grammar, judged[rows], states[rows])
        read, alone = read_states(perception, grammar, generated.pictures)
        tables[f"{name}: closed loop"] = accuracy(grammar, read, states)
        tables[f"{name}: closed loop, CLIP alone"] = accuracy(grammar, alone, states)
    return tables


def measure_weather(generator: Generator, judge: Judge, extent: Extent) -> Figures:
    """Return the share of pictures with the right weather, judged, by seed."""
    grammar = load_grammar("extended")
    states = sampled_states(grammar, extent.weathers)
    axis = grammar.axis_index("weather")
    shares = {}
    for seed in WEATHER_SEEDS:
        generated = generate(generator, grammar, states, [seed])
        judged = judged_states(judge, grammar, generated.pictures)
        shares[f"seed {seed}"] = float((judged[:, axis] == generated.states[:, axis]).mean())
    return shares


def measure_distance(generator: Generator, clip: TextPictureModel, corpus: Corpus) -> float:
    """Return `frechet_distance` of generated to tidily rendered pictures of the base grammar.

    Takes a picture of every state: with fewer, the distance of good pictures grows most.
    """
    grammar = load_grammar("base")
    tidy = corpus.labels[:, LABELS.index("tidy")] == 1
    rows = np.flatnonzero((corpus.grammars == GRAMMARS.index("base")) & tidy)
    states = sampled_states(grammar, grammar.n_states)
    generated = generate(generator, grammar, states, SEEDS[:1])
    features = [
        np.stack([output["embedding"] for output in clip(pictures)])
        for pictures in (generated.pictures, np.asarray(corpus.pictures[rows]))
    ]
    return frechet_distance(*features)


def _people_words(grammar: Grammar) -> tuple[str, ...]:
    return grammar.axis("density").values if "density" in grammar.axis_names else ()


def measure_robustness(
    perception: Perception, judge: Judge, corpus: Corpus, extent: Extent
) -> dict[str, Figures]:
    """Accuracy on base renders of perception, CLIP alone and the judge, under each shift."""
    grammar = load_grammar("base")
    rows = np.flatnonzero(corpus.grammars == GRAMMARS.index("base"))[: extent.shifted]
    true = true_states(grammar, corpus.labels[rows])
    tables: dict[str, Figures] = {}
    for name, shift in SHIFTS.items():
        pictures = shifted(corpus.pictures[rows], shift)
        read, alone = read_states(perception, grammar, pictures)
        judged = judged_states(judge, grammar, pictures)
        for who, found in (("perception", read), ("CLIP alone", alone), ("judge", judged)):
            tables[f"base, {name}: {who}"] = accuracy(grammar, found, true)
    return tables


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Return the Fréchet distance of two sets of features [n, d], each seen as a Gaussian.

    Source: Heusel et al. 2017 (arXiv:1706.08500), Eq. 6, here on the shipped CLIP's embeddings.
    """
    covariances = np.cov(features, rowvar=False), np.cov(others, rowvar=False)
    # The trace of the root of a product is the sum of the roots of its eigenvalues.
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(min=0)
    apart = np.square(features.mean(0) - others.mean(0)).sum()
    traces = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(apart + traces - 2 * np.sqrt(eigenvalues).sum())


def measure_perception(
    perception: Perception, judge: Judge, corpus: Corpus, extent: Extent
) -> dict[str, Figures]:
    """Accuracy of perception, CLIP alone and the judge on renders that none of them has seen."""
    tables: dict[str, Figures] = {}
    for number, name in enumerate(GRAMMARS):
        grammar = load_grammar(name)
        rows = np.flatnonzero(corpus.grammars == number)[: extent.renders]
        pictures, true = corpus.pictures[rows], true_states(grammar, corpus.labels[rows])
        read, alone = read_states(perception, grammar, pictures)
        tables[f"{name}: perception"] = accuracy(grammar, read, true)
        tidy = corpus.labels[rows, LABELS.index("tidy")] == 1
        for label, some in (("tidy", tidy), ("loose", ~tidy)):
            tables[f"{name}: perception, {label}"] = accuracy(grammar, read[some], true[some])
        tables[f"{name}: CLIP alone"] = accuracy(grammar, alone, true)
        judged = judged_states(judge, grammar, pictures)
        tables[f"{name}: judge"] = accuracy(grammar, judged, true)
    return tables


def measure_speed(generator: Generator, perception: Perception, repeats: int = 15) -> Figures:
    """Return median milliseconds a picture: generation at batch 1 and 16, perception at 1."""
    grammar = load_grammar("base")
    prompts = [grammar.decode(grammar.state(i)) for i in range(0, 480, 30)]
    picture = generator(prompts[:1], [0])

    def look() -> None:
        for model in perception.models().values():
            model(picture)

    jobs = {
        "generator, batch 1": (lambda: generator(prompts[:1], [0]), 1),
        "generator, batch 16": (lambda: generator(prompts, [0] * 16), 16),
        "perception, batch 1": (look, 1),
    }
    figures = {}
    for name, (job, pictures) in jobs.items():
        job()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            job()
            times.append((time.perf_counter() - start) / pictures * 1000)
        figures[name] = statistics.median(times)
    return figures


def measure_sizes(folder: Path) -> Figures:
    """Megabytes (10^6 bytes) of each shipped model and of all together."""
    models = ("text_to_image", "detector", "scene_classifier", "clip")
    sizes = {
        name: sum(f.stat().st_size for f in (folder / name).rglob("*") if f.is_file()) / 1e6
        for name in models
    }
    return {**sizes, "all": sum(sizes.values())}


def markdown_tables(tables: dict[str, Figures]) -> str:
    """Return tables of one shape each: rows that share their columns come together."""
    parts = []
    for columns, rows in itertools.groupby(tables.items(), key=lambda row: tuple(row[1])):
        lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
        for name, figures in rows:
            cells = " | ".join(f"{value:.3f}" for value in figures.values())
            lines.append(f"| {name} | {cells} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
