"""Which words a closed-vocabulary text encoder knows, from its tokenizer's vocab.json alone."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from rldf_gym.generation.protocols import GenerationError

_MOST_SHOWN = 10
_WORD_END = "</w>"
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\w\s]|_)+")
"""How CLIP's tokenizer cuts a sentence: contractions, runs of letters, digits, runs of marks."""


def words_in(text: str) -> list[str]:
    """The lower-case words of a text, cut as CLIP's tokenizer cuts it."""
    return _WORD.findall(text.lower())


def read_known_words(vocabulary: Path) -> frozenset[str]:
    """Words that are one whole-word token ("word</w>") in a CLIP tokenizer's vocab.json.

    Raises:
        GenerationError: naming the file, when it is missing or not a vocabulary.
    """
    try:
        tokens = json.loads(vocabulary.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GenerationError(f"cannot read the vocabulary {vocabulary}: {error}") from error
    if not isinstance(tokens, dict):
        raise GenerationError(f"{vocabulary} is not a tokenizer vocabulary: it maps no tokens")
    return frozenset(token.removesuffix(_WORD_END) for token in tokens if token.endswith(_WORD_END))


def validate_words(texts: Iterable[str], known_words: frozenset[str], name: str) -> None:
    """Check that the generator `name` learned all words of some texts.

    Raises:
        GenerationError: listing the unknown words.
    """
    unknown = sorted({word for text in texts for word in words_in(text)} - known_words)
    if unknown:
        shown = ", ".join(map(repr, unknown[:_MOST_SHOWN]))
        if len(unknown) > _MOST_SHOWN:
            shown += f" and {len(unknown) - _MOST_SHOWN:,} more"
        raise GenerationError(
            f"the generator {name!r} never learned the words {shown}; "
            "use words that it knows, or a generator that reads any text, such as 'sd14'"
        )
