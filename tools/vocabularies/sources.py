"""Word lists as other packages hold them, with source, version and licence of each."""

import ast
import importlib.metadata
import importlib.util
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WordList:
    """Words in the order of their source.

    Attributes:
        words: As the source writes them.
        credit: One line for the head of a grammar file: what, from where, version, licence.
    """

    words: tuple[str, ...]
    credit: str


class Wheels:
    """Files of packages that were downloaded but not installed.

    Args:
        folder: Where ``pip download --no-deps`` put the wheels.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def lines(self, package: str, path: str) -> tuple[tuple[str, ...], str]:
        """Return the lines of a text file of a package, and the package's version."""
        wheel = next(self._folder.glob(f"{package}-*.whl"), None)
        if wheel is None:
            raise FileNotFoundError(f"no wheel of {package} in {self._folder}: see README.md")
        with zipfile.ZipFile(wheel) as archive:
            text = archive.read(f"{package}/{path}").decode("utf-8")
        return tuple(line for line in text.splitlines() if line.strip()), wheel.name.split("-")[1]


def imagenet_names() -> WordList:
    """Return the names of ImageNet's 1000 classes, in the order of their indices."""
    path = _installed("open_clip", "zero_shot_metadata.py")
    return WordList(
        _constant(path, "IMAGENET_CLASSNAMES"),
        f"Names: open_clip_torch {_version('open_clip_torch')}, zero_shot_metadata.py, MIT.",
    )


def imagenet_offsets() -> tuple[int, ...]:
    """Return the WordNet offset of each of ImageNet's 1000 classes, in the order of indices."""
    lines = _installed("timm", "data/_info/imagenet_synsets.txt").read_text().split()
    return tuple(int(line.removeprefix("n")) for line in lines)


def imagenet_credit() -> str:
    """Return where the offsets come from."""
    return f"Class indices to WordNet: timm {_version('timm')}, imagenet_synsets.txt, Apache-2.0."


def pictured_offsets() -> frozenset[int]:
    """Return the WordNet offsets of ImageNet-12k: nouns with many photographs."""
    lines = _installed("timm", "data/_info/imagenet12k_synsets.txt").read_text().split()
    return frozenset(int(line.removeprefix("n")) for line in lines)


def kinetics_actions() -> WordList:
    """Return the 400 actions of Kinetics-400."""
    return WordList(
        _constant(_installed("torchvision", "models/_meta.py"), "_KINETICS400_CATEGORIES"),
        f"Actions: Kinetics-400, torchvision {_version('torchvision')}, BSD-3-Clause.",
    )


def coco_nouns() -> WordList:
    """Return the 80 things of COCO."""
    words = _constant(_installed("torchvision", "models/_meta.py"), "_COCO_CATEGORIES")
    return WordList(
        tuple(word for word in words if word not in {"__background__", "N/A"}),
        f"COCO's categories: torchvision {_version('torchvision')}, BSD-3-Clause.",
    )


def lvis_nouns(wheels: Wheels) -> WordList:
    """Return the 1203 things of LVIS, such as ``bow_(weapon)``."""
    lines, version = wheels.lines("tensorflow_datasets", "datasets/lvis/classes.txt")
    return WordList(
        lines, f"Nouns: LVIS v1, tensorflow-datasets {version}, lvis/classes.txt, Apache-2.0."
    )


def places(wheels: Wheels) -> WordList:
    """Return the 435 scenes of Places, such as ``stadium/football``."""
    lines, version = wheels.lines("tensorflow_datasets", "datasets/placesfull/categories.txt")
    return WordList(
        lines,
        f"Scenes: Places, tensorflow-datasets {version}, placesfull/categories.txt, Apache-2.0.",
    )


def art_mediums(wheels: Wheels) -> WordList:
    """Return mediums such as ``an oil painting``."""
    lines, version = wheels.lines("clip_interrogator", "data/mediums.txt")
    return WordList(lines, f"Mediums: clip-interrogator {version}, mediums.txt, MIT.")


def art_movements(wheels: Wheels) -> WordList:
    """Return art movements such as ``impressionism``; no artists."""
    lines, version = wheels.lines("clip_interrogator", "data/movements.txt")
    return WordList(lines, f"Styles: clip-interrogator {version}, movements.txt, MIT.")


def plain_noun(written: str) -> tuple[str, str]:
    """Split a name of LVIS or Kinetics into its words and the remark in parentheses."""
    name, _, rest = written.replace("_", " ").partition("(")
    remark, _, again = rest.partition(")")
    return (again or name).strip(), remark


def plain_nouns(written: tuple[str, ...]) -> dict[str, str]:
    """Return the words of LVIS or Kinetics by their own names.

    The remark in parentheses stays where two would be alike.
    """
    split = {name: plain_noun(name) for name in written}
    count = Counter(name for name, _ in split.values())
    return {
        key: f"{name} ({remark})" if count[name] > 1 and remark else RENAMED.get(name, name)
        for key, (name, remark) in split.items()
    }


def plain_places(written: tuple[str, ...]) -> dict[str, str]:
    """Return the words of Places by its own names; ``stadium/football``: football stadium."""
    split = {name: name.replace("_", " ").partition("/") for name in written}
    count = Counter(base for base, _, _ in split.values())
    return {
        key: RENAMED.get(base, base)
        if count[base] == 1 or not kind
        else f"{base} {kind}"
        if base == "elevator"
        else f"{kind} {base}"
        for key, (base, _, kind) in split.items()
    }


RENAMED: Mapping[str, str] = {
    "archaelogical excavation": "archaeological excavation",
    "artists loft": "artist's loft",
    "batters box": "batter's box",
    "butchers shop": "butcher's shop",
    "carrousel": "carousel",
    "childs room": "child's room",
    "cock": "rooster",
    "dentists office": "dentist's office",
    "domestic ass": "donkey",
    "kindergarden classroom": "kindergarten classroom",
    "mountain snowy": "snowy mountain",
    "underwater": "deep ocean",
    "veterinarians office": "veterinarian's office",
    "walk in freezer": "walk-in freezer",
}
"""Spelling, and words that mean something rude as well."""

LEFT_OUT = frozenset({"pussy willow"})
"""Words that tests/offensive_words.txt takes for others."""


def _constant(path: Path, name: str) -> tuple[str, ...]:
    """A list of words in a Python file, read without running it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return tuple(ast.literal_eval(node.value))
    raise ValueError(f"{path} has no {name}")


def _installed(package: str, path: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{package} is not installed")
    return Path(spec.origin).parent / path


def _version(distribution: str) -> str:
    return importlib.metadata.version(distribution)
