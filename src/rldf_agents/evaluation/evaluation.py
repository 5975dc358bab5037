"""All measures of a clone beside a real data set and its shifts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rldf_agents.applications.result import versions
from rldf_agents.errors import AgentError
from rldf_agents.evaluation.classifier import ClassifierSettings
from rldf_agents.evaluation.consistency import ClassReader, unknown_words
from rldf_agents.evaluation.distances import (
    Distance,
    Features,
    Nearest,
    diversity,
    enough_for_fid,
    measure_distance,
    nearest_copies,
)
from rldf_agents.evaluation.features import FeatureExtractor, is_comparable
from rldf_agents.evaluation.paper import paper_figures
from rldf_agents.evaluation.pictures import (
    LabelledFolder,
    Progress,
    open_labelled_folder,
    require_same_classes,
)
from rldf_agents.evaluation.row_cache import RowCache
from rldf_agents.evaluation.transfer import CLONE, REAL, Transfer, measure_transfer
from rldf_gym.grammar import GrammarError
from rldf_gym.perception import Perception


@dataclass(frozen=True)
class EvaluationSettings:
    """What decides an evaluation beside the pictures.

    Attributes:
        seed: of subsets, held-out pictures, classifiers and intervals.
        classifier: how classifiers are trained; None trains none.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.
    """

    seed: int = 0
    classifier: ClassifierSettings | None = field(default_factory=ClassifierSettings)
    device: str | None = None


@dataclass(frozen=True)
class ClassRow:
    """What is measured of one class.

    Attributes:
        name: of the class.
        pictures: number of the clone's.
        diversity: mean feature distance between two clone pictures of the class.
        real_diversity: of the real ones.
        consistency: share of the clone's pictures in which perception reads the class, None where
            it cannot read these classes.
        real_consistency: of the real ones, which shows how far to trust it.
    """

    name: str
    pictures: int
    diversity: float
    real_diversity: float
    consistency: float | None
    real_consistency: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything that was measured of a clone.

    Attributes:
        clone: the clone.
        real: the real data set.
        shifts: other data sets by name.
        features: name of the feature extractor.
        dimension: number of features.
        is_comparable: whether FID and KID can be compared with the paper's.
        distances: to the held-out real pictures, then to each shift.
        nearest: the real picture nearest to each clone picture.
        classes: row by row.
        reader: what read the classes; None where nothing could.
        transfer: classifiers; None where they were left out.
        notes: what the reader of the figures should know.
        settings: of the evaluation.
    """

    clone: LabelledFolder
    real: LabelledFolder
    shifts: Mapping[str, LabelledFolder]
    features: str
    dimension: int
    is_comparable: bool
    distances: tuple[Distance, ...]
    nearest: Nearest
    classes: tuple[ClassRow, ...]
    reader: str | None
    transfer: Transfer | None
    notes: tuple[str, ...]
    settings: EvaluationSettings

    @property
    def copies(self) -> list[dict[str, Any]]:
        """Return clone pictures that are copies, with the real picture and the distance."""
        nearest = self.nearest
        return [
            {
                "clone": self.clone.name(row),
                "real": self.real.name(int(nearest.rows[row])),
                "distance": float(nearest.distances[row]),
            }
            for row in nearest.copies
        ]

    @property
    def consistency(self) -> float | None:
        """Return the share of clone pictures in which perception reads the class."""
        known = [
            row.consistency * row.pictures for row in self.classes if row.consistency is not None
        ]
        return sum(known) / len(self.clone) if known else None

    def to_json(self) -> dict[str, Any]:
        """Return the content of evaluation.json."""
        folders = {CLONE: self.clone, REAL: self.real, **self.shifts}
        return {
            "data": {name: _facts(folder) for name, folder in folders.items()},
            "features": {
                "name": self.features,
                "dimension": self.dimension,
                "comparable_with_the_paper": self.is_comparable,
            },
            "distances": [asdict(distance) for distance in self.distances],
            "consistency": {"reader": self.reader, "all": self.consistency},
            "classes": [asdict(row) for row in self.classes],
            "nearest_real": {
                "median": float(np.median(self.nearest.distances)),
                "least": float(self.nearest.distances.min()),
                "median_among_real": self.nearest.typical,
                "copies": self.copies,
            },
            "classifier": None if self.transfer is None else self.transfer.to_json(),
            "notes": list(self.notes),
            "paper": [asdict(figure) for figure in paper_figures()],
            "seed": self.settings.seed,
            "versions": versions(),
        }


def _facts(folder: LabelledFolder) -> dict[str, Any]:
    return {
        "folder": str(folder.folder),
        "pictures": len(folder),
        "classes": len(folder.classes),
        "unreadable": [{"file": str(path), "reason": why} for path, why in folder.unreadable],
    }


