"""Count words: which word of an axis says how many."""

from collections.abc import Sequence
from dataclasses import dataclass

_NUMBERS = {
    word: number
    for number, words in enumerate(
        (
            ("no", "zero"),
            ("one", "a", "an", "single"),
            ("two",),
            ("three",),
            ("four",),
            ("five",),
            ("six",),
            ("seven",),
            ("eight",),
            ("nine",),
            ("ten",),
            ("eleven",),
            ("twelve",),
        )
    )
    for word in words
}
_MANY = "many"


@dataclass(frozen=True)
class CountWords:
    """The words of an axis that counts.

    Attributes:
        numbers: what each value's word counts; None for "many".
    """

    numbers: tuple[int | None, ...]

    @classmethod
    def parse(cls, words: Sequence[str]) -> "CountWords | None":
        """Understand an axis's words; None if one is no count word, or two say one number."""
        numbers: list[int | None] = []
        for word in words:
            spelled = word.strip().lower()
            if spelled == _MANY:
                numbers.append(None)
            elif spelled in _NUMBERS:
                numbers.append(_NUMBERS[spelled])
            elif spelled.isdecimal():
                numbers.append(int(spelled))
            else:
                return None
        return cls(tuple(numbers)) if len(set(numbers)) == len(numbers) else None

    @property
    def least_many(self) -> int:
        """The least count that is "many": 2, or more than the largest number word on the axis."""
        return max([2, *(number + 1 for number in self.numbers if number is not None)])

    def value_of(self, count: int) -> int:
        """Index of the word for a count; -1 where the axis has none."""
        if count in self.numbers:
            return self.numbers.index(count)
        if count >= self.least_many and None in self.numbers:
            return self.numbers.index(None)
        return -1

    def least_count(self, value: int) -> int:
        """The least count that a value's word stands for."""
        number = self.numbers[value]
        return self.least_many if number is None else number
