"""A WordNet of a few nouns, in the format of WordNet's own files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

NOUNS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "thing": (["thing"], []),
    "animal": (["animal", "beast"], ["thing"]),
    "dog": (["dog", "domestic_dog"], ["animal"]),
    "poodle": (["poodle"], ["dog"]),
    "spaniel": (["spaniel"], ["dog"]),
    "crane": (["crane"], ["animal"]),
    "vehicle": (["vehicle"], ["thing"]),
    "lifting crane": (["crane"], ["vehicle"]),
    "car": (["car", "auto"], ["vehicle"]),
    "bus": (["bus"], ["vehicle"]),
    "ethnic slur": (["ethnic_slur"], ["thing"]),
    "insult": (["insult"], ["animal"]),
}
"""Words and hypernyms of each meaning, by a key of ours."""

_MARKED = {"insult": "ethnic slur"}


def write_wordnet(folder: Path) -> Path:
    """Write ``data.noun`` and ``index.noun``, and return the folder."""
    offsets: dict[str, int] = dict.fromkeys(NOUNS, 0)
    for _ in range(2):  # Lines are as long whatever the offsets: the second pass has them right.
        position, lines = 0, ["  1 A licence.\n"]
        for key in NOUNS:
            position = sum(map(len, lines))
            offsets[key] = position
            lines.append(_line(key, offsets))
    (folder / "data.noun").write_text("".join(lines))
    senses: dict[str, list[int]] = {}
    for key, (words, _) in NOUNS.items():
        for word in words:
            senses.setdefault(word, []).append(offsets[key])
    index = [
        f"{word} n {len(at)} 0 {len(at)} 0 {' '.join(f'{offset:08}' for offset in at)}  \n"
        for word, at in sorted(senses.items())
    ]
    (folder / "index.noun").write_text("  1 A licence.\n" + "".join(index))
    return folder


def _line(key: str, offsets: Mapping[str, int]) -> str:
    words, above = NOUNS[key]
    below = [each for each, (_, hypernyms) in NOUNS.items() if key in hypernyms]
    pointers = [("@", each) for each in above] + [("~", each) for each in below]
    if key in _MARKED:
        pointers.append((";u", _MARKED[key]))
    row = [f"{offsets[key]:08}", "03", "n", f"{len(words):02x}"]
    row += [f"{word} 0" for word in words]
    row += [f"{len(pointers):03}"]
    row += [f"{symbol} {offsets[to]:08} n 0000" for symbol, to in pointers]
    return f'{" ".join(row)} | what {key} means; "an example"  \n'
