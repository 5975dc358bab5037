"""Where episodes start: anywhere but at the goal, from a random stream for each sub-environment."""

from collections.abc import Iterator, Sequence

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from rldf_gym.errors import RLDFError

Seeds = int | Sequence[int | None] | None


class StartingStates:
    """Random streams of starting states, one for every sub-environment.

    A stream gives the starts of a single environment with the same seed.
    """

    def __init__(self, num_envs: int) -> None:
        self._streams: list[tuple[np.random.Generator, int] | None] = [None] * num_envs

    @property
    def seeds_in_use(self) -> tuple[int, ...]:
        """The seed that each stream began with."""
        return tuple(self._stream(number)[1] for number in range(len(self._streams)))

    def seeds(self, seed: Seeds) -> Sequence[int | None]:
        """One seed for every sub-environment: ``seed + i`` for a number, None for no change.

        Raises:
            RLDFError: a sequence that is not one seed for each.
        """
        num_envs = len(self._streams)
        if seed is None:
            return [None] * num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + number for number in range(num_envs)]
        if len(seed) != num_envs:
            raise RLDFError(f"{len(seed)} seeds for {num_envs} sub-environments")
        return [int(each) if isinstance(each, np.integer) else each for each in seed]

    def restart(self, mask: NDArray[np.bool_], seeds: Sequence[int | None]) -> None:
        """Begin anew the streams of the sub-environments ``mask [n]`` that are given a seed.

        Raises:
            gymnasium.error.Error: a seed is no whole number of at least 0; no stream has changed.
        """
        begun = {
            number: seeding.np_random(seeds[number])
            for number in np.flatnonzero(mask).tolist()
            if seeds[number] is not None
        }
        for number, stream in begun.items():
            self._streams[number] = stream

    def streams(self, mask: NDArray[np.bool_]) -> Iterator[np.random.Generator]:
        """Yield the streams of the sub-environments in the mask ``[n]``."""
        return (self._stream(number)[0] for number in np.flatnonzero(mask).tolist())

    def _stream(self, number: int) -> tuple[np.random.Generator, int]:
        stream = self._streams[number]
        if stream is None:
            stream = self._streams[number] = seeding.np_random()
        return stream
