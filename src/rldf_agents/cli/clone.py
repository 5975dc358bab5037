"""``rldf clone``: a larger synthetic data set from class folders."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.exit_status import FAULTY
from rldf_agents.cli.world import World

_WORLD = World(grammar="base")


@options.expanded
def clone(
    context: typer.Context,
    source: Annotated[
        Path | None, typer.Argument(help="A folder of class folders with example pictures.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the clone; the same command continues there.")
    ] = None,
    per_class: Annotated[int, typer.Option(help="Pictures of each class.")] = 100,
    engine: Annotated[
        str, typer.Option(help="local (processes), ray, or package.module:function.")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(help="Processes or actors; default: one for each GPU, or each processor."),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", help="imagefolder, webdataset or parquet.")
    ] = "imagefolder",
    seed: Annotated[int, typer.Option(help="Seed of the clone; each picture gets its own.")] = 0,
    splits: Annotated[
        str | None,
        typer.Option(help="Shares or numbers of pictures, such as train=0.9,val=0.1."),
    ] = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Only make nine pictures of each class and contact sheets."),
    ] = False,
    class_axis: Annotated[
        list[str] | None,
        typer.Option(help="An axis that makes a class, or all; default: the object axes."),
    ] = None,
    marginal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS:VALUE=SHARE,...",
            help="Shares of an axis's values; what is not named shares the rest equally.",
        ),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(help="A grammar whose axes vary around the class's word, such as diversity."),
    ] = None,
    keep_matching: Annotated[
        bool,
        typer.Option("--keep-matching", help="Keep only pictures that read as their class."),
    ] = False,
    retry_rejected: Annotated[
        int, typer.Option(help="Further seeds for a picture that is rejected.")
    ] = 3,
    negative_prompt: Annotated[
        str | None, typer.Option(help="What a diffusers generator steers away from.")
    ] = None,
    examples: Annotated[int, typer.Option(help="Example pictures to read of each class.")] = 16,
    shard_size: Annotated[
        int | None,
        typer.Option(help="Pictures in a shard; default: 256, or what five minutes allow."),
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(help="Only verify a clone: every picture there, once, with its checksum."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")
    ] = False,
    world: World = _WORLD,
) -> None:
    """Clone a data set: find the prompt of each class, and generate pictures of it.

    The object in each class's pictures is searched in the grammar; the other axes vary. After any
    interruption the same command continues.

    Example: rldf clone photos --out out/clone --per-class 1000 --splits train=0.9,val=0.1
    """
    from rldf_agents.applications.console import make_console
    from rldf_agents.cloning.progress import clone_with_progress, verify_with_progress
    from rldf_agents.cloning.settings import CloneSettings
    from rldf_agents.errors import AgentError

    console = make_console(quiet=quiet, stderr=as_json)
    if verify is not None:
        if source is not None or out is not None:
            raise AgentError("--verify takes the folder of a clone alone: leave SOURCE and --out")
        found = verify_with_progress(verify, console)
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(found), indent=2))
        if not found.is_sound:
            raise typer.Exit(FAULTY)
        return
    if source is None or out is None:
        raise AgentError("give SOURCE and --out DIR, or --verify DIR")
    settings = CloneSettings(
        per_class=per_class,
        splits=splits,
        class_axes=tuple(class_axis or ()),
        marginals=tuple(marginal or ()),
        attributes=attributes,
        seed=seed,
        format=format_,
        engine=engine,
        workers=workers,
        examples=examples,
        keep_matching=keep_matching,
        retry_rejected=retry_rejected,
        shard_size=shard_size,
    )
    if negative_prompt is not None:
        assignment = f"negative_prompt={json.dumps(negative_prompt)}"
        world = dataclasses.replace(world, assignments=[*(world.assignments or ()), assignment])
    with world.open() as evaluator:
        summary = clone_with_progress(source, out, evaluator, settings, console, preview)
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
