"""Trains the open_clip model on pictures and their captions.

Contrastive learning (Radford et al. 2021, arXiv:2103.00020) with hard negatives: a picture's
caption is told from every sentence of its grammar (in the extended grammar: from all sentences
that differ from a caption of the batch in one word), since zero-shot reading will ask just that.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
from tools.embedded_world.backgrounds import SCENES
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.corpus import GRAMMARS, Corpus, sentence
from tools.embedded_world.cutouts import ACTIONS, NOUNS
from tools.embedded_world.tokenizer import CONTEXT_LENGTH, build_tokenizer
from tools.embedded_world.training_loop import Plan, StepRandom, fit

IMAGE_SIDE = 128
_EMBEDDING = 128


def model_config(vocabulary: int) -> dict[str, Any]:
    """Return the architecture as open_clip's ``model_cfg``."""
    return {
        "embed_dim": _EMBEDDING,
        "vision_cfg": {
            "timm_model_name": "resnet10t",
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": IMAGE_SIDE,
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": vocabulary,
            "hf_tokenizer_name": "tokenizer",
            "width": 128,
            "heads": 4,
            "layers": 2,
        },
    }


PREPROCESSING = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "size": [IMAGE_SIDE, IMAGE_SIDE]}


def _base_rows() -> list[tuple[int, ...]]:
    """Labels of every sentence of the base grammar, on a clear day."""
    axes = itertools.product(range(len(NOUNS)), (1, 2), (0, 1, 2), range(len(SCENES)))
    return [(n, f, p, -1, s, 0, 0, 0) for n, f, p, s in axes]


def _action_rows() -> list[tuple[int, ...]]:
    axes = itertools.product((1, 2), range(len(ACTIONS)), range(len(SCENES)))
    return [(-1, 0, p, a, s, 0, 0, 0) for p, a, s in axes]


def _neighbours(row: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Labels that differ from an extended ``row`` in one axis, and itself."""
    choices = {
        0: range(len(NOUNS)),
        1: (1, 2),
        2: (0, 1, 2),
        4: range(len(SCENES)),
        5: range(len(WEATHERS)),
        6: range(len(TIMES_OF_DAY)),
    }
    return [
        (*row[:axis], value, *row[axis + 1 :])
        for axis, values in choices.items()
        for value in values
    ]


def _row(labels: np.ndarray) -> tuple[int, ...]:
    noun, things, people, action, scene, weather, hour, _ = (int(v) for v in labels)
    return (noun, min(things, 2), min(people, 2), action, scene, weather, hour, 0)


class CaptionLoss:
    """Cross-entropy of each picture's caption among the sentences it could be confused with."""

    def __init__(self, tokenizer: Any, corpus: Corpus) -> None:
        self._tokenizer = tokenizer
        self._corpus = corpus
        self._whole = {"base": _base_rows(), "actions": _action_rows()}

    def _candidates(self, grammar: str, rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        if grammar in self._whole:
            return self._whole[grammar]
        return sorted({near for row in rows for near in _neighbours(row)})

    def __call__(self, model: Any, images: Tensor, indices: np.ndarray) -> Tensor:
        """Return the mean loss of unit image embeddings [n, d] of these corpus rows."""
        grammars = self._corpus.grammars[indices]
        total = images.new_zeros(())
        for number, grammar in enumerate(GRAMMARS):
            members = np.flatnonzero(grammars == number)
            if not len(members):
                continue
            rows = [_row(self._corpus.labels[i]) for i in indices[members]]
            candidates = self._candidates(grammar, rows)
            place = {row: i for i, row in enumerate(candidates)}
            texts = [sentence(grammar, row) for row in candidates]
            tokens = self._tokenizer(
                texts, padding="max_length", max_length=CONTEXT_LENGTH, return_tensors="pt"
            )["input_ids"].to(images.device)
            text_features = model.encode_text(tokens, normalize=True).float()
            logits = model.logit_scale.exp() * images[members] @ text_features.T
            target = torch.tensor([place[row] for row in rows], device=images.device)
            total = total + functional.cross_entropy(logits, target, reduction="sum")
        return total / len(indices)


def train_clip(source: PictureSource, folder: Path, plan: Plan, batch: int) -> Any:
    """Train image and text towers together; ``folder`` receives the tokenizer."""
    torch.manual_seed(plan.seed)
    tokenizer = build_tokenizer(folder)
    model = open_clip.model.CustomTextCLIP(**model_config(len(tokenizer)))
    model.to(plan.device, memory_format=torch.channels_last)
    caption_loss = CaptionLoss(tokenizer, source.corpus)

    def loss(step: int, random: StepRandom) -> Tensor:
        drawn = source.draw(random, batch, plan.device)
        # On a CPU the fused attention kernel's backward pass is slow for sixteen tokens.
        with (
            torch.autocast(plan.device.split(":")[0], torch.bfloat16),
            sdpa_kernel(SDPBackend.MATH),
        ):
            images = model.encode_image(drawn.pictures * 2 - 1, normalize=True).float()
            value = caption_loss(model, images, drawn.indices)
        with torch.no_grad():
            model.logit_scale.clamp_(0, float(np.log(100)))
        return value

    fit(model, loss, plan)
    return model


def save_clip(model: Any, folder: Path) -> None:
    """Write open_clip's local folder format, fp16 safetensors."""
    vocabulary = len(json.loads((folder / "vocab.json").read_text()))
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    save_file(tensors, folder / "open_clip_model.safetensors")
    config = {
        "model_cfg": {**model_config(vocabulary), "custom_text": True},
        "preprocess_cfg": PREPROCESSING,
    }
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
