"""Measures what perception may be sure of: temperatures, calibration errors, least similarity."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.optimize import minimize_scalar

from rldf_gym.grammar import load_grammar
from rldf_gym.perception import (
    OpenClip,
    Perception,
    Reading,
    UltralyticsDetector,
    UltralyticsSceneClassifier,
)
from rldf_gym.perception.calibration import Calibration
from tools.embedded_world.corpus import GRAMMARS, Corpus, true_states
from tools.embedded_world.outside import (
    LAYERS,
    changed_pictures,
    fit_outside_score,
)
from tools.embedded_world.reading import ReadPictures, read_pictures

_MEASURED = ("base", "extended", "actions")  # in "objects" either thing may come first
_READ = 600
_UNLIKE = 0.002  # share of renders whose own prompt is called unlike them
_BINS = 15
_SEED = 14

Probabilities = Sequence[np.ndarray]  # of several pictures, float [n_values] each
Answers = dict[str, list[tuple[np.ndarray, int]]]  # by model: probabilities and the true label


def calibrate(folder: Path, device: str, train: Corpus, validation: Corpus) -> Calibration:
    """Measure a perception.

    Args:
        folder: of its models.
        device: where they run.
        train: renders whose features are compared with those of synthetic outliers.
        validation: renders that decide threshold, least similarity and temperatures.
    """
    clip = OpenClip(folder / "clip", device)
    perception = Perception(
        clip=clip,
        detector=UltralyticsDetector(folder / "detector", device),
        scene_classifier=UltralyticsSceneClassifier(folder / "scene_classifier", device),
    )
    weights, bias = fit_outside_score(clip, train, validation)
    pictures, rows = changed_pictures(validation, _READ, _SEED)
    answers: Answers = defaultdict(list)
    for name in _MEASURED:
        grammar = load_grammar(name)
        members = np.flatnonzero(validation.grammars[rows] == GRAMMARS.index(name))
        read = read_pictures(perception, grammar, pictures[members])
        _collect(answers, read, true_states(grammar, validation.labels[rows[members]]))
    return Calibration(
        clip=clip.fingerprint,
        layers=LAYERS,
        weights=weights,
        bias=bias,
        least_similarity=least_similarity(clip, validation),
        temperatures={
            name: temperature(*zip(*pairs, strict=True)) for name, pairs in answers.items()
        },
    )


def _collect(answers: Answers, read: ReadPictures, true: np.ndarray) -> None:
    """Add the probabilities that each model gives, with the true labels int [n, n_axes]."""
    for axis, reader in enumerate(read.readers):
        for whole, alone, label in zip(read.whole, read.alone, true[:, axis].tolist(), strict=True):
            answers["clip"].append((alone.probabilities[axis], label))
            if reader != "clip":
                answers[reader].append((whole.probabilities[axis], label))


def least_similarity(clip: OpenClip, validation: Corpus) -> float:
    """Return the cosine with their own prompts that all but a few renders reach."""
    similarities: list[float] = []
    for name in _MEASURED:
        grammar = load_grammar(name)
        rows = np.flatnonzero(validation.grammars == GRAMMARS.index(name))[:_READ]
        true = true_states(grammar, validation.labels[rows])
        prompts = clip.embed_texts([grammar.decode(state) for state in true])
        found = clip(np.asarray(validation.pictures[rows]))
        embeddings = np.stack([output["embedding"] for output in found])
        similarities += (prompts * embeddings).sum(1).tolist()
    return float(np.quantile(similarities, _UNLIKE))


def temperature(probabilities: Probabilities, labels: Sequence[int]) -> float:
    """Return the temperature with which probabilities have the least Brier score.

    Source: Guo et al. 2017 (arXiv:1706.04599), Sec. 4.2, who use the likelihood; a count of boxes
    may have probability 0.
    """
    wide = np.zeros((len(labels), max(map(len, probabilities))))
    for row, values in zip(wide, probabilities, strict=True):
        row[: len(values)] = values
    true = np.eye(wide.shape[1])[list(labels)]

    def brier(log_temperature: float) -> float:
        powers = wide ** np.exp(-log_temperature)
        return float(np.square(powers / powers.sum(1, keepdims=True) - true).sum(1).mean())

    return float(np.exp(minimize_scalar(brier, bounds=(-2.0, 2.0), method="bounded").x))


def calibration_error(probabilities: Probabilities, labels: Sequence[int]) -> float:
    """Return the expected calibration error of the likeliest values.

    Source: Guo et al. 2017 (arXiv:1706.04599), Eq. 3, with fifteen bins.
    """
    confidence = np.array([values.max() for values in probabilities])
    right = np.array([values.argmax() for values in probabilities]) == np.array(labels)
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs((right[bins == b] - confidence[bins == b]).sum()) for b in range(_BINS)]
    return float(sum(gaps) / len(labels))


def readings_error(
    readings: Sequence[Reading], true: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """Return `calibration_error` by axis of readings whose states int [n, n_axes] are known."""
    return {
        name: calibration_error([r.probabilities[axis] for r in readings], true[:, axis].tolist())
        for axis, name in enumerate(names)
    }


def measure_calibration(
    perception: Perception, corpus: Corpus, count: int
) -> dict[str, dict[str, float]]:
    """Return expected calibration errors by axis on renders, half of them changed at random."""
    pictures, rows = changed_pictures(corpus, count, _SEED + 1)
    tables: dict[str, dict[str, float]] = {}
    for name in _MEASURED:
        grammar = load_grammar(name)
        members = np.flatnonzero(corpus.grammars[rows] == GRAMMARS.index(name))
        true = true_states(grammar, corpus.labels[rows[members]])
        read = read_pictures(perception, grammar, pictures[members])
        for reader, some in (("perception", read.whole), ("CLIP alone", read.alone)):
            tables[f"{name}: {reader}"] = readings_error(some, true, grammar.axis_names)
    return tables
