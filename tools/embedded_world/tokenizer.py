"""A CLIP tokenizer whose vocabulary is the words of our grammars, one token a word."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, trainers
from transformers import CLIPTokenizer

from tools.embedded_world.corpus import GRAMMARS, LABELS, sentence

CONTEXT_LENGTH = 16  # the longest sentence has 13 words; start and end come on top
_START, _END = "<|startoftext|>", "<|endoftext|>"


def every_sentence() -> list[str]:
    """Return sentences that together hold every word of every grammar."""
    from tools.embedded_world.atmosphere import TIMES_OF_DAY, WEATHERS
    from tools.embedded_world.backgrounds import SCENES
    from tools.embedded_world.cutouts import ACTIONS, NOUNS

    sizes = (len(NOUNS), 3, 4, len(ACTIONS), len(SCENES), len(WEATHERS), len(TIMES_OF_DAY), 1)
    rows = [[i % size for size in sizes] for i in range(max(sizes) * 3)]
    assert len(sizes) == len(LABELS)
    for row in rows:
        row[1] = 1 + row[1] % 2
    return sorted({sentence(grammar, row) for grammar in GRAMMARS for row in rows})


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write the tokenizer's files (vocab.json, merges.txt, …) into ``folder`` and load it.

    Byte-pair encoding is trained on the bare word list until every word has become one token.
    The special tokens come last, as in OpenAI's CLIP, whose text tower pools at the highest id.
    """
    words = sorted({word for text in every_sentence() for word in text.split()})
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
    tokenizer = CLIPTokenizer(
        vocab=vocabulary, merges=merges, model_max_length=CONTEXT_LENGTH
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    return CLIPTokenizer.from_pretrained(folder)
