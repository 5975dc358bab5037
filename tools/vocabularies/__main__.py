"""Make the large grammars of ``grammars/``, and the meanings of their words for benchmarks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rldf_gym.grammar.builders import WordNet
from rldf_gym.grammar.builders.synsets import WORDNET_NOTICE
from tools.vocabularies.sources import Wheels
from tools.vocabularies.worlds import Meanings, Worlds

_ROOT = Path(__file__).resolve().parents[2]


def main(
    wheels: Annotated[Path, typer.Option(help="Folder of the downloaded packages.")],
    wordnet: Annotated[Path | None, typer.Option(help="Folder of data.noun.")] = None,
) -> None:
    """Make every file again; the same packages give the same bytes."""
    database = WordNet(wordnet)
    worlds = Worlds(database, Wheels(wheels))
    for name, built in worlds.grammars().items():
        path = _ROOT / "grammars" / f"{name}.lark"
        path.parent.mkdir(exist_ok=True)
        path.write_text(built.source, encoding="utf-8")
        typer.echo(f"{path.relative_to(_ROOT)}: {len(built.source):,} bytes")
    folder = _ROOT / "benchmarks" / "locality"
    write_meanings(folder / "meanings.tsv", worlds.meanings())
    write_hypernyms(folder / "hypernyms.tsv", database, worlds.meanings())


def write_meanings(path: Path, axes: Sequence[Meanings]) -> None:
    """Write what each word means: a line of grammar, axis, word and offset in WordNet."""
    rows = (
        f"{axis.grammar}\t{axis.axis}\t{word}\t{offset:08}\n"
        for axis in axes
        for word, offset in axis.offsets.items()
    )
    path.write_text("".join(rows), encoding="utf-8")


def write_hypernyms(path: Path, wordnet: WordNet, axes: Sequence[Meanings]) -> None:
    """Write the part of WordNet above these meanings: a line of offset, word and hypernyms."""
    meanings = {offset for axis in axes for offset in axis.offsets.values()}
    above = {each for offset in meanings for each in wordnet.taxonomy.ancestors(offset)}
    synsets = (wordnet.at(offset) for offset in sorted(above))
    rows = (
        f"{synset.offset:08}\t{synset.lemmas[0]}\t"
        f"{' '.join(f'{each:08}' for each in synset.hypernyms)}\n"
        for synset in synsets
    )
    notice = "".join(f"# {line}\n" for line in WORDNET_NOTICE)
    path.write_text(notice + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
