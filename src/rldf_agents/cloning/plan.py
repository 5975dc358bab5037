"""Which pictures a clone consists of: a pure function of a number, never held as a whole."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from rldf_agents.cloning.sampling import Shares, mix, sample
from rldf_agents.errors import AgentError
from rldf_gym.grammar import Grammar
from rldf_gym.store import image_key

MOST_IN_SHARD = 256
_MOST_PICTURES = 2**32
_SEED_LIMIT = 2**31
RECORDS, PREVIEW = "shards", "preview"
RESERVED = (PREVIEW, RECORDS)
"""Folders of a clone that are no split."""


@dataclass(frozen=True)
class Shard:
    """A run of pictures of one split that is finished as a whole.

    Attributes:
        split: its name.
        number: in the split, from 0.
        first: number of its first picture in the split.
        count: of its pictures.
    """

    split: str
    number: int
    first: int
    count: int

    @property
    def name(self) -> str:
        """``split/00000``."""
        return f"{self.split}/{self.number:05d}"


@dataclass(frozen=True)
class Layout:
    """How the pictures of a clone are spread over splits and shards.

    Attributes:
        n_classes: number of classes.
        splits: how many pictures of each class, by the name of the split.
        shard_size: the most pictures in a shard.
    """

    n_classes: int
    splits: Mapping[str, int]
    shard_size: int

    @property
    def per_class(self) -> int:
        """Pictures of a class in all splits."""
        return sum(self.splits.values())

    @property
    def n_pictures(self) -> int:
        """Pictures in all."""
        return self.n_classes * self.per_class

    @property
    def n_shards(self) -> int:
        """Shards in all."""
        return self._ends[-1]

    def shard(self, index: int) -> Shard:
        """Return a shard by its number in the clone, from 0 to ``n_shards`` - 1."""
        place = bisect.bisect_right(self._ends, index)
        split = list(self.splits)[place]
        number = index - (self._ends[place - 1] if place else 0)
        first = number * self.shard_size
        return Shard(
            split, number, first, min(self.shard_size, self.n_classes * self.splits[split] - first)
        )

    def shards(self) -> Iterator[Shard]:
        """Yield all shards in order."""
        return map(self.shard, range(self.n_shards))

    @property
    def _ends(self) -> list[int]:
        sizes = (self.n_classes * count for count in self.splits.values())
        return list(itertools.accumulate(-(-size // self.shard_size) for size in sizes))


@dataclass(frozen=True)
class ClonedClass:
    """A class of the source and the state that stands for it.

    Attributes:
        name: as in the source.
        folder: name of its folder in the clone.
        labels: its label on each of the plan's class axes.
    """

    name: str
    folder: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class PlannedPicture:
    """One picture to generate.

    Attributes:
        number: in the clone; decides everything else.
        class_number: of its class in the plan.
        state: one label for each axis.
        prompt: of the state.
        seed: of the generator.
        id: hash of prompt, seed and the generator's fingerprint.
    """

    number: int
    class_number: int
    state: tuple[int, ...]
    prompt: str
    seed: int
    id: str


@dataclass(frozen=True)
class Plan:
    """All pictures of a clone.

    Classes take turns, so that every shard has pictures of many classes.

    Attributes:
        layout: splits and shards.
        grammar: of the states.
        classes: in the order of their names.
        class_axes: numbers of the axes that a class fixes.
        marginals: shares of the values of every other axis, by the axis's number.
        seed: of the clone.
        fingerprint: of the generator.

    Raises:
        AgentError: more than 2^32 pictures, or a seed out of range.
    """

    layout: Layout
    grammar: Grammar
    classes: tuple[ClonedClass, ...]
    class_axes: tuple[int, ...]
    marginals: Mapping[int, Shares]
    seed: int
    fingerprint: str

    def __post_init__(self) -> None:
        if self.layout.n_pictures > _MOST_PICTURES:
            raise AgentError(f"{self.layout.n_pictures} pictures: a clone has at most 2^32")
        if not 0 <= self.seed < _SEED_LIMIT:
            raise AgentError(f"--seed is {self.seed}: give 0 to {_SEED_LIMIT - 1}")

    def pictures(self, shard: Shard) -> list[PlannedPicture]:
        """Return the pictures of a shard."""
        before = list(self.layout.splits).index(shard.split)
        offset = sum(list(self.layout.splits.values())[:before]) * self.layout.n_classes
        first = offset + shard.first
        return self.numbered(range(first, first + shard.count))

    def numbered(self, numbers: Sequence[int]) -> list[PlannedPicture]:
        """Return pictures by their numbers in the clone, 0 to ``n_pictures`` - 1."""
        places, classes = np.divmod(np.array(numbers, np.uint64), np.uint64(len(self.classes)))
        states = np.zeros((len(numbers), self.grammar.n_axes), np.int64)
        labels = np.array([each.labels for each in self.classes], np.int64)
        states[:, self.class_axes] = labels[classes.astype(np.int64)]
        for axis, shares in self.marginals.items():
            keys = mix(classes ^ mix(mix(np.array(self.seed, np.uint64)) ^ np.uint64(axis + 1)))
            states[:, axis] = sample(shares, places, self.layout.per_class, keys)
        return [
            self._picture(number, state, 0)
            for number, state in zip(numbers, map(tuple, states.tolist()), strict=True)
        ]

    def retry(self, picture: PlannedPicture, attempt: int) -> PlannedPicture:
        """Return the same picture with the seed of a later attempt, from 1."""
        return self._picture(picture.number, picture.state, attempt)

    def _picture(self, number: int, state: tuple[int, ...], attempt: int) -> PlannedPicture:
        prompt = self.grammar.template.write(state)
        seed = (self.seed << 32) + attempt * self.layout.n_pictures + number
        return PlannedPicture(
            number=number,
            class_number=number % len(self.classes),
            state=state,
            prompt=prompt,
            seed=seed,
            id=image_key(self.fingerprint, prompt, seed),
        )

    def with_shard_size(self, shard_size: int) -> Plan:
        """Return the same pictures in shards of another size."""
        return replace(self, layout=replace(self.layout, shard_size=shard_size))


def check_attempts(n_pictures: int, attempts: int) -> None:
    """Check that every attempt has a seed of its own.

    Raises:
        AgentError: too many attempts for so many pictures.
    """
    if n_pictures * attempts > _MOST_PICTURES:
        most = _MOST_PICTURES // n_pictures - 1
        raise AgentError(f"--retry-rejected is {attempts - 1}: give at most {most}")


def read_splits(text: str | None, per_class: int) -> dict[str, int]:
    """Return how many pictures of each class every split gets; they sum to ``per_class``.

    Args:
        text: ``train=0.9,val=0.1``, shares that sum to 1; or whole numbers that sum to
            ``per_class``; None for everything in "train".
        per_class: pictures of a class.

    Raises:
        AgentError: another form, a name that cannot be used or is repeated, other sums, or a split
            without a picture.
    """
    given: dict[str, Fraction] = {}
    for part in (text or "train=1").split(","):
        name, equals, share = part.strip().partition("=")
        try:
            number = Fraction(share) if "/" not in share else Fraction(-1)
        except ValueError:
            number = Fraction(-1)
        if not equals or number <= 0:
            raise AgentError(f"--splits {text}: give NAME=SHARE, such as train=0.9,val=0.1")
        if not name.isidentifier() or not name.isascii() or name in RESERVED or name in given:
            raise AgentError(
                f"--splits {text}: {name!r} is given twice or is no name for a split; use letters,"
                f" digits and _, and not {' or '.join(RESERVED)}"
            )
        given[name] = number
    total = sum(given.values())
    if total not in (1, per_class):
        raise AgentError(
            f"--splits {text}: the shares sum to {float(total):g}; make it 1, or give numbers of"
            f" pictures that sum to {per_class}"
        )
    exact = {name: number * per_class / total for name, number in given.items()}
    counts = {name: int(number) for name, number in exact.items()}
    largest = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in largest[: per_class - sum(counts.values())]:
        counts[name] += 1
    if empty := [name for name, count in counts.items() if not count]:
        raise AgentError(
            f"--splits {text}: {empty[0]} gets no picture of {per_class}; give more with"
            " --per-class"
        )
    return counts
