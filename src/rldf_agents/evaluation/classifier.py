"""A ResNet-18 trained on one data set and tested on others (paper, Table 2)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from rldf_agents.errors import require
from rldf_gym.model_loading import open_device

Thumbnails = npt.NDArray[np.uint8]

_RECIPE = "resnet18, 1"
"""Changes with everything below that decides what is learned: part of the cache's keys."""

_MARGIN = 256 / 224  # torchvision resizes to 256 and crops 224
_BATCH = 64
_RATE = 0.1 * _BATCH / 256
_MOMENTUM, _WEIGHT_DECAY, _LABEL_SMOOTHING = 0.9, 1e-4, 0.1
_WARM_UP = 0.05  # share of the steps
_RESAMPLES = 2000


@dataclass(frozen=True)
class ClassifierSettings:
    """How classifiers are trained.

    Attributes:
        epochs: passes over the training pictures.
        seeds: classifiers of each data set.
        side: pixels across of a training picture.
    """

    epochs: int = 30
    seeds: int = 3
    side: int = 64

    def __post_init__(self) -> None:
        """Raise AgentError for numbers below 1, or a side below 32."""
        require(self.epochs >= 1, "classifier_epochs", self.epochs, "a whole number of at least 1")
        require(self.seeds >= 1, "classifier_seeds", self.seeds, "a whole number of at least 1")
        require(self.side >= 32, "classifier_side", self.side, "a whole number of at least 32")


class ThumbnailReader:
    """Scales pictures down and cuts out their middle square.

    Attributes:
        name: for progress.
        fingerprint: of the size.
    """

    def __init__(self, settings: ClassifierSettings) -> None:
        """Decide the size: a training picture's, with torchvision's margin for random crops."""
        self._side = round(settings.side * _MARGIN)
        self.name = f"scaling to {self._side} pixels"
        self.fingerprint = f"middle square, {self._side} pixels, bicubic"

    def __call__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Thumbnails:
        """Return the pictures as uint8 ``[n, side, side, 3]``."""
        return np.stack([self._scaled(picture) for picture in pictures])

    def _scaled(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        height, width = picture.shape[:2]
        least = min(height, width)
        left, top = (width - least) // 2, (height - least) // 2
        square = Image.fromarray(picture).resize(
            (self._side, self._side),
            Image.Resampling.BICUBIC,
            box=(left, top, left + least, top + least),
        )
        return np.asarray(square)


def training_key(
    settings: ClassifierSettings, hashes: Sequence[str], labels: npt.NDArray[np.int64], seed: int
) -> str:
    """Return the identity of a trained classifier."""
    facts = [
        _RECIPE,
        f"{settings.epochs} {settings.side} {seed}",
        *map(str, labels.tolist()),
        *hashes,
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def train_classifier(
    pictures: Thumbnails,
    labels: npt.NDArray[np.int64],
    n_classes: int,
    settings: ClassifierSettings,
    seed: int,
    device: str | None,
    on_epoch: Callable[[int], None] = lambda done: None,
) -> Any:
    """Train torchvision's ResNet-18 from random weights by torchvision's recipe, scaled down.

    Random resized crops and mirroring, SGD with momentum, label smoothing, a cosine schedule after
    a short warm-up.

    Args:
        pictures: uint8 ``[n, side, side, 3]``.
        labels: int64 ``[n]``.
        n_classes: outputs of the network.
        settings: of the training.
        seed: decides weights, batches and crops.
        device: where it runs.
        on_epoch: receives the number of finished epochs.

    Raises:
        AgentError: fewer than two pictures.
    """
    require(len(pictures) > 1, "training pictures", len(pictures), "more, or --no-classifier")
    import torch
    from torchvision.models import resnet18

    target = open_device(device)
    devices = [target] if target.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        network = resnet18(weights=None, num_classes=n_classes)
        network = network.to(target, memory_format=torch.channels_last).train()
        _fit(network, pictures, labels, settings, target, on_epoch)
    return network.eval()


def _fit(
    network: Any,
    pictures: Thumbnails,
    labels: npt.NDArray[np.int64],
    settings: ClassifierSettings,
    device: Any,
    on_epoch: Callable[[int], None],
) -> None:
    import torch
    from torch.nn import functional

    crop = _augmentation(settings.side)
    optimiser = torch.optim.SGD(
        network.parameters(), _RATE, momentum=_MOMENTUM, weight_decay=_WEIGHT_DECAY, nesterov=True
    )
    batches = max(1, len(pictures) // _BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate(step / (batches * settings.epochs))
    )
    for epoch in range(settings.epochs):
        order = torch.randperm(len(pictures)).numpy()
        for rows in np.array_split(order, batches):
            batch = torch.stack(
                [crop(torch.from_numpy(pictures[i]).permute(2, 0, 1)) for i in rows]
            )
            answers = torch.from_numpy(labels[rows]).to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=_has_bfloat16(device)):
                logits = network(_normalised(batch.to(device)))
            loss: Any = functional.cross_entropy(
                logits.float(), answers, label_smoothing=_LABEL_SMOOTHING
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        on_epoch(epoch + 1)


def _has_bfloat16(device: Any) -> bool:
    """Return whether a device computes in bfloat16 faster than in float32."""
    import torch

    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(device.type == "cuda" and torch.cuda.is_bf16_supported())


def _rate(done: float) -> float:
    """Return the share of the peak learning rate after a share of the steps."""
    if done < _WARM_UP:
        return (done + 1e-3) / (_WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP)))


