"""States written out as prompts, and prompts parsed back into states."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from rldf_gym.grammar.axes import Slot
from rldf_gym.grammar.faults import GrammarError

_WORDS_TO_SHOW = 12


@dataclass(frozen=True)
class Template:
    """The sentence with its places.

    Attributes:
        places: For each place, the texts to choose from, each with the blank that follows it. A
            place with one text is fixed; the others are the axes, in order.
        separator: That blank; ``""`` where the grammar file writes its blanks itself.
    """

    places: tuple[tuple[str, ...], ...]
    separator: str

    def write(self, labels: Sequence[int]) -> str:
        """The prompt of one label per axis; labels must be in range."""
        label = iter(labels)
        texts = [place[0] if len(place) == 1 else place[next(label)] for place in self.places]
        return "".join(texts).removesuffix(self.separator)

    def parse(self, prompt: str, grammar_name: str) -> tuple[int, ...]:
        """Return one label per axis; blanks between words may be wider than needed.

        Goes through the places from left to right and keeps every position in the text that they
        can reach. Lark's Earley parser finds the same labels, a thousand times more slowly where
        an axis has a thousand words.

        Raises:
            GrammarError: The prompt is not a sentence; says where it leaves the language.
        """
        text = prompt
        if self.separator:
            text = "".join(word + self.separator for word in prompt.split())
        steps: list[dict[int, tuple[int, int]]] = []
        positions = {0}
        for place in self.places:
            # The position after each text that fits, with the position before it and its label.
            fitting = {
                start + length: (start, labels[text[start : start + length]])
                for start in positions
                for length, labels in _labels_by_length(place)
                if text[start : start + length] in labels
            }
            steps.append(fitting)
            positions = set(fitting)
        if len(text) not in positions:
            raise GrammarError(f"grammar {grammar_name!r} {self._where_it_leaves(text, steps)}")
        position, chosen = len(text), []
        for place, fitting in zip(reversed(self.places), reversed(steps), strict=True):
            position, label = fitting[position]
            if len(place) > 1:
                chosen.append(label)
        return tuple(reversed(chosen))

    def _where_it_leaves(self, text: str, steps: Sequence[Mapping[int, object]]) -> str:
        """Say how to correct the prompt: where it leaves the language, and what may follow."""
        reached = [{0}, *map(set, steps)]
        position = max(max(positions, default=0) for positions in reached)
        expected = (
            place
            for place, positions in zip(self.places, reached, strict=False)
            if position in positions
        )
        in_order = dict.fromkeys(filter(None, chain.from_iterable(expected)))
        shown = [repr(each.removesuffix(self.separator)) for each in in_order]
        if len(shown) > _WORDS_TO_SHOW:
            shown[_WORDS_TO_SHOW:] = [f"{len(shown) - _WORDS_TO_SHOW} more"]
        rest = text[position:].strip()
        return (
            f"has no sentence {text.removesuffix(self.separator)!r}: at"
            f" {repr(rest) if rest else 'its end'} it expects"
            f" {' or '.join(shown) if shown else 'nothing more'}"
        )


def template_of(slots: Sequence[Slot], separator: str) -> Template:
    """The sentence that compiled places make; places that are always empty fall away."""
    places = (
        tuple(phrase.text + separator if phrase.text else "" for phrase in slot.phrases)
        for slot in slots
    )
    return Template(tuple(place for place in places if place != ("",)), separator)


@functools.lru_cache(maxsize=256)
def _labels_by_length(place: tuple[str, ...]) -> tuple[tuple[int, dict[str, int]], ...]:
    """Return the label of each text of a place, apart by the length of the text.

    Cached here, not in the grammar, which stays small to pickle.
    """
    labels: dict[int, dict[str, int]] = {}
    for label, text in enumerate(place):
        labels.setdefault(len(text), {})[text] = label
    return tuple(labels.items())
