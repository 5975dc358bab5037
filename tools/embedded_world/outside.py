"""Fits and measures the score for pictures from outside the embedded world."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.optimize import minimize
from scipy.special import expit

from rldf_gym.perception import OpenClip, OutlierModel
from tools.embedded_world.backgrounds import SIDE
from tools.embedded_world.batches import PictureSource, change_some
from tools.embedded_world.corpus import GRAMMARS, Corpus
from tools.embedded_world.outliers import outlier_pictures
from tools.embedded_world.shifts import SHIFTS, shifted
from tools.embedded_world.styles import STYLE_NAMES, STYLES
from tools.embedded_world.training_loop import StepRandom

LAYERS = ("trunk.layer4",)
FALSE_ALARMS = 0.01

_INSIDE, _OUTSIDE, _VALIDATED = 3_000, 2_000, 2_000  # pictures
_CHUNK = 100
_CHANGED_SHARE = 0.35
_STYLED = 600  # pictures in each style but photo, of all grammars and with weather; count twice
_STYLED_TOGETHER = 25  # so that a filter's own variants mix
_PENALTY = 1e-2
_SEED = 11


def changed_pictures(corpus: Corpus, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random pictures uint8 [n, H, W, 3], about half of them changed, and their rows."""
    source, pictures, rows = PictureSource(corpus), [], []
    for step in range(count // _CHUNK):
        batch = source.sample(StepRandom.of(seed, step), _CHUNK, "cpu")
        pictures.append((batch.pictures * 255).round().byte().permute(0, 2, 3, 1).numpy())
        rows.append(batch.indices)
    return np.concatenate(pictures), np.concatenate(rows)


def changed_outliers(renders: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return synthetic outliers, some of them changed as renders are."""
    pictures = outlier_pictures(renders, count, seed)
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, count, _CHUNK):
        x = torch.from_numpy(pictures[start : start + _CHUNK]).permute(0, 3, 1, 2).float() / 255
        chosen = rng.uniform(size=len(x)) < _CHANGED_SHARE
        changed, _ = change_some(x, chosen, chosen, rng)
        parts.append((changed * 255).round().byte().permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def in_every_style(renders: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Return pictures uint8 [n, H, W, 3] in every style but photo, by its name."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in STYLE_NAMES[1:]:
        parts = []
        for start in range(0, len(renders), _STYLED_TOGETHER):
            part = np.array(renders[start : start + _STYLED_TOGETHER])
            x = torch.from_numpy(part).permute(0, 3, 1, 2).float() / 255
            parts.append((STYLES[name](x, rng) * 255).round().byte().permute(0, 2, 3, 1).numpy())
        found[name] = np.concatenate(parts)
    return found


def fit_outside_score(
    clip: OpenClip, train: Corpus, validation: Corpus
) -> tuple[np.ndarray, float]:
    """Return weights float32 [d] and bias.

    A score is above 0 for at most 1 % of validation renders, in each style.
    """

    def seen(pictures: np.ndarray) -> np.ndarray:
        return clip.layer_statistics(pictures, LAYERS).astype(np.float64)

    rest = train.pictures[_INSIDE:]
    with_weather = train.grammars[_INSIDE:] == GRAMMARS.index("extended")
    styled = [
        *in_every_style(rest[:_STYLED], _SEED).values(),
        *in_every_style(rest[np.flatnonzero(with_weather)[:_STYLED]], _SEED + 1).values(),
    ]
    inside = seen(np.concatenate([changed_pictures(train, _INSIDE, _SEED)[0], *styled, *styled]))
    outside = seen(changed_outliers(np.asarray(train.pictures[:500]), _OUTSIDE, _SEED + 1))
    mean, deviation = inside.mean(0), inside.std(0) + 1e-6
    weights = (
        logistic_weights((inside - mean) / deviation, (outside - mean) / deviation) / deviation
    )
    thresholds = [
        np.quantile(seen(np.asarray(pictures)) @ weights, 1 - FALSE_ALARMS)
        for pictures in (
            validation.pictures[:_VALIDATED],
            *in_every_style(validation.pictures[:_STYLED], _SEED).values(),
        )
    ]
    return weights.astype(np.float32), -float(max(thresholds))


def logistic_weights(negative: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Return weights [d] of a ridge logistic regression between features [n, d] of two classes."""
    features = np.concatenate([negative, positive])
    signs = np.repeat([-1.0, 1.0], [len(negative), len(positive)])
    shares = np.repeat([0.5 / len(negative), 0.5 / len(positive)], [len(negative), len(positive)])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = signs * (features @ weights + bias)
        slopes = -shares * signs * expit(-margins)
        value = shares @ np.logaddexp(0, -margins) + _PENALTY / 2 * weights @ weights
        return value, np.append(features.T @ slopes + _PENALTY * weights, slopes.sum())

    start = np.zeros(features.shape[1] + 1)
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x[:-1]


def under_curve(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return the area under the receiver's curve of scores [n] and [m]; ties count half."""
    ordered = np.sort(inside)
    below = [np.searchsorted(ordered, outside, side) for side in ("left", "right")]
    return float(np.mean(below) / len(inside))


def middle_squares(folders: Sequence[Path]) -> np.ndarray:
    """Return the middle square of every picture file in folders, uint8 [n, 128, 128, 3].

    Files that Pillow cannot open are left out.
    """
    pictures = []
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        with contextlib.suppress(UnidentifiedImageError, OSError), Image.open(path) as image:
            square = ImageOps.fit(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.BICUBIC)
            pictures.append(np.asarray(square))
    return np.stack(pictures)


def measure_outside(
    outliers: OutlierModel, corpus: Corpus, photographs: np.ndarray, count: int
) -> dict[str, dict[str, float]]:
    """Return how well a score separates photographs from renders.

    Args:
        outliers: scores pictures.
        corpus: renders of the world.
        photographs: uint8 [n, H, W, 3] of anything else.
        count: how many renders.
    """

    def scores(pictures: np.ndarray) -> np.ndarray:
        return np.concatenate([output["score"] for output in outliers(pictures)])

    renders = np.asarray(corpus.pictures[:count])
    inside = {"renders": scores(renders)}
    inside |= {f"renders, {name}": scores(shifted(renders, s)) for name, s in SHIFTS.items()}
    styled = {name: scores(each) for name, each in in_every_style(renders, _SEED).items()}
    together, outside = np.concatenate([*inside.values()]), scores(photographs)
    tables = {
        name: {"flagged": float((found > 0).mean())}
        for name, found in (*inside.items(), *styled.items())
    }
    for name, found in (("renders", inside["renders"]), ("renders and shifted ones", together)):
        threshold = np.quantile(found, 1 - FALSE_ALARMS)
        tables[f"photographs against {name}"] = {
            "area under ROC": under_curve(found, outside),
            "flagged at 1 % false alarms": float((outside > threshold).mean()),
        }
    return tables | {"photographs": {"flagged": float((outside > 0).mean())}}
