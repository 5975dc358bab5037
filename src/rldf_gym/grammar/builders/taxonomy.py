"""How alike two meanings are, by their places in a tree of more and more general ones."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt


class Taxonomy:
    """Meanings, each known by a number, below more general ones.

    Args:
        hypernyms: Gives the meanings directly above one.
    """

    def __init__(self, hypernyms: Callable[[int], Sequence[int]]) -> None:
        self._hypernyms = hypernyms
        self._ancestors: dict[int, dict[int, int]] = {}

    def ancestors(self, meaning: int) -> dict[int, int]:
        """Return each meaning above, and itself, with the fewest steps up to it."""
        if meaning not in self._ancestors:
            steps, waiting = {meaning: 0}, deque([meaning])
            while waiting:
                below = waiting.popleft()
                for above in self._hypernyms(below):
                    if above not in steps:
                        steps[above] = steps[below] + 1
                        waiting.append(above)
            self._ancestors[meaning] = steps
        return self._ancestors[meaning]

    def path_similarities(self, meanings: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return the path similarity of each pair: float64 ``[n, n]`` in 0 .. 1.

        That is 1 / (1 + steps of the shortest path through a common hypernym), as in NLTK; two
        meanings with nothing in common have 0.
        """
        columns: dict[int, int] = {}
        above = [self.ancestors(meaning) for meaning in meanings]
        for steps in above:
            for ancestor in steps:
                columns.setdefault(ancestor, len(columns))
        table = np.full((len(meanings), len(columns)), np.inf)
        for row, steps in enumerate(above):
            table[row, [columns[each] for each in steps]] = list(steps.values())
        shortest = np.array([(table + row).min(axis=1) for row in table])
        return 1.0 / (1.0 + shortest)

    def embeddings(self, meanings: Iterable[Iterable[int]]) -> npt.NDArray[np.float64]:
        """Return a vector per word whose cosines follow the tree: ``[n_words, d]``.

        Each dimension is a meaning; a word has it as far as its meanings are below it. Those
        above few of the words weigh more, as inverse document frequencies do.

        Args:
            meanings: For each word, its meanings, or those of its parts.
        """
        rows = [{above for meaning in row for above in self.ancestors(meaning)} for row in meanings]
        columns = {above: column for column, above in enumerate(sorted(set().union(*rows)))}
        table = np.zeros((len(rows), len(columns)))
        for row, above in enumerate(rows):
            table[row, [columns[each] for each in above]] = 1.0
        rarity = np.sqrt(np.log((1 + len(rows)) / table.sum(axis=0)))
        weighted: npt.NDArray[np.float64] = table * rarity
        return weighted
