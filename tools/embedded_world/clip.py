"""Trains the open_clip model on pictures and their captions.

Contrastive learning (Radford et al. 2021, arXiv:2103.00020) with hard negatives: a picture's
caption competes with every sentence of a small grammar, and with the sentences of a large one that
differ from a caption of the batch in one word, because zero-shot reading compares the same.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from rldf_gym.grammar import Grammar, load_grammar
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.corpus import GRAMMARS, Corpus, in_style, true_states
from tools.embedded_world.styles import STYLE_NAMES
from tools.embedded_world.tokenizer import build_tokenizer, moved_embeddings
from tools.embedded_world.training_loop import Plan, StepRandom, fit, mixed_precision

IMAGE_SIDE = 128
CONTEXT_LENGTH = 17  # "pixel art" is a word longer than "photo"
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


_State = tuple[int, ...]
_CANDIDATES = 128  # captions of one grammar that compete in a batch
_STYLES_EVERY = 3  # one picture in so many is compared with its caption in other styles
_LISTED_WHOLE = ("base", "actions")  # few enough sentences to compare a picture with each


def _neighbours(grammar: Grammar, state: _State) -> list[_State]:
    """Return states that differ in one axis, ``state``, and it with its two things swapped."""
    near = [
        (*state[:axis], value, *state[axis + 1 :])
        for axis, size in enumerate(grammar.nvec)
        for value in range(int(size))
    ]
    return [*near, (*state[2:4], *state[:2], *state[4:])] if grammar.name == "objects" else near


class CaptionLoss:
    """Cross-entropy of each picture's caption among the sentences it could be confused with.

    One term compares contents, another the styles of the true content.
    """

    def __init__(self, tokenizer: Any, corpus: Corpus) -> None:
        self._tokenizer = tokenizer
        self._corpus = corpus
        self._grammars = [load_grammar(name) for name in GRAMMARS]
        self._whole: dict[str, list[_State]] = {
            grammar.name: [tuple(state.tolist()) for state in grammar.states()]
            for grammar in self._grammars
            if grammar.name in _LISTED_WHOLE
        }

    def __call__(
        self,
        model: Any,
        images: Tensor,
        indices: np.ndarray,
        styles: Tensor,
        rng: np.random.Generator,
    ) -> Tensor:
        """Return the mean loss of unit image embeddings [n, d] of these corpus rows."""
        total = images.new_zeros(())
        for number, grammar in enumerate(self._grammars):
            members = np.flatnonzero(self._corpus.grammars[indices] == number)
            if not len(members):
                continue
            true = true_states(grammar, self._corpus.labels[indices[members]])
            states: list[_State] = [tuple(state) for state in true.tolist()]
            total = total + self._of_content(model, images[members], grammar, states, rng)
            some = members[::_STYLES_EVERY]
            captions = [grammar.decode(state) for state in true[::_STYLES_EVERY]]
            style_loss = self._of_style(model, images[some], captions, styles[some])
            total = total + style_loss * len(members) / len(some)
        return total / len(indices)

    def _of_content(
        self,
        model: Any,
        images: Tensor,
        grammar: Grammar,
        states: list[_State],
        rng: np.random.Generator,
    ) -> Tensor:
        right = set(states)
        near = self._whole.get(grammar.name) or [
            near for state in states for near in _neighbours(grammar, state)
        ]
        wrong = sorted(set(near) - right)
        kept = rng.permutation(len(wrong))[: max(0, _CANDIDATES - len(right))]
        candidates = [*sorted(right), *(wrong[i] for i in kept)]
        place = {state: i for i, state in enumerate(candidates)}
        texts = self._embed(model, [grammar.decode(np.array(state)) for state in candidates])
        logits = model.logit_scale.exp() * images @ texts.T
        target = torch.tensor([place[state] for state in states], device=images.device)
        return functional.cross_entropy(logits, target, reduction="sum")

    def _of_style(self, model: Any, images: Tensor, captions: list[str], styles: Tensor) -> Tensor:
        versions = [in_style(caption, style) for caption in captions for style in STYLE_NAMES]
        texts = self._embed(model, versions).view(len(captions), len(STYLE_NAMES), -1)
        logits = model.logit_scale.exp() * torch.einsum("nd,nsd->ns", images, texts)
        return functional.cross_entropy(logits, styles, reduction="sum")

    def _embed(self, model: Any, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(
            texts, padding="max_length", max_length=CONTEXT_LENGTH, return_tensors="pt"
        )["input_ids"]
        embeddings: Tensor = model.encode_text(tokens.to(model.logit_scale.device), normalize=True)
        return embeddings.float()


def train_clip(
    source: PictureSource, folder: Path, plan: Plan, batch: int, start: Path | None = None
) -> Any:
    """Train image and text towers together.

    Args:
        source: pictures and labels.
        folder: receives the tokenizer.
        plan: how long, how fast.
        batch: pictures a step.
        start: folder of a trained model to start from; None for random weights.
    """
    torch.manual_seed(plan.seed)
    tokenizer = build_tokenizer(folder, CONTEXT_LENGTH)
    model = open_clip.model.CustomTextCLIP(**model_config(len(tokenizer)))
    if start is not None:
        _load_weights(model, start, tokenizer.get_vocab())
    model.to(plan.device, memory_format=torch.channels_last)
    caption_loss = CaptionLoss(tokenizer, source.corpus)

    def loss(step: int, random: StepRandom) -> Tensor:
        sampled = source.sample(random, batch, plan.device)
        # On a CPU the fused attention kernel's backward pass is slow for sixteen tokens.
        with (
            mixed_precision(plan.device),
            sdpa_kernel(SDPBackend.MATH),
        ):
            images = model.encode_image(sampled.pictures * 2 - 1, normalize=True).float()
            value = caption_loss(model, images, sampled.indices, sampled.styles, random.numpy)
        with torch.no_grad():
            model.logit_scale.clamp_(0, float(np.log(100)))
        return value

    fit(model, loss, plan)
    return model


def _load_weights(model: Any, folder: Path, tokens: dict[str, int]) -> None:
    """Load a trained model whose vocabulary may be smaller, and its texts shorter."""
    weights = load_file(folder / "open_clip_model.safetensors")
    old_tokens = json.loads((folder / "vocab.json").read_text())
    name = "text.token_embedding.weight"
    fresh = model.state_dict()[name]
    weights[name] = moved_embeddings(weights[name].float(), old_tokens, fresh, tokens)
    name = "text.positional_embedding"
    positions = model.state_dict()[name].clone()
    positions[: len(weights[name])] = weights[name]
    weights[name] = positions
    model.load_state_dict(weights)


def image_tower(folder: Path) -> Any:
    """Return the timm network that reads pictures in a trained model, frozen."""
    model = open_clip.create_model(f"local-dir:{folder}", precision="fp32")
    return model.visual.trunk.eval().requires_grad_(False)


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
