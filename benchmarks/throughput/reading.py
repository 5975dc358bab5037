"""What wide axes cost: reading an image in the grammar base and in world.

Images are read one by one, each for the first time, with the embedded models; the texts that are
the same for every image are stored by then. No image is generated.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.results import Case
from benchmarks.stored_world import TARGETS
from benchmarks.timing import Seconds, in_turn, ratio
from rldf_gym.factory import make_evaluator
from rldf_gym.goal import load_picture
from rldf_gym.grammar import load_grammar

BASE, WORLD = "base", "world"
N_IMAGES = 10
BAR = 3
_GENERATOR = "sd14"
"""Has words for every grammar; its weights are not needed, because nothing is generated."""


def cases(quick: bool) -> list[Case]:
    """One case."""
    return [{"section": "reading"}]


def measure_case(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of every form."""
    return {"seconds": in_turn({name: _reads(name) for name in (BASE, WORLD)}, rounds)}


def report(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: one table; nothing for results from before there was this section."""
    if not any(row["section"] == "reading" for row in rows):
        return []
    [reading] = [row for row in rows if row["section"] == "reading"]
    seconds: Seconds = reading["seconds"]
    per_image = {
        name: 1000 * float(np.median(clocks["processor"])) / N_IMAGES
        for name, clocks in seconds.items()
    }
    times = ratio(seconds[WORLD]["processor"], seconds[BASE]["processor"])
    return [
        "## Wide axes",
        "",
        "Reading an image for the first time with the embedded models, processor time; `world` has"
        " axes of 1,203, 435 and 401 values.",
        "",
        "| | measured | ratio | bar |",
        "|---|---:|---:|---:|",
        f"| an image in base | {per_image[BASE]:.1f} ms | 1 | |",
        f"| an image in world | {per_image[WORLD]:.1f} ms | {times} | ≤ {BAR} |",
    ]


def _reads(grammar: str) -> Callable[[], None]:
    evaluator = make_evaluator(load_grammar(grammar), _GENERATOR, "embedded", None)
    images = _new_images()

    def read() -> None:
        for image in itertools.islice(images, N_IMAGES):
            evaluator.read(image)

    return read


def _new_images() -> Iterator[NDArray[np.uint8]]:
    """Yield targets, each time with another pixel changed, so that no reading is stored."""
    pictures = [load_picture(path) for path in TARGETS]
    for number in itertools.count():
        image = pictures[number % len(pictures)].copy()
        image[0, 0] = number // 65536 % 256, number // 256 % 256, number % 256
        yield image
