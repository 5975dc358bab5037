"""Distances of data sets in a feature space: FID, KID, precision, recall, diversity, copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rldf_gym.model_loading import suppress_logs

if TYPE_CHECKING:
    import torch

Features = npt.NDArray[np.float32]

COPY_RATIO = 0.1
"""A clone picture nearer to a real one than this share of the median distance between a real
picture and its nearest other is a copy."""

_KID_SUBSETS, _KID_SUBSET_SIZE = 100, 1000
_NEIGHBOURS = 3
_MOST_PAIRED = 1000
_BLOCK = 2000


@dataclass(frozen=True)
class Distance:
    """How far a clone is from a data set.

    Attributes:
        data: name of the data set.
        pictures: number of its pictures.
        fid: Fréchet distance (Heusel et al. 2017); None where there are too few pictures.
        kid: kernel distance, the mean over subsets (Bińkowski et al. 2018); None for fewer than
            four pictures.
        kid_deviation: standard deviation over the subsets; None where ``kid`` is.
        precision: share of clone pictures within the data set's manifold (Kynkäänniemi et al.
            2019, k = 3); None for fewer than five pictures.
        recall: share of the data set's pictures within the clone's manifold; None likewise.
    """

    data: str
    pictures: int
    fid: float | None
    kid: float | None
    kid_deviation: float | None
    precision: float | None
    recall: float | None


def measure_distance(data: str, real: Features, clone: Features, seed: int) -> Distance:
    """Return how far features ``clone [m, d]`` are from ``real [n, d]``; KID's subsets by seed."""
    fewest = min(len(real), len(clone))
    kid, deviation = _kernel_distance(real, clone, seed) if fewest >= 4 else (None, None)
    enough = fewest > _NEIGHBOURS + 1
    precision, recall = _precision_and_recall(real, clone) if enough else (None, None)
    return Distance(
        data=data,
        pictures=len(real),
        fid=_frechet_distance(real, clone) if enough_for_fid(real, clone) else None,
        kid=kid,
        kid_deviation=deviation,
        precision=precision,
        recall=recall,
    )


def enough_for_fid(real: Features, clone: Features) -> bool:
    """Return whether both have more pictures than features.

    With fewer, a covariance has no full rank and FID is far too large.
    """
    return bool(min(len(real), len(clone)) > real.shape[1])


def _frechet_distance(real: Features, clone: Features) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_as_they_are(real.shape[1]))
    return float(_updated(metric, real, clone).compute())


def _kernel_distance(real: Features, clone: Features, seed: int) -> tuple[float, float]:
    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(_KID_SUBSET_SIZE, min(len(real), len(clone)) // 2)
    with suppress_logs():  # a warning that it keeps all features, which are in memory anyway
        metric = KernelInceptionDistance(
            feature=_as_they_are(real.shape[1]), subsets=_KID_SUBSETS, subset_size=size
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mean, deviation = _updated(metric, real, clone).compute()
    return float(mean), float(deviation)


def _as_they_are(dimension: int) -> torch.nn.Module:
    """Return the extractor for torchmetrics that leaves features as they are."""
    import torch

    module = torch.nn.Identity()
    vars(module)["num_features"] = dimension
    return module


def _updated(metric: Any, real: Features, clone: Features) -> Any:
    for features, is_real in ((real, True), (clone, False)):
        metric.update(_tensor(features), real=is_real)
    return metric


def _tensor(features: Features) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.asarray(features, np.float64))


def _precision_and_recall(real: Features, clone: Features) -> tuple[float, float]:
    """Return the share of each within the other's manifold, k = 3.

    The manifold is the union of balls around its members that reach their third neighbours. Not by
    torch-fidelity: it installs a package named "tests", which hides a project's own.
    """
    return _share_within(clone, real), _share_within(real, clone)


def _share_within(some: Features, manifold: Features) -> float:
    import torch

    # The first neighbour of a member is the member itself.
    radii = torch.cat(
        [block.kthvalue(_NEIGHBOURS + 1).values for block in _blocks(manifold, manifold)]
    )
    within = [(block <= radii).any(dim=1) for block in _blocks(some, manifold)]
    return float(torch.cat(within).double().mean())


def diversity(features: Features, labels: npt.NDArray[np.int64], n: int, seed: int) -> list[float]:
    """Return the mean distance between two pictures of a class, for each class ``[n]``.

    Of a class with more than a thousand pictures, a thousand are compared. A class of one picture
    has 0.
    """
    import torch

    rng = np.random.default_rng(seed)
    means = []
    for label in range(n):
        rows = rng.permutation(np.flatnonzero(labels == label))[:_MOST_PAIRED]
        pairs = torch.pdist(_tensor(features[rows]))
        means.append(float(pairs.mean()) if len(pairs) else 0.0)
    return means


@dataclass(frozen=True, eq=False)
class Nearest:
    """The real picture nearest to each clone picture.

    Attributes:
        rows: int64 ``[n_clone]``, rows of the real pictures.
        distances: float64 ``[n_clone]``.
        typical: median distance between a real picture and the nearest other, unequal to it.
    """

    rows: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float64]
    typical: float

    @property
    def copies(self) -> list[int]:
        """Return the clone pictures that are copies by `COPY_RATIO`, the nearest first."""
        near = np.flatnonzero(self.distances <= COPY_RATIO * self.typical)
        order: list[int] = near[np.argsort(self.distances[near], kind="stable")].tolist()
        return order


def nearest_copies(real: Features, clone: Features) -> Nearest:
    """Return for each of the features ``clone [m, d]`` the nearest of ``real [n, d]``."""
    import torch

    found = [block.min(dim=1) for block in _blocks(clone, real)]
    among_real = []
    start = 0
    for block in _blocks(real, real):
        block[torch.arange(len(block)), torch.arange(start, start + len(block))] = torch.inf
        among_real.append(block.min(dim=1).values)
        start += len(block)
    others = torch.cat(among_real)
    # A data set with duplicates of its own would have a typical distance of 0.
    others = others[torch.isfinite(others) & (others > 1e-6)]
    return Nearest(
        rows=torch.cat([each.indices for each in found]).numpy(),
        distances=torch.cat([each.values for each in found]).numpy(),
        typical=float(others.median()) if len(others) else 0.0,
    )


def _blocks(a: Features, b: Features) -> Iterator[torch.Tensor]:
    """Yield the distances of some rows of ``a`` to all of ``b``, block by block."""
    import torch

    second = _tensor(b)
    for start in range(0, len(a), _BLOCK):
        yield torch.cdist(_tensor(a[start : start + _BLOCK]), second)
