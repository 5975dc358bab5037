"""Class consistency: in how many pictures of a class a perception reads that class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from rldf_agents.evaluation.features import in_equal_sizes
from rldf_gym.generation.vocabulary import read_known_words, words_in
from rldf_gym.grammar import Grammar, compile_grammar
from rldf_gym.grammar.builders import Vocabulary, write_grammar
from rldf_gym.perception import LabelDecoder, Output, Perception

_UNREAD = -1


class ClassReader:
    """Reads which of some classes a picture shows.

    The detector reads it where it knows all of the classes, CLIP zero-shot where it does not.

    Attributes:
        name: for reports.
        fingerprint: of the models and the class names.
    """

    def __init__(self, perception: Perception, name: str, classes: Sequence[str]) -> None:
        """Decide which model reads.

        Args:
            perception: its models.
            name: of the perception.
            classes: names of class folders.

        Raises:
            GrammarError: the names make no grammar, as two that are equal but for their case.
        """
        words = [_word(each) for each in classes]
        sentence = ("a photo of a ", Vocabulary("class_name", tuple(words)))
        grammar = compile_grammar(write_grammar(sentence, (), "classes").source, "classes")
        values = grammar.axes[0].values
        self._labels = np.array([words.index(value) for value in values])
        self._decoder = _decoder(perception, grammar)
        self._reader = self._decoder.readers[0]
        self._model = perception.models()[self._reader]
        self.name = f"the {self._reader.replace('_', ' ')} of {name}"
        facts = [self._reader, *words, self._model.fingerprint, f"{perception.temperatures}"]
        self.fingerprint = hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def __call__(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.int64]:
        """Return the index of the class that is read in each picture, -1 for none."""
        return in_equal_sizes(pictures, self._read)

    def _read(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        values: list[int] = []
        for output in self._model(batch):
            # Where another model reads the only axis, CLIP's embedding decides nothing.
            seen: dict[str, Output] = {
                "clip": {"embedding": np.zeros(1, np.float32)},
                self._reader: output,
            }
            values.append(int(self._decoder.read(**seen).values[0]))
        found = np.array(values, np.int64)
        return np.where(found < 0, _UNREAD, self._labels[found])


def unknown_words(perception: Perception, classes: Sequence[str]) -> list[str]:
    """Return the words of class names that a closed-vocabulary CLIP does not know."""
    vocabulary = getattr(perception.clip, "vocabulary", None)
    if vocabulary is None:
        return []
    known = read_known_words(vocabulary)
    return sorted({word for name in classes for word in words_in(_word(name))} - known)


def _word(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _decoder(perception: Perception, grammar: Grammar) -> LabelDecoder:
    embed = cache(lambda prompts: perception.clip.embed_texts(prompts))
    return LabelDecoder(grammar, perception.spec(lambda prompts: embed(tuple(prompts))))