def _augmentation(side: int) -> Any:
    from torchvision.transforms import v2

    return v2.Compose(
        [v2.RandomResizedCrop(side, scale=(0.35, 1.0), antialias=True), v2.RandomHorizontalFlip()]
    )


def _normalised(pictures: Any) -> Any:
    import torch

    scaled = pictures.float() / 127.5 - 1
    return scaled.to(memory_format=torch.channels_last)


def classify(
    network: Any, pictures: Thumbnails, side: int, device: str | None
) -> npt.NDArray[np.int64]:
    """Return the class of each of the pictures uint8 ``[n, height, width, 3]``, int64 ``[n]``."""
    import torch

    target = open_device(device)
    margin = (pictures.shape[1] - side) // 2
    middle = pictures[:, margin : margin + side, margin : margin + side]
    found = []
    with torch.inference_mode():
        for start in range(0, len(middle), _BATCH):
            batch = torch.from_numpy(middle[start : start + _BATCH]).permute(0, 3, 1, 2)
            found.append(network(_normalised(batch.to(target))).argmax(1).cpu().numpy())
    return np.concatenate(found)


@dataclass(frozen=True)
class Interval:
    """A value with the 95 % interval of a bootstrap."""

    value: float
    low: float
    high: float


def accuracy_interval(right: npt.NDArray[np.bool_], seed: int) -> Interval:
    """Return accuracy with its interval; both seeds and pictures are resampled.

    Args:
        right: bool ``[n_seeds, n_pictures]``, whether each classifier was right.
        seed: of the bootstrap.
    """
    return _interval(float(right.mean()), _resampled(right, right, seed)[0])


def ratio_interval(
    right: npt.NDArray[np.bool_], reference: npt.NDArray[np.bool_], seed: int
) -> Interval | None:
    """Return an accuracy over a reference's on the same pictures; None if the reference has 0."""
    if not reference.any():
        return None
    ours, theirs = _resampled(right, reference, seed)
    ratios = ours[theirs > 0] / theirs[theirs > 0]
    return _interval(float(right.mean() / reference.mean()), ratios)


def _resampled(
    a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_], seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the means of both over the same resampled pictures, float64 ``[_RESAMPLES]``."""
    rng = np.random.default_rng(seed)
    means = np.empty((2, _RESAMPLES))
    for number in range(_RESAMPLES):
        pictures = rng.integers(a.shape[1], size=a.shape[1])
        for which, right in enumerate((a, b)):
            seeds = rng.integers(len(right), size=len(right))
            means[which, number] = right[np.ix_(seeds, pictures)].mean()
    return means[0], means[1]


def _interval(value: float, resampled: npt.NDArray[np.float64]) -> Interval:
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Interval(value, float(low), float(high))
