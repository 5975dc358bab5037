"""A grammar's axes as a table: role, reader, number of values, semantic locality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    import numpy.typing as npt

    from rldf_gym.grammar import Axis, Grammar
    from rldf_gym.perception import Perception

MOST_VALUES = 500
"""Locality takes time cubed in the number of values; longer axes go without."""

_HEAD = ("axis", "values", "role", "read by", "locality")


def axis_table(grammar: Grammar, perception: Perception, with_locality: bool) -> Table:
    """Return a row for every axis of a grammar as a perception reads it.

    Locality, 0 to 1, is the length of the path through the values in the order by similarity over
    that in their own order, by cosine distance of CLIP's text embeddings (paper §3). Axes of
    counts, with fewer than three values, with more than `MOST_VALUES`, or with words that a
    closed-vocabulary CLIP does not know, have none.

    Args:
        grammar: any grammar.
        perception: its models decide the roles that the sentence leaves open, and the readers.
        with_locality: whether to measure it, which loads the CLIP model.
    """
    from rldf_gym.generation.vocabulary import read_known_words, words_in
    from rldf_gym.perception import LabelDecoder

    clip = perception.clip
    vocabulary = getattr(clip, "vocabulary", None)
    known = None if vocabulary is None else read_known_words(vocabulary)
    decoder = LabelDecoder(grammar, perception.spec())
    table = Table(*_HEAD, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for index, (axis, reader) in enumerate(zip(decoder.grammar.axes, decoder.readers, strict=True)):
        counted = decoder.grammar.counted_axis(index)
        role = axis.role if counted is None else f"count of {grammar.axis_names[counted]}"
        is_known = known is None or known.issuperset(words_in(" ".join(axis.values)))
        measurable = with_locality and is_known and _has_an_order(axis)
        locality = _locality(axis.values, clip.embed_texts) if measurable else None
        shown = "-" if locality is None else f"{locality:.2f}"
        table.add_row(axis.name, f"{len(axis):,}", role, reader.replace("_", " "), shown)
    return table


def _has_an_order(axis: Axis) -> bool:
    return axis.role not in ("count", "people") and 3 <= len(axis) <= MOST_VALUES


def _locality(
    values: Sequence[str], embed: Callable[[Sequence[str]], npt.ArrayLike]
) -> float | None:
    from rldf_gym.grammar import text_locality

    # A value that is left out of the prompt has no meaning of its own.
    found = text_locality(embed([value for value in values if value]))
    return min(1.0, found.best_length / found.length) if found.length else None
