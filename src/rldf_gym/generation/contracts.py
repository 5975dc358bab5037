"""What a generator is, to everything that uses one."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rldf_gym.errors import RLDFError


class GenerationError(RLDFError):
    """A generator that is unknown, cannot be loaded, or was asked for what it cannot draw."""


@runtime_checkable
class Generator(Protocol):
    """Anything that draws prompts.

    A picture is a pure function of (fingerprint, prompt, seed): pictures are stored under that
    key and never drawn twice (paper, Discussion 2: fixed seeds for consistent rewards).
    """

    @property
    def name(self) -> str:
        """How the user called it, for messages and reports."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that decides pixels, as sha256 hex.

        Weights, scheduler, steps, guidance, size, negative prompt and dtype; not the device.
        """
        ...

    def __call__(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.uint8]:
        """Draw one picture for every prompt with the seed beside it: uint8 `[n, H, W, 3]`, RGB."""
        ...


@runtime_checkable
class LimitedVocabulary(Protocol):
    """A generator that understands only some words."""

    @property
    def known_words(self) -> frozenset[str] | None:
        """Lower-case words it was trained on; None where every word is understood."""
        ...
