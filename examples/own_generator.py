"""An own generator: here the embedded model's images, in black and white."""

import numpy as np
import typer

from rldf_agents.applications.search import SearchSettings, search_picture
from rldf_gym.generation import make_generator
from rldf_gym.goal import DEFAULT_TARGET


class BlackAndWhite:
    """Anything with a name, a fingerprint and a call is a generator."""

    name = "black-and-white"

    def __init__(self) -> None:
        self._model = make_generator("embedded")
        # The store keeps images by it: it changes with anything that changes pixels.
        self.fingerprint = f"{self._model.fingerprint}-grey-1"

    def __call__(self, prompts, seeds):
        """Return the image of each prompt and seed, uint8 [n, H, W, 3]."""
        images = self._model(prompts, seeds)
        grey = images.mean(axis=-1, keepdims=True).astype(np.uint8)
        return grey.repeat(3, axis=-1)


def main(target: str = str(DEFAULT_TARGET), budget: int = 6) -> None:
    """Verify what a picture means with at most BUDGET images."""
    settings = SearchSettings(
        generator=BlackAndWhite(), perception="embedded", start="reading", budget=budget
    )
    result = search_picture(target, settings)
    print(f"read as {result.goal.prompt!r}; {result.generations} images generated")
    print(f"{result.verdict}: {result.best[0].prompt!r}")


if __name__ == "__main__":
    typer.run(main)