def evaluate(
    clone: Path,
    real: Path,
    shifts: Mapping[str, Path],
    extractor: FeatureExtractor,
    perception: tuple[str, Perception],
    settings: EvaluationSettings,
    cache: RowCache,
    progress: Progress = lambda what, done, total: None,
) -> Evaluation:
    """Measure a clone. The same folders and settings give the same figures on the same machine.

    Distances are to the real pictures that are held out (splits val, validation, test), to all of
    them where there are no splits. Copies are searched among all real pictures.

    Args:
        clone: folder of class folders, or of splits with class folders.
        real: the same, with the same classes.
        shifts: the same by name; other classes are allowed.
        extractor: of the features that distances are measured in.
        perception: its name, and what reads the classes.
        settings: see `EvaluationSettings`.
        cache: keeps what is finished, so that an interrupted evaluation continues.
        progress: receives what is being done, how far it is, and of how many.

    Raises:
        AgentError: a folder that cannot be used, or different classes.
        RLDFError: models that cannot be loaded.
    """
    for name in (CLONE, REAL):
        if name in shifts:
            raise AgentError(f"--shift {name}: this name is taken; choose another")
    ours, theirs = open_labelled_folder(clone, progress), open_labelled_folder(real, progress)
    require_same_classes(ours, theirs)
    others = {name: open_labelled_folder(path, progress) for name, path in shifts.items()}
    seed = settings.seed
    features: dict[str, Features] = {
        name: cache.rows(folder, extractor, progress).all()
        for name, folder in {CLONE: ours, REAL: theirs, **others}.items()
    }
    compared = {REAL: features[REAL][_compared(theirs, seed)]}
    compared |= {name: features[name] for name in others}
    progress("distances", 0, len(compared))
    distances = tuple(
        measure_distance(name, some, features[CLONE], seed) for name, some in compared.items()
    )
    rows, reader, notes = _classes(ours, theirs, features, perception, seed, cache, progress)
    transfer = None
    if settings.classifier is not None:
        transfer = measure_transfer(
            *(ours, theirs, others, settings.classifier, seed, settings.device, cache, progress)
        )
    too_few = [name for name, some in compared.items() if not enough_for_fid(some, features[CLONE])]
    dimension = features[CLONE].shape[1]
    return Evaluation(
        clone=ours,
        real=theirs,
        shifts=others,
        features=extractor.name,
        dimension=dimension,
        is_comparable=is_comparable(extractor),
        distances=distances,
        nearest=nearest_copies(features[REAL], features[CLONE]),
        classes=rows,
        reader=reader,
        transfer=transfer,
        notes=(*_fid_note(too_few, dimension), *notes, *_notes(ours, theirs, others, transfer)),
        settings=settings,
    )


def _compared(real: LabelledFolder, seed: int) -> Any:
    return real.held_out(seed) if any(real.splits) else np.ones(len(real), bool)


def _classes(
    clone: LabelledFolder,
    real: LabelledFolder,
    features: Mapping[str, Features],
    perception: tuple[str, Perception],
    seed: int,
    cache: RowCache,
    progress: Progress,
) -> tuple[tuple[ClassRow, ...], str | None, list[str]]:
    """Return the rows of all classes, what read them, and why nothing could."""
    name, models = perception
    n = len(clone.classes)
    notes: list[str] = []
    reader = None
    shares: dict[str, list[float | None]] = {CLONE: [None] * n, REAL: [None] * n}
    if unknown := unknown_words(models, clone.classes):
        shown = ", ".join(unknown[:5])
        notes.append(f"The perception {name} does not know the class words: {shown}.")
    else:
        try:
            reader = ClassReader(models, name, clone.classes)
        except GrammarError as error:
            notes.append(f"The class names cannot be read: {error}.")
    if reader is not None:
        for key, folder in ((CLONE, clone), (REAL, real)):
            right = cache.rows(folder, reader, progress).all() == folder.labels
            shares[key] = [float(right[folder.labels == label].mean()) for label in range(n)]
    spread = {
        key: diversity(features[key], folder.labels, n, seed)
        for key, folder in ((CLONE, clone), (REAL, real))
    }
    counts = np.bincount(clone.labels, minlength=n).tolist()
    columns = (spread[CLONE], spread[REAL], shares[CLONE], shares[REAL])
    rows = tuple(ClassRow(*row) for row in zip(clone.classes, counts, *columns, strict=True))
    return rows, None if reader is None else reader.name, notes


def _fid_note(too_few: list[str], dimension: int) -> list[str]:
    if not too_few:
        return []
    return [
        f"Too few pictures for FID to {', '.join(too_few)}: it needs more than {dimension}, the"
        " number of features, on both sides. Use KID, which is unbiased for any number."
    ]


def _notes(
    clone: LabelledFolder,
    real: LabelledFolder,
    shifts: Mapping[str, LabelledFolder],
    transfer: Transfer | None,
) -> list[str]:
    notes = []
    for name, folder in {CLONE: clone, REAL: real, **shifts}.items():
        if count := len(folder.unreadable):
            notes.append(
                f"{name}: {count} unreadable pictures were skipped; evaluation.json lists them."
            )
    if transfer is not None:
        for name, folder in shifts.items():
            if foreign := set(folder.classes) - set(real.classes):
                notes.append(
                    f"{name}: the classifiers leave out {len(foreign)} classes that the real data"
                    " set lacks."
                )
        sizes = {test.trained_on: test.training_pictures for test in transfer.tests}
        if sizes.get(CLONE) != sizes.get(REAL):
            notes.append(
                f"The classifiers learned from {sizes.get(CLONE)} clone pictures and"
                f" {sizes.get(REAL)} real ones: there are no more."
            )
    return notes
