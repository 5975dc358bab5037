"""``rldf store``: maintain the file that keeps generated images and their readings."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rldf_agents.cli.exit_status import FAULTY

if TYPE_CHECKING:
    from rich.table import Table

    from rldf_gym.store.maintenance import StoreInfo


_FAULTS_SHOWN = 20
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}

app = typer.Typer(
    no_args_is_help=True, help="Maintain the file that keeps generated images and their readings."
)

File = Annotated[
    Path | None,
    typer.Option("--store", help="The store; default: $RLDF_STORE, or the user's cache folder."),
]
Generator = Annotated[
    str | None,
    typer.Option(help="Of this generator only: its name, or how its fingerprint begins."),
]


@app.command()
def info(store: File = None) -> None:
    """Show what is in a store: rows and bytes of every model, and their last use (UTC)."""
    from rldf_agents.applications.tables import print_table
    from rldf_gym.store import maintenance

    facts = maintenance.info(_file(store))
    print_table(_contents(facts))
    typer.echo(
        f"{facts.path}: {_size(facts.file_bytes)}, of which {_size(facts.free_bytes)} are free;"
        f" version {facts.version}"
    )


@app.command()
def verify(store: File = None) -> None:
    """Check a store: its structure, and every row's key, checksum and content.

    Ends with status 1 where something is wrong, and names it.
    """
    from rldf_gym.store import maintenance

    path = _file(store)
    with _progress("rows") as progress:
        faults = maintenance.verify(path, progress)
    if not faults:
        typer.echo(f"{path}: all sound")
        return
    for fault in faults[:_FAULTS_SHOWN]:
        text = " ".join((fault.table, fault.key)).strip()
        typer.echo(f"{text}: {fault.problem}")
    if len(faults) > _FAULTS_SHOWN:
        typer.echo(f"... and {len(faults) - _FAULTS_SHOWN} more")
    raise typer.Exit(FAULTY)


@app.command()
def prune(
    store: File = None,
    size: Annotated[
        str | None,
        typer.Option(help="Keep this much, such as 2GB: the least recently used goes first."),
    ] = None,
    unused_for: Annotated[
        str | None, typer.Option(help="Delete what was not used for so long: 12h, 30d, 8w.")
    ] = None,
    generator: Generator = None,
) -> None:
    """Delete rows from a store and free their disk space."""
    from rldf_gym.store import maintenance
    from rldf_gym.store.eviction import parse_size

    if size is None and unused_for is None and generator is None:
        raise typer.BadParameter("say what to delete: --size, --unused-for or --generator")
    deleted = maintenance.prune(
        _file(store),
        size=None if size is None else parse_size(size),
        unused_hours=None if unused_for is None else _hours(unused_for),
        generator=None if generator is None else _fingerprint(generator),
    )
    typer.echo(f"{deleted} rows deleted")


@app.command()
def salvage(
    damaged: Annotated[Path, typer.Argument(help="The damaged store; it is only read.")],
    out: Annotated[Path, typer.Option(help="The new store; must not exist.")],
) -> None:
    """Copy every sound row of a damaged store into a new one.

    Example: rldf store salvage store.sqlite --out sound.sqlite
    """
    from rldf_gym.store.salvage import salvage as copy_sound_rows

    with _progress("rows") as progress:
        copied = copy_sound_rows(damaged.expanduser(), out.expanduser(), progress)
    rows = ", ".join(f"{n} {table}" for table, n in copied.items())
    typer.echo(f"{out}: {rows}")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Is made; must be empty if it exists.")],
    store: File = None,
    generator: Generator = None,
) -> None:
    """Write a store's pictures and metadata.jsonl, a folder for Hugging Face's imagefolder."""
    from rldf_gym.store import maintenance

    chosen = "" if generator is None else _fingerprint(generator)
    with _progress("pictures") as progress:
        n_pictures = maintenance.export(_file(store), folder, chosen, progress)
    typer.echo(f"{n_pictures} pictures written to {folder}")


@contextmanager
def _progress(unit: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar; yield what moves it to so many of a unit, of a total if it is known."""
    from tqdm import tqdm

    with tqdm(unit=f" {unit}", leave=False, disable=None) as bar:

        def move(done: int, total: int | None = None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield move


def _file(store: Path | None) -> Path:
    from rldf_gym.store import default_path

    return default_path() if store is None else store.expanduser()


def _hours(text: str) -> int:
    found = re.fullmatch(r"(\d+)\s*([hdw])", text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time: give hours, days or weeks: 12h, 30d, 8w")
    return int(found[1]) * _HOURS[found[2]]


def _fingerprint(generator: str) -> str:
    """How a fingerprint begins, or the whole one of a generator known by name."""
    if re.fullmatch("[0-9a-f]+", generator):
        return generator
    from rldf_gym.generation import make_generator

    return make_generator(generator).fingerprint


def _contents(facts: StoreInfo) -> Table:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2))
    table.add_column()
    table.add_column("model")
    table.add_column("rows", justify="right")
    table.add_column("size", justify="right")
    table.add_column("last used (UTC)")
    names = _known_names()
    for part in facts.usage:
        hour = datetime.datetime.fromtimestamp(part.used * 3600, datetime.timezone.utc)
        name = names.get(part.model, part.model[:16])
        size = _size(part.content_bytes)
        table.add_row(part.table, name, f"{part.rows:,}", size, f"{hour:%Y-%m-%d %H:00}")
    return table


def _known_names() -> dict[str, str]:
    """Return the names of the generators and models that come with the package, by fingerprint."""
    from rldf_gym.generation import PRESETS, make_generator
    from rldf_gym.perception import make_perception

    names = {make_generator(name).fingerprint: name for name in PRESETS}
    models = make_perception("embedded").models()
    return names | {model.fingerprint: f"embedded {name}" for name, model in models.items()}


def _size(n_bytes: int) -> str:
    from rich.filesize import decimal

    return decimal(n_bytes)
