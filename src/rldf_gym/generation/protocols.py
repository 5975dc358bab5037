"""What a generator is, to everything that uses one."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.failed_images import PLACEHOLDER_GREY, FailedImage, Image

Pictures = NDArray[np.uint8]


class GenerationError(RLDFError):
    """An unknown generator, one that cannot be loaded, or a bad setting, prompt or seed."""


class FailedImagesError(GenerationError):
    """Some images of a call can never be generated; the others were.

    A safety filter rejected the prompt, or the model computed values that are not numbers. A search
    continues: the reason is stored, and such a state gets the lowest reward. An error that may
    pass (a server that does not answer) is a plain `GenerationError`.

    Attributes:
        reasons: why, by position in the call.
        pictures: uint8 `[n, H, W, 3]`; all `PLACEHOLDER_GREY` where there is no image.
    """

    def __init__(
        self, name: str, prompts: Sequence[str], reasons: Mapping[int, str], pictures: Pictures
    ) -> None:
        """Name the generator and the prompts without an image."""
        failures = "; ".join(f"{prompts[place]!r}: {reason}" for place, reason in reasons.items())
        super().__init__(f"the generator {name!r} gives no image for {failures}")
        self.reasons = dict(reasons)
        self.pictures = pictures.copy()
        self.pictures[list(reasons)] = PLACEHOLDER_GREY

    @property
    def results(self) -> list[Image | FailedImage]:
        """The image of every prompt of the call, or the reason why there is none."""
        return [
            FailedImage(self.reasons[place], image.shape) if place in self.reasons else image
            for place, image in enumerate(self.pictures)
        ]


@runtime_checkable
class Generator(Protocol):
    """Anything that turns prompts into images.

    An image is a pure function of (fingerprint, prompt, seed): images are stored under that
    key and never generated twice (paper, Discussion 2: fixed seeds for consistent rewards).
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
        """Generate one image for every prompt with its seed: uint8 `[n, H, W, 3]`, RGB.

        Raises:
            FailedImagesError: some of them do not exist; it carries the others.
            GenerationError: nothing was generated.
        """
        ...


@runtime_checkable
class LimitedVocabulary(Protocol):
    """A generator that understands only some words."""

    @property
    def known_words(self) -> frozenset[str] | None:
        """Lower-case words it was trained on; None where every word is understood."""
        ...


@runtime_checkable
class HasPerception(Protocol):
    """A generator that names the perception for its images."""

    @property
    def perception(self) -> str:
        """Name of the perception that goes with them; see `rldf_gym.perception`."""
        ...
