"""Renders of the embedded world with plain shapes instead of photographed cut-outs."""

from PIL import Image, ImageDraw

from tools.embedded_world import corpus as corpora
from tools.embedded_world.corpus import (
    LABELS,
    Corpus,
    CorpusPlan,
)
from tools.embedded_world.cutouts import ACTIONS, NOUNS, Cutouts


def a_shape(colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGBA", (90, 120), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((0, 0, 89, 119), fill=(*colour, 255))
    return image


def plain_cutouts() -> Cutouts:
    things = {noun: [a_shape((200, 20 * i, 40))] for i, noun in enumerate(NOUNS)}
    people = {action: [a_shape((40, 20 * i, 200))] for i, action in enumerate(ACTIONS)}
    return Cutouts({**things, **people})


def plain_corpus() -> Corpus:
    """Return 64 renders of all grammars."""
    chunk = corpora.render_chunk(plain_cutouts(), CorpusPlan(64, 5, 0.5), 0)
    return Corpus(*(part[:64] for part in chunk))


def labels_of(**known: int) -> list[int]:
    return [known.get(name, 0) for name in LABELS]
