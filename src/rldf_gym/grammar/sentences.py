"""States written out as prompts, and prompts parsed back into states by Lark."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from lark import Lark, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF

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
        """One label per axis; blanks between words may be wider than needed.

        Raises:
            GrammarError: The prompt is not a sentence; says where it leaves the language.
        """
        text = prompt
        if self.separator:
            text = "".join(word + self.separator for word in prompt.split())
        parser = _parser(self.places)
        try:
            tree = parser.parse(text)
        except UnexpectedCharacters as error:
            complaint = self._where_it_leaves(text, error.pos_in_stream or 0, error.allowed or ())
            raise GrammarError(f"grammar {grammar_name!r} {complaint}") from error
        except UnexpectedEOF as error:
            complaint = self._where_it_leaves(text, len(text), error.expected)
            raise GrammarError(f"grammar {grammar_name!r} {complaint}") from error
        choices = (child for child in tree.children if isinstance(child, Tree))
        return tuple(int(choice.data.removeprefix("label_")) for choice in choices)

    def _where_it_leaves(self, text: str, position: int, terminals: Iterable[str]) -> str:
        """What a reader needs to mend the prompt: where it goes wrong, and what may stand there."""
        spelled = {term.name: str(term.pattern.value) for term in _parser(self.places).terminals}
        allowed = {spelled[name] for name in terminals if name in spelled}
        in_order = dict.fromkeys(text for text in chain(*self.places) if text in allowed)
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


@functools.lru_cache(maxsize=16)
def _parser(places: tuple[tuple[str, ...], ...]) -> Lark:
    """Lark's parser for the sentence with its rules flattened: one rule per axis.

    The rules of the file would do, but their trees have as many shapes as Lark has operators;
    flattened, the n-th branch is the n-th axis and its name is the label. Blanks are part of each
    text, so words cannot run together. Cached here, not in the grammar, which stays small to
    pickle.
    """
    sequence: list[str] = []
    rules: list[str] = []
    for number, place in enumerate(places):
        # Terminals with a name, because Lark's own names for them can clash with the words.
        texts = [f"_TEXT_{number}_{label}" if text else "" for label, text in enumerate(place)]
        rules += [f'{name}: "{text}"' for name, text in zip(texts, place, strict=True) if text]
        if len(place) == 1:
            sequence += texts
        else:
            sequence.append(f"axis_{number}")
            alternatives = (f"{name} -> label_{label}" for label, name in enumerate(texts))
            rules.append(f"axis_{number}: {' | '.join(alternatives)}")
    return Lark("\n".join([f"start: {' '.join(sequence)}", *rules]), parser="earley")
