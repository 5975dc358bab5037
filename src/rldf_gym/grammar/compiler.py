"""The rules of a grammar file as places in a sentence: fixed text, and axes to choose along.

- A rule whose alternatives are all words, or rules of words, is an axis, and the rules below it
  are the groups of its vocabulary tree. With a single value it is fixed text.
- Any other rule is a part of the sentence; axes come in the order of derivation from ``start``.
- ``[optional]`` words are an axis that begins with an empty value. Fixed words in the brackets
  come and go with the choice beside them.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from lark.grammar import NonTerminal, Terminal

from rldf_gym.grammar.axes import Phrase, Slot
from rldf_gym.grammar.source import LarkTree, RuleFile
from rldf_gym.grammar.vocabulary import Vocabulary


def compile_slots(file: RuleFile) -> tuple[Slot, ...]:
    """The places of the sentence, in the order of derivation from ``start``.

    Raises:
        GrammarError: A rule cannot be laid out as a product of axes, or words are joined for want
            of blanks; names the rule and line.
    """
    slots = tuple(_Derivation(file).sentence())
    _check_blanks(file, slots)
    return slots


class _Derivation:
    """One walk down from ``start``; remembers which names the sentence has used."""

    def __init__(self, file: RuleFile) -> None:
        self._file = file
        self._vocabulary = Vocabulary(file)
        self._used: set[str] = set()

    def sentence(self) -> list[Slot]:
        alternatives = self._file.rules["start"].children
        if len(alternatives) == 1:
            return self._slots(alternatives[0], "start")
        return self._slots_of_rule("start")

    def _slots(self, tree: LarkTree, rule: str) -> list[Slot]:
        match tree.data, tree.children:
            case ("expansions", [sequence]) | ("alias", [sequence, _]):
                return self._slots(sequence, rule)
            case "expansions", _:
                raise self._file.fault(
                    rule, "holds a choice in parentheses; give that choice a rule of its own"
                )
            case "expansion", row:
                return list(chain.from_iterable(self._slots(part, rule) for part in row))
            case ("maybe", [inner]) | ("expr", [inner, "?"]):
                return self._optional(inner, rule)
            case "value", [NonTerminal() as part]:
                return self._slots_of_rule(part.name)
            case "value", [Terminal() as part] if self._is_choice(part.name):
                return self._slots_of_rule(part.name)
        fixed_text = self._vocabulary.of_tree(tree, rule)
        return [Slot(rule, fixed_text)] if fixed_text else []

    def _is_choice(self, name: str) -> bool:
        return len(self._vocabulary.of_rule(name) or ()) > 1

    def _slots_of_rule(self, name: str) -> list[Slot]:
        if name in self._used:
            raise self._file.fault(
                name,
                "stands twice in the sentence, which would give two axes one name; give the second"
                f" place a rule of its own (second_{name}: {name}) or write its words out",
            )
        self._used.add(name)
        phrases = self._vocabulary.of_rule(name)
        if phrases is not None:
            return [Slot(name, phrases)]
        alternatives = self._file.rules[name].children
        if len(alternatives) == 1:
            return self._slots(alternatives[0], name)
        raise self._file.fault(
            name,
            "has an alternative that puts words and choices in a row; each alternative of an axis"
            " is either words or one rule of words: move the row into the sentence",
        )

    def _optional(self, inner: LarkTree, rule: str) -> list[Slot]:
        slots = self._slots(inner, rule)
        choices = [slot for slot in slots if slot.is_axis]
        if len(choices) > 1:
            names = " and ".join(slot.name for slot in choices)
            raise self._file.fault(
                rule,
                f"makes {names} optional together, and all states without them would share a"
                " prompt; put each in [brackets] of its own",
            )
        slot = next(iter(choices or slots), None)
        if slot is None or slot.name == rule or not (choices or len(slots) == 1):
            raise self._file.fault(
                rule,
                "has [optional] words without a name; give them a rule of their own, such as"
                ' size: ["big"]',
            )
        place = slots.index(slot)
        before, after = _fixed_texts(slots[:place]), _fixed_texts(slots[place + 1 :])
        absent = Phrase("", "", None, (), slot.phrases[0].line)
        present = (
            replace(phrase, text=self._vocabulary.join([*before, phrase.text, *after], rule))
            for phrase in slot.phrases
        )
        return [Slot(slot.name, self._vocabulary.distinct((absent, *present), slot.name))]


def _fixed_texts(slots: list[Slot]) -> list[str]:
    return [slot.phrases[0].text for slot in slots]


def _check_blanks(file: RuleFile, slots: Sequence[Slot]) -> None:
    """Reject a file that forgets ``%ignore " "``: Lark would read "a photo ofduck" only.

    A file that writes a blank at the edge of any of its words sees to its blanks itself.
    """
    texts = [phrase.text for slot in slots for phrase in slot.phrases]
    if file.separator or any(text != text.strip() for text in texts):
        return
    before = ""
    for slot in slots:
        for phrase in slot.phrases if slot.is_axis else ():
            # The fixed words of an [optional] part stand in front of its value.
            lead = before + (phrase.text.partition(phrase.value)[0] if phrase.value else "")
            if lead[-1:].isalnum() and phrase.value[:1].isalnum():
                raise file.fault(
                    "start",
                    f"joins words without a blank, as in {lead + phrase.value!r}: add a line"
                    ' %ignore " ", or write the blanks into the words, as in "a photo of "',
                )
        before = "" if slot.is_axis else before + slot.phrases[0].text
