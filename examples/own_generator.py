"""An own generator: here the embedded model's images, mirrored."""

import numpy as np
import typer

from rldf_agents.applications.search import SearchSettings, search_picture
from rldf_gym.generation import make_generator
from rldf_gym.goal import DEFAULT_TARGET


class Mirrored:
    """Anything with a name, a fingerprint and a call is a generator."""

    name = "mirrored"

    def __init__(self) -> None:
        self._model = make_generator("embedded")
        # The store keeps images by it: it changes with anything that changes pixels.
        self.fingerprint = f"{self._model.fingerprint}-mirrored-1"

    def __call__(self, prompts, seeds):
        """Return the image of each prompt and seed, uint8 [n, H, W, 3]."""
        return np.flip(self._model(prompts, seeds), axis=2)


def main(target: str = str(DEFAULT_TARGET), budget: int = 6) -> None:
    """Verify what a picture means with at most BUDGET images."""
    settings = SearchSettings(
        generator=Mirrored(), perception="embedded", start="reading", budget=budget
    )
    result = search_picture(target, settings)
    print(f"read as {result.goal.prompt!r}; {result.generations} images generated")
    print(f"{result.verdict}: {result.best[0].prompt!r}")


if __name__ == "__main__":
    typer.run(main)
