"""A CLIP tokenizer whose vocabulary is the words of our grammars, one token a word."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, trainers
from transformers import CLIPTokenizer

from rldf_gym.grammar import load_grammar
from tools.embedded_world.corpus import GRAMMARS

CONTEXT_LENGTH = 16  # the longest sentence has 13 words; start and end come on top
_START, _END = "<|startoftext|>", "<|endoftext|>"


def every_word() -> list[str]:
    """Return every word of every grammar, sorted."""
    words: set[str] = set()
    for name in GRAMMARS:
        grammar = load_grammar(name)
        for axis, size in enumerate(grammar.nvec):
            for value in range(size):
                state = np.zeros(grammar.n_axes, np.int64)
                state[axis] = value
                words.update(grammar.decode(state).split())
    return sorted(words)


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write the tokenizer's files (vocab.json, merges.txt, …) into ``folder`` and load it.

    Byte-pair encoding is trained on the bare word list until every word has become one token.
    The special tokens come last, as in OpenAI's CLIP, whose text tower pools at the highest id.
    """
    words = every_word()
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trainer = trainers.BpeTrainer(
        vocab_size=10_000, min_frequency=1, end_of_word_suffix="</w>", show_progress=False
    )
    learner.train_from_iterator(words, trainer)
    learned = json.loads(learner.to_str())["model"]
    vocabulary = dict(learned["vocab"])
    missing = [word for word in words if f"{word}</w>" not in vocabulary]
    if missing:
        raise ValueError(f"Words without a token of their own: {missing}")
    for special in (_START, _END):
        vocabulary[special] = len(vocabulary)
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CONTEXT_LENGTH)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    return CLIPTokenizer.from_pretrained(folder)
