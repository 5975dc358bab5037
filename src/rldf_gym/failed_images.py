"""Images, and the reason where a generator will never give one.

A safety filter rejects a prompt, or a model overflows. A search continues at such a state: nothing
is read there, so it gets the lowest reward. It is not generated again until
``rldf store prune --generator`` deletes the generator's rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""RGB, ``[H, W, 3]``."""

PLACEHOLDER_GREY = 128
"""Every value of the image that replaces a failed one."""


class FailedImageWarning(UserWarning):
    """A generator gives no image for some prompts of a search; the search continues."""


@dataclass(frozen=True)
class FailedImage:
    """An image that a generator will never give.

    Attributes:
        reason: why, in the generator's words.
        shape: ``(H, W, 3)`` of the generator's other images.
    """

    reason: str
    shape: tuple[int, ...]

    def placeholder(self) -> Image:
        """Return a plain grey image of that shape, to show in its place."""
        return np.full(self.shape, PLACEHOLDER_GREY, np.uint8)
