"""The targets: what they show, and in which grammar they are searched for."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from rldf_gym.grammar import load_grammar
from tools.embedded_world.shifts import SHIFTS
from tools.embedded_world.styles import STYLES

UNSEEN, SHIFTED, OUTSIDE = "unseen renders", "shifted renders", "outside the grammar"
GROUPS = (UNSEEN, SHIFTED, OUTSIDE)

_FOLDER = Path(__file__).parents[1] / "targets" / "described"
_PAINTING_SEED = 9
_JUDGED_AS = {
    "first_noun": "noun",
    "first_count": "frequency",
    "second_count": "second_frequency",
}
"""Axes of the grammars that the judge calls something else."""

Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Stratum:
    """One kind of targets.

    Attributes:
        rendered: the grammar of what is rendered.
        searched: the grammar of the search.
        group: one of `GROUPS`.
        change: of the rendered picture.
    """

    rendered: str
    searched: str
    group: str
    change: Change = lambda image: image


@dataclass(frozen=True, eq=False)
class DescribedTarget:
    """A picture and what it was rendered from.

    Attributes:
        picture: uint8 ``[H, W, 3]``.
        truths: the judge's axes with the true value of each; several where more than one reading
            is right: "one dog and many car" and "many car and one dog" look the same.
    """

    picture: NDArray[np.uint8]
    truths: tuple[Mapping[str, str], ...]


def _painted(image: Image.Image) -> Image.Image:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    [painted] = STYLES["painting"](pixels, np.random.default_rng(_PAINTING_SEED))
    return Image.fromarray((painted.permute(1, 2, 0) * 255).round().byte().numpy())


_CHANGES: Mapping[str, Change] = {
    **{name: SHIFTS[name] for name in ("crop", "dark", "grey")},
    "painted": _painted,
}
STRATA: Mapping[str, Stratum] = MappingProxyType(
    {
        **{
            name: Stratum(name, name, UNSEEN) for name in ("base", "extended", "actions", "objects")
        },
        **{
            f"base, {name}": Stratum("base", "base", SHIFTED, change)
            for name, change in _CHANGES.items()
        },
        "two things in base": Stratum("objects", "base", OUTSIDE),
    }
)


def load_target(stratum: Stratum, number: int) -> DescribedTarget:
    """Return a target of a stratum."""
    folder = _FOLDER / stratum.rendered
    with (folder / "prompts.csv").open(encoding="utf-8", newline="") as file:
        row = list(csv.DictReader(file))[number]
    with Image.open(folder / row["picture"]) as image:
        picture = np.array(stratum.change(image.convert("RGB")))
    return DescribedTarget(picture, truths(stratum.rendered, row["prompt"]))


def truths(grammar_name: str, prompt: str) -> tuple[Mapping[str, str], ...]:
    """Return what the judge should answer about a picture of a prompt."""
    grammar = load_grammar(grammar_name)
    truth = {
        _JUDGED_AS.get(axis.name, axis.name): axis.values[label]
        for axis, label in zip(grammar.axes, grammar.encode(prompt).tolist(), strict=True)
    }
    if "second_noun" not in truth:
        return (truth,)
    swapped = {
        "noun": truth["second_noun"],
        "frequency": truth["second_frequency"],
        "second_noun": truth["noun"],
        "second_frequency": truth["frequency"],
    }
    return truth, {**truth, **swapped}
