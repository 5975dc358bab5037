"""A CLIP tokenizer whose vocabulary is the words of our grammars, one token a word."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor
from transformers import CLIPTokenizer

from rldf_gym.grammar import load_grammar
from tools.embedded_world.corpus import GRAMMARS
from tools.embedded_world.styles import STYLE_NAMES

CONTEXT_LENGTH = 16  # the longest photo's sentence has 14 words; start and end come on top
_START, _END = "<|startoftext|>", "<|endoftext|>"
_END_OF_WORD = "</w>"


def every_word() -> list[str]:
    """Return every word of every grammar and style, sorted."""
    words = {word for style in STYLE_NAMES for word in style.split()}
    for name in GRAMMARS:
        grammar = load_grammar(name)
        for axis, size in enumerate(grammar.nvec):
            for value in range(size):
                state = np.zeros(grammar.n_axes, np.int64)
                state[axis] = value
                words.update(grammar.decode(state).split())
    return sorted(words)


def build_tokenizer(folder: Path, context_length: int = CONTEXT_LENGTH) -> CLIPTokenizer:
    """Load the tokenizer in ``folder``, or write one there: a resumed training keeps its own.

    The special tokens come last, as in OpenAI's CLIP, whose text tower pools at the highest id.
    """
    if not (folder / "vocab.json").exists():
        merges = whole_word_merges(every_word())
        letters = {letter for pair in merges for letter in pair if len(letter) == 1}
        pieces = sorted(letters | {f"{letter}{_END_OF_WORD}" for letter in letters})
        pieces += ["".join(pair) for pair in merges]
        vocabulary = {piece: i for i, piece in enumerate([*dict.fromkeys(pieces), _START, _END])}
        tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=context_length)
        write_tokenizer(tokenizer, folder)
    return CLIPTokenizer.from_pretrained(folder)


def whole_word_merges(words: list[str]) -> list[tuple[str, str]]:
    """Return byte-pair merges that make every word one token, the same for the same words.

    Each word is first merged as far as the merges so far go, then joined from the left. A merge
    that is added later ranks lower than those that an earlier word needs, so it cannot undo them.
    """
    merges: list[tuple[str, str]] = []
    for word in words:
        pieces = [*word[:-1], word[-1] + _END_OF_WORD]
        while len(pieces) > 1:
            ranked = [merges.index(pair) for pair in itertools.pairwise(pieces) if pair in merges]
            if not ranked:
                merges.append((pieces[0], pieces[1]))
                ranked = [len(merges) - 1]
            pieces = _merged(pieces, merges[min(ranked)])
    return merges


def _merged(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def moved_embeddings(
    old: Tensor, old_tokens: Mapping[str, int], new: Tensor, new_tokens: Mapping[str, int]
) -> Tensor:
    """Return ``new`` token embeddings [n, d] with ``old`` rows for the tokens that both know."""
    moved = new.clone()
    for token, row in new_tokens.items():
        if token in old_tokens:
            moved[row] = old[old_tokens[token]]
    return moved


def write_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write tokenizer.json, and vocab.json and merges.txt as in Stable Diffusion's folders.

    Transformers 5 writes the first alone; older versions and `rldf_gym.generation` read the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
