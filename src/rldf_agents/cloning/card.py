"""The data set card of a clone: README.md, which the Hugging Face Hub and ``datasets`` read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rldf_agents.cloning.formats import make_format
from rldf_gym.atomic_file import write_durably

CARD_FILE = "README.md"
_MOST_VALUES = 20


def write_card(out: Path, summary: Mapping[str, Any], format_name: str) -> None:
    """Write the card.

    Args:
        out: folder of the clone.
        summary: content of summary.json.
        format_name: a name in `FORMATS`.
    """
    write_durably(out / CARD_FILE, ("\n".join(_lines(summary, format_name)) + "\n").encode())


def _lines(summary: Mapping[str, Any], format_name: str) -> Iterator[str]:
    yield from ("---", "pretty_name: Synthetic clone of a data set", "tags: [synthetic]")
    yield from ("task_categories: [image-classification]", "configs:", "- config_name: default")
    yield "  data_files:"
    pattern = make_format(format_name).pattern
    for split in summary["splits"]:
        yield f"  - split: {split}"
        # The metadata of an image folder is beside its pictures.
        path = f"{split}/**" if format_name == "imagefolder" else f"{split}/{pattern}"
        yield f"    path: {json.dumps(path)}"
    yield from ("---", "", "# A synthetic clone", "")
    yield (
        f"{summary['pictures']:,} generated pictures of {len(summary['classes'])} classes. For each"
        " class, the words that match example pictures were found in a grammar of prompts; each"
        " picture has a prompt with these words and a seed of its own."
    )
    yield ""
    splits = ", ".join(f"{name} {count:,}" for name, count in summary["splits"].items())
    for title, value in (
        ("generator", f"{_code(summary['generator'])}, fingerprint `{summary['fingerprint']}`"),
        ("grammar", _code(summary["grammar"])),
        ("fixed by the class", ", ".join(summary["class_axes"])),
        ("pictures planned for each class", splits),
        ("seed", summary["seed"]),
        ("images rejected", f"{summary['rejected']:,} ({summary['rejection_rate']:.1%})"),
        ("pictures left out", f"{summary['dropped']:,}"),
        ("bytes of the pictures", f"{summary['bytes']:,}"),
    ):
        yield f"- {title}: {value}"
    yield from ("", "## Classes", "")
    yield "| class | words | read in the examples | verified | pictures | rejected |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for each in summary["classes"]:
        yield (
            f"| {_code(each['class'])} | {_code(', '.join(each['words']))} |"
            f" {each['agreement']:.0%} of {each['examples']} | {each['verified']:.0%} |"
            f" {each['pictures']:,} | {each['rejected']:,} |"
        )
    if summary["marginals"]:
        yield from ("", "## What varies", "")
        yield (
            "Shares of the values of the other axes: wanted, reached in the prompts, and read in"
            " the pictures."
        )
    for axis, values in summary["marginals"].items():
        yield from ("", f"| {axis} | wanted | reached | read |", "| --- | ---: | ---: | ---: |")
        for each in values[:_MOST_VALUES]:
            shares = " | ".join(f"{each[name]:.1%}" for name in ("wanted", "reached", "read"))
            yield f"| {_code(each['value'] or '(nothing)')} | {shares} |"
        if len(values) > _MOST_VALUES:
            yield f"| and {len(values) - _MOST_VALUES} more, in summary.json | | | |"
    yield from ("", "## Limits", "")
    yield (
        "The pictures are synthetic, and show what the generator learned, with its biases. Labels"
        " are those of the prompts. The readings come from the perception models, not from people."
    )


def _code(text: Any) -> str:
    """Return any text as Markdown code that fits into a table."""
    plain = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`"
