"""Trains the judge of `benchmarks.judge` on renders of its own, apart from all shipped models."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.judge import Judge
from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.backgrounds import SCENES
from tools.embedded_world.batches import Batch, PictureSource
from tools.embedded_world.corpus import LABELS, Corpus
from tools.embedded_world.cutouts import ACTIONS, NOUNS
from tools.embedded_world.styles import STYLE_NAMES
from tools.embedded_world.training_loop import Plan, StepRandom, fit, mixed_precision

NO_THING = "no"
COUNT_WORDS = ("no", "one", "many")
ANSWERS = {
    "noun": (*NOUNS, NO_THING),
    "frequency": COUNT_WORDS,
    "density": COUNT_WORDS,
    "action": ACTIONS,
    "scene": SCENES,
    "weather": WEATHERS,
    "time_of_day": TIMES_OF_DAY,
    "second_noun": (*NOUNS, NO_THING),
    "second_frequency": COUNT_WORDS,
    "style": STYLE_NAMES,
}
_LABEL_OF = {"frequency": "things", "density": "people", "second_frequency": "second_things"}
_UNKNOWN = -1


def answer_key(labels: np.ndarray, styles: np.ndarray) -> dict[str, np.ndarray]:
    """Return the right answers int64 [n] for each axis; -1 where none is right."""
    key = {"style": styles.astype(np.int64)}
    for axis in ANSWERS.keys() - {"style"}:
        column = labels[:, LABELS.index(_LABEL_OF.get(axis, axis))].astype(np.int64)
        if axis in _LABEL_OF:
            column = np.minimum(column, COUNT_WORDS.index("many"))
        elif NO_THING in ANSWERS[axis]:
            column = np.where(column < 0, ANSWERS[axis].index(NO_THING), column)
        key[axis] = column
    return key


def judge_loss(logits: dict[str, Tensor], batch: Batch) -> Tensor:
    """Return the sum of the axes' cross-entropies."""
    key = answer_key(batch.labels.cpu().numpy(), batch.styles.cpu().numpy())
    losses = [
        functional.cross_entropy(
            logits[axis], torch.from_numpy(values).to(logits[axis].device), ignore_index=_UNKNOWN
        )
        for axis, values in key.items()
        if (values != _UNKNOWN).any()
    ]
    return torch.stack(losses).sum()


def train_judge(corpus: Corpus, plan: Plan, batch: int) -> Judge:
    """Train from random weights, on renders only."""
    torch.manual_seed(plan.seed)
    judge = Judge(ANSWERS).to(plan.device, memory_format=torch.channels_last)
    source = PictureSource(corpus)

    def loss(step: int, random: StepRandom) -> Tensor:
        sampled = source.sample(random, batch, plan.device)
        with mixed_precision(plan.device):
            logits = judge(sampled.pictures)
        return judge_loss(logits, sampled)

    fit(judge, loss, plan)
    return judge
