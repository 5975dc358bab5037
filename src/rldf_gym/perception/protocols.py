"""What perception gives: model outputs, which are stored, and readings, which are recomputed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rldf_gym.errors import RLDFError

Output = dict[str, NDArray[np.generic]]
"""What one model saw in one picture: named arrays, independent of any grammar."""

TextEmbedder = Callable[[Sequence[str]], NDArray[np.float32]]
"""Prompts `[n]` to unit CLIP text embeddings float32 `[n, d]`; may answer from a store."""


class PerceptionError(RLDFError):
    """A perception model that is unknown, cannot be loaded, or was given no picture."""


class PictureModel(Protocol):
    """A model that reads images."""

    @property
    def fingerprint(self) -> str:
        """Identity of everything that decides its outputs, as sha256 hex; needs no torch."""
        ...

    def __call__(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Return one output for each of the images uint8 `[n, H, W, 3]`, RGB."""
        ...


class SceneModel(PictureModel, Protocol):
    """A model whose output is {"probabilities": float32 `[n_classes]`, summing to 1}."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the probabilities are of, in their order."""
        ...


class DetectionModel(PictureModel, Protocol):
    """A model whose output is one row per object, most confident first.

    {"classes": int64 `[k]`, "confidences": float32 `[k]`, "boxes": float32 `[k, 4]`, xyxy as
    fractions of width and height, 0..1}.
    """

    @property
    def class_names(self) -> tuple[str, ...]:
        """What "classes" indexes."""
        ...

    @property
    def threshold(self) -> float:
        """Least confidence of an object in the output, 0..1."""
        ...


class OutlierModel(PictureModel, Protocol):
    """A model whose output is {"score": float32 `[1]`}.

    The score is higher the farther a picture is from all that a perception knows; above 0 the
    picture is outside.
    """


class TextPictureModel(PictureModel, Protocol):
    """A CLIP model, whose output is {"embedding": float32 `[d]`, unit}."""

    @property
    def logit_scale(self) -> float:
        """What it multiplies cosines with before a softmax; needs no torch."""
        ...

    def embed_texts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings float32 `[n, d]` of prompts `[n]`."""
        ...


@dataclass(frozen=True)
class PerceptionSpec:
    """What reading needs to know about the models, without the models.

    Attributes:
        embed: text embeddings by the CLIP model whose picture embeddings are read.
        logit_scale: of the same CLIP model.
        detector_classes: classes the detector knows, () where there is none.
        detector_threshold: least confidence of a detection, 0..1.
        scene_classes: classes the scene classifier knows, () where there is none.
        temperatures: by reader ("detector", "scene_classifier"), the power 1/T of its
            probabilities that makes them calibrated; 1 where it is missing. CLIP's is in
            ``logit_scale``.
    """

    embed: TextEmbedder
    logit_scale: float
    detector_classes: tuple[str, ...] = ()
    detector_threshold: float = 0.0
    scene_classes: tuple[str, ...] = ()
    temperatures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Perception:
    """The models that read an image; CLIP is always there.

    Attributes:
        clip: embeds images and prompts.
        detector: finds objects and people.
        scene_classifier: classifies the scene.
        outlier_model: scores how far a picture is from all that these models know; None where
            they are not calibrated.
        least_similarity: cosine of an image and its own prompt below which the prompt does not
            describe the image; None where they are not calibrated.
        temperatures: by model ("clip", "detector", "scene_classifier"), what its logits are
            divided by; 1 where it is missing. See `rldf_gym.perception.calibration`.
    """

    clip: TextPictureModel
    detector: DetectionModel | None = None
    scene_classifier: SceneModel | None = None
    outlier_model: OutlierModel | None = None
    least_similarity: float | None = None
    temperatures: Mapping[str, float] = field(default_factory=dict)

    def models(self) -> Mapping[str, PictureModel]:
        """Every model that is there by name, named as in `LabelDecoder.read`'s arguments."""
        models: dict[str, PictureModel] = {"clip": self.clip}
        if self.detector is not None:
            models["detector"] = self.detector
        if self.scene_classifier is not None:
            models["scene_classifier"] = self.scene_classifier
        return models

    def spec(self, embed: TextEmbedder | None = None) -> PerceptionSpec:
        """What reading needs to know about these models.

        Args:
            embed: a stored twin of `clip.embed_texts`; None asks the model every time.
        """
        detector, scenes = self.detector, self.scene_classifier
        return PerceptionSpec(
            embed=self.clip.embed_texts if embed is None else embed,
            logit_scale=self.clip.logit_scale / self.temperatures.get("clip", 1.0),
            detector_classes=() if detector is None else detector.class_names,
            detector_threshold=0.0 if detector is None else detector.threshold,
            scene_classes=() if scenes is None else scenes.class_names,
            temperatures=self.temperatures,
        )


@dataclass(frozen=True, eq=False)
class Reading:
    """One picture in a grammar's terms.

    Attributes:
        values: int64 `[n_axes]`, the label read on every axis, -1 where nothing could be read.
        confidence: float32 `[n_axes]`, 0..1, 0 where nothing could be read.
        embedding: float32 `[d]`, unit CLIP embedding of the picture.
        probabilities: for every axis float32 `[n_values]`, which sums to 1; greatest at the value
            that was read, uniform where nothing could be read. `()` where they were not kept.
    """

    values: NDArray[np.int64]
    confidence: NDArray[np.float32]
    embedding: NDArray[np.float32]
    probabilities: tuple[NDArray[np.float32], ...] = ()

    @classmethod
    def unread(cls, sizes: Sequence[int], dimension: int) -> "Reading":
        """Return the reading of an image that does not exist.

        Args:
            sizes: number of values of every axis `[n_axes]`.
            dimension: length of the embedding, which is zeros.
        """
        return cls(
            np.full(len(sizes), -1, np.int64),
            np.zeros(len(sizes), np.float32),
            np.zeros(dimension, np.float32),
            tuple(np.full(size, 1 / size, np.float32) for size in sizes),
        )

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Return all arrays of the reading."""
        return (self.values, self.confidence, self.embedding, *self.probabilities)


@dataclass(frozen=True, eq=False)
class Readings:
    """Several pictures in a grammar's terms, the batch form of `Reading`.

    Attributes:
        values: int64 `[n, n_axes]`, the label read on every axis, -1 where nothing could be read.
        confidence: float32 `[n, n_axes]`, 0..1, 0 where nothing could be read.
        embedding: float32 `[n, d]`, unit CLIP embeddings; zeros where there is no picture.
    """

    values: NDArray[np.int64]
    confidence: NDArray[np.float32]
    embedding: NDArray[np.float32]

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> "Readings":
        """Return the batch of at least one reading."""
        return cls(
            np.stack([reading.values for reading in readings]),
            np.stack([reading.confidence for reading in readings]),
            np.stack([reading.embedding for reading in readings]),
        )

    def __len__(self) -> int:
        return len(self.values)
