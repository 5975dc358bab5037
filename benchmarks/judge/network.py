"""The judge's network, its answers, and its weights file."""

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

WEIGHTS = Path(__file__).parent / "judge.safetensors"
AXES = (
    "noun",
    "frequency",
    "density",
    "action",
    "scene",
    "weather",
    "time_of_day",
    "second_noun",
    "second_frequency",
    "style",
)
_SIDE = 128
_BATCH = 64
_BACKBONE, _CHANNELS = "resnet10t", (64, 128, 256, 288)  # 2.7 million parameters
_ANSWERS = "answers"  # key of the file's metadata


class JudgeError(Exception):
    """The judge's weights file, or a picture, cannot be used."""


@dataclass(frozen=True)
class Answer:
    """The judge's most probable value of one axis.

    Attributes:
        value: a word, such as "dog" or "many".
        probability: 0..1.
    """

    value: str
    probability: float


class Judge(nn.Module):
    """A residual network (He et al. 2016, arXiv:1512.03385) with a linear head for each axis.

    Args:
        answers: the values of each axis of `AXES`. A picture shows one or two kinds of things;
            "second_noun" is the kind in front. Counts are "no", "one" and "many".
    """

    def __init__(self, answers: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.answers = {axis: tuple(answers[axis]) for axis in AXES}
        self.backbone = timm.create_model(
            _BACKBONE, pretrained=False, num_classes=0, channels=_CHANNELS
        )
        width = self.backbone.num_features
        self.heads = nn.ModuleDict(
            {axis: nn.Linear(width, len(words)) for axis, words in self.answers.items()}
        )

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return logits [n, values] of each axis for float32 [n, 3, 128, 128] in 0..1."""
        features = self.backbone(pictures * 2 - 1)
        return {axis: head(features).float() for axis, head in self.heads.items()}

    @torch.inference_mode()
    def probabilities(self, pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Return float32 [n, values] of each axis for uint8 [n, H, W, 3]."""
        self.eval()
        parts = [
            {axis: logits.softmax(1) for axis, logits in self(x).items()}
            for x in _batches(pictures)
        ]
        return {axis: torch.cat([part[axis] for part in parts]).numpy() for axis in AXES}

    @torch.inference_mode()
    def features(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return unit features float32 [n, d] for uint8 [n, H, W, 3], to compare pictures by."""
        self.eval()
        parts = [self.backbone(x * 2 - 1) for x in _batches(pictures)]
        return functional.normalize(torch.cat(parts)).numpy()

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the weights."""
        digest = hashlib.sha256()
        for name, value in self.state_dict().items():
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def judge(self, picture: NDArray[np.uint8]) -> dict[str, Answer]:
        """Return the most probable value of each axis for one picture uint8 [H, W, 3]."""
        found = self.probabilities(picture[None])
        best = {axis: int(row[0].argmax()) for axis, row in found.items()}
        return {
            axis: Answer(self.answers[axis][i], float(found[axis][0, i]))
            for axis, i in best.items()
        }

    def save(self, path: Path) -> None:
        """Write float16 safetensors with the answers in the metadata."""
        tensors = {
            name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
            for name, value in self.state_dict().items()
        }
        save_file(tensors, path, {_ANSWERS: json.dumps(self.answers)})


def _batches(pictures: NDArray[np.uint8]) -> Iterator[Tensor]:
    """Yield float32 [n, 3, 128, 128] in 0..1."""
    for start in range(0, len(pictures), _BATCH):
        x = torch.tensor(pictures[start : start + _BATCH]).permute(0, 3, 1, 2).float() / 255
        if tuple(x.shape[-2:]) != (_SIDE, _SIDE):
            x = functional.interpolate(x, (_SIDE, _SIDE), mode="bilinear", antialias=True)
        yield x


def load_judge(path: Path = WEIGHTS) -> Judge:
    """Load what `Judge.save` wrote.

    Raises:
        JudgeError: when the file is missing, damaged, or of another version of the judge.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        judge = Judge(json.loads(metadata[_ANSWERS]))
        judge.load_state_dict(load_file(path))
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise JudgeError(
            f"{path} holds no judge of this version ({error}); train one with "
            "`python -m tools.embedded_world judge`"
        ) from error
    return judge.float().eval()


def similarity(pictures: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much the judge's features of pictures resemble the target's, float32 [n].

    For ``rldf compare --judge benchmarks.judge:similarity``, in a checkout of the project.

    Args:
        pictures: uint8 [n, H, W, 3].
        target: uint8 [H, W, 3].

    Raises:
        JudgeError: see `load_judge`.
    """
    judge = _shipped_judge()
    return judge.features(pictures) @ judge.features(target[None])[0]


@functools.cache
def _shipped_judge() -> Judge:
    return load_judge()
