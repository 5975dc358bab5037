"""Pictures that a generator will never give: why, kept in the store, and what is read instead.

A safety filter refuses a prompt, or a model overflows. A search meets such a state like any other
and goes on: nothing is read there, so that it gets the lowest reward of each kind, and it is not
asked for again until ``rldf store prune --generator`` forgets the generator.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.generation import PLACEHOLDER_GREY
from rldf_gym.store import Store
from rldf_gym.store.schema import unavailable_by


class UnavailablePictureWarning(UserWarning):
    """A generator gives no picture for some prompts of a search; the search goes on."""


@dataclass(frozen=True)
class Unavailable:
    """A picture that does not exist.

    Attributes:
        reason: why, in the generator's words.
        shape: `(H, W, 3)` of the pictures that do exist.
    """

    reason: str
    shape: tuple[int, int, int]

    def placeholder(self) -> NDArray[np.uint8]:
        """A plain grey picture of that shape, to show in its place."""
        return np.full(self.shape, PLACEHOLDER_GREY, np.uint8)


def find_unavailable(store: Store, generator: str, keys: Iterable[str]) -> dict[str, Unavailable]:
    """Those of these pictures (keys) that a generator (a fingerprint) is known not to give."""
    return {
        key: Unavailable(kept["reason"].tobytes().decode(), tuple(kept["shape"].tolist()))
        for key, kept in store.outputs(unavailable_by(generator), keys).items()
    }


def keep_unavailable(
    store: Store, generator: str, pictures: Mapping[str, Unavailable]
) -> dict[str, Unavailable]:
    """Keep which pictures (keys) a generator (a fingerprint) does not give, and why."""
    outputs: dict[str, dict[str, NDArray[Any]]] = {
        key: {
            "reason": np.frombuffer(picture.reason.encode(), np.uint8),
            "shape": np.array(picture.shape, np.int64),
        }
        for key, picture in pictures.items()
    }
    store.add_outputs(unavailable_by(generator), outputs)
    return dict(pictures)
