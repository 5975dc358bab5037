"""Classifiers trained on the clone and on real pictures, each tested on all data sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from rldf_agents.evaluation.classifier import (
    ClassifierSettings,
    Interval,
    ThumbnailReader,
    accuracy_interval,
    classify,
    ratio_interval,
    train_classifier,
    training_key,
)
from rldf_agents.evaluation.pictures import LabelledFolder, Progress
from rldf_agents.evaluation.row_cache import RowCache, Rows

CLONE, REAL = "clone", "real"


@dataclass(frozen=True, eq=False)
class TestResult:
    """What classifiers of one data set reach on another.

    Attributes:
        trained_on: "clone" or "real".
        training_pictures: number of pictures it was trained on.
        tested_on: "clone", "real" or the name of a shift.
        test_pictures: number of pictures it was tested on.
        accuracy: share of right answers over all seeds.
        by_seed: accuracy of each classifier.
    """

    __test__ = False  # pytest: not a class of tests

    trained_on: str
    training_pictures: int
    tested_on: str
    test_pictures: int
    accuracy: Interval
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Transfer:
    """All tests of the classifiers.

    Attributes:
        settings: of the training.
        tests: by data set trained on and tested on.
        ratio: accuracy of the clone's classifiers on real pictures over that of the real ones'.
    """

    settings: ClassifierSettings
    tests: tuple[TestResult, ...]
    ratio: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values."""
        return {
            "network": "resnet18",
            **asdict(self.settings),
            "tests": [asdict(test) for test in self.tests],
            "clone_over_real": None if self.ratio is None else asdict(self.ratio),
        }


@dataclass(frozen=True, eq=False)
class _Set:
    """Some pictures of a folder with the labels of the real data set's classes."""

    folder: LabelledFolder
    thumbnails: Rows
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]

    @property
    def hashes(self) -> list[str]:
        return [self.folder.hashes[row] for row in self.rows]


def measure_transfer(
    clone: LabelledFolder,
    real: LabelledFolder,
    shifts: Mapping[str, LabelledFolder],
    settings: ClassifierSettings,
    seed: int,
    device: str | None,
    cache: RowCache,
    progress: Progress,
) -> Transfer:
    """Train on the clone and on as many real pictures; test on what both held out and on shifts.

    Where the real data set has fewer pictures of a class than the clone, all of them are used.
    Pictures of a shift whose class the real data set lacks are left out.

    Args:
        clone: has the classes of ``real``.
        real: decides the classes.
        shifts: by name.
        settings: of the training.
        seed: first seed of the classifiers; also of held-out and chosen pictures and intervals.
        device: where classifiers run.
        cache: keeps thumbnails and answers, so that an interrupted run continues.
        progress: receives what is being done.
    """
    tests = {
        CLONE: _part(clone, real, clone.held_out(seed), settings, cache, progress),
        REAL: _part(real, real, real.held_out(seed), settings, cache, progress),
    }
    for name, shift in shifts.items():
        everything = np.ones(len(shift), bool)
        tests[name] = _part(shift, real, everything, settings, cache, progress)
    tests = {name: test for name, test in tests.items() if len(test.rows)}
    trained = {
        CLONE: _part(clone, real, ~clone.held_out(seed), settings, cache, progress),
        REAL: _part(real, real, ~real.held_out(seed), settings, cache, progress),
    }
    trained[REAL] = _as_many(trained[REAL], trained[CLONE].labels, seed)
    right: dict[tuple[str, str], list[npt.NDArray[np.bool_]]] = defaultdict(list)
    # Seed by seed, so that an interrupted evaluation has whole rows for the first seeds.
    for number in range(settings.seeds):
        for source, training in trained.items():
            title = f"ResNet-18 on {source}, seed {number + 1} of {settings.seeds}, epoch"
            key = training_key(settings, training.hashes, training.labels, seed + number)
            network = _Once(
                partial(_train, training, len(real.classes), settings, seed + number, device),
                partial(progress, title),
            )
            for name, test in tests.items():
                answer = partial(_classified, network, test, settings, device)
                predicted = cache.array([key, *test.hashes], answer)
                right[source, name].append(np.asarray(predicted == test.labels))
    results = tuple(
        TestResult(
            trained_on=source,
            training_pictures=len(trained[source].rows),
            tested_on=name,
            test_pictures=len(tests[name].rows),
            accuracy=accuracy_interval(np.stack(found), seed),
            by_seed=tuple(float(answers.mean()) for answers in found),
        )
        for (source, name), found in right.items()
    )
    ours, theirs = right[CLONE, REAL], right[REAL, REAL]
    ratio = ratio_interval(np.stack(ours), np.stack(theirs), seed) if ours else None
    return Transfer(settings, results, ratio)


def _part(
    folder: LabelledFolder,
    real: LabelledFolder,
    chosen: npt.NDArray[np.bool_],
    settings: ClassifierSettings,
    cache: RowCache,
    progress: Progress,
) -> _Set:
    """Return the chosen pictures whose class the real data set has."""
    numbers = {name: number for number, name in enumerate(real.classes)}
    mapped = np.array([numbers.get(name, -1) for name in folder.classes], np.int64)
    labels = mapped[folder.labels]
    rows = np.flatnonzero(chosen & (labels >= 0))
    thumbnails = cache.rows(folder, ThumbnailReader(settings), progress)
    return _Set(folder, thumbnails, rows, labels[rows])


def _as_many(some: _Set, labels: npt.NDArray[np.int64], seed: int) -> _Set:
    """Return a random part with at most as many pictures of each class as there are labels."""
    rng = np.random.default_rng([seed, len(labels)])
    kept: list[int] = []
    for label in np.unique(some.labels):
        members = rng.permutation(np.flatnonzero(some.labels == label))
        kept += members[: int((labels == label).sum())].tolist()
    order = np.sort(np.array(kept, np.int64))
    return _Set(some.folder, some.thumbnails, some.rows[order], some.labels[order])


def _train(
    some: _Set,
    n_classes: int,
    settings: ClassifierSettings,
    seed: int,
    device: str | None,
    on_epoch: Callable[[int, int], None],
) -> Any:
    on_epoch(0, settings.epochs)
    pictures = some.thumbnails.take(some.rows)
    return train_classifier(
        *(pictures, some.labels, n_classes, settings, seed, device),
        lambda done: on_epoch(done, settings.epochs),
    )


def _classified(
    network: _Once, test: _Set, settings: ClassifierSettings, device: str | None
) -> npt.NDArray[np.int64]:
    return classify(network(), test.thumbnails.take(test.rows), settings.side, device)


class _Once:
    """A classifier that is trained when it is first needed."""

    def __init__(self, train: Callable[..., Any], on_epoch: Callable[[int, int], None]) -> None:
        self._train, self._on_epoch, self._trained = train, on_epoch, None

    def __call__(self) -> Any:
        if self._trained is None:
            self._trained = self._train(self._on_epoch)
        return self._trained
