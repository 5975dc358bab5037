"""The judge: a classifier that says what a picture shows, trained apart from all shipped models.

It learns from renders alone (its own corpus) and is used to measure, never shipped.
"""

from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn
from torch.nn import functional

from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.backgrounds import SCENES
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.corpus import LABELS, Corpus
from tools.embedded_world.cutouts import ACTIONS, NOUNS
from tools.embedded_world.training_loop import Plan, StepRandom, fit

QUESTIONS = {  # label: number of answers; counts are answered none, one, or more
    "noun": len(NOUNS),
    "things": 3,
    "people": 3,
    "action": len(ACTIONS),
    "scene": len(SCENES),
    "weather": len(WEATHERS),
    "time_of_day": len(TIMES_OF_DAY),
}
_BACKBONE = "resnet10t"


class Judge(nn.Module):
    """One backbone, one linear head a question."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(_BACKBONE, pretrained=False, num_classes=0)
        width = self.backbone.num_features
        self.heads = nn.ModuleDict({name: nn.Linear(width, n) for name, n in QUESTIONS.items()})

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Return logits [n, answers] of each question for float32 [n, 3, H, W] in 0..1."""
        features = self.backbone(pictures * 2 - 1)
        return {name: head(features).float() for name, head in self.heads.items()}

    @torch.inference_mode()
    def answers(self, pictures: np.ndarray) -> np.ndarray:
        """Return int64 [n, len(QUESTIONS)] for uint8 [n, H, W, 3]."""
        self.eval()
        rows = []
        for start in range(0, len(pictures), 64):
            x = torch.from_numpy(pictures[start : start + 64]).permute(0, 3, 1, 2).float() / 255
            logits = self(x)
            rows.append(torch.stack([logits[name].argmax(1) for name in QUESTIONS], 1))
        return torch.cat(rows).numpy()


def answer_key(labels: np.ndarray) -> np.ndarray:
    """Return the right answers int64 [n, len(QUESTIONS)]; -1 where a question does not apply."""
    columns = [labels[:, LABELS.index(name)].astype(np.int64) for name in QUESTIONS]
    counts = ("things", "people")
    clipped = [
        np.minimum(column, 2) if name in counts else column
        for name, column in zip(QUESTIONS, columns, strict=True)
    ]
    return np.stack(clipped, 1)


def train_judge(corpus: Corpus, plan: Plan, batch: int) -> Judge:
    """Train on renders only."""
    torch.manual_seed(plan.seed)
    judge = Judge().to(plan.device, memory_format=torch.channels_last)
    source = PictureSource(corpus)

    def loss(step: int, random: StepRandom) -> Tensor:
        drawn = source.draw(random, batch, plan.device)
        key = torch.from_numpy(answer_key(corpus.labels[drawn.indices])).to(plan.device)
        with torch.autocast(plan.device.split(":")[0], torch.bfloat16):
            logits = judge(drawn.pictures)
        losses = [
            functional.cross_entropy(logits[name], key[:, i], ignore_index=-1)
            for i, name in enumerate(QUESTIONS)
        ]
        return torch.stack(losses).sum()

    fit(judge, loss, plan)
    return judge


def save_judge(judge: Judge, path: Path) -> None:
    """Write safetensors."""
    save_model(judge.cpu(), str(path))


def load_judge(path: Path) -> Judge:
    """Read what `save_judge` wrote."""
    judge = Judge()
    load_model(judge, str(path))
    return judge.eval()
