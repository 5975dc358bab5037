"""``rldf evaluate``: measure a synthetic data set against a real one and its shifts."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.output import Output, command_line


@options.expanded
def evaluate(
    context: typer.Context,
    clone: Annotated[
        Path, typer.Argument(help="The clone: a folder of class folders, or of splits of them.")
    ],
    real: Annotated[Path, typer.Option(help="The real data set: the same classes.")],
    output: Output,
    shift: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIR", help="A shifted data set; may be given several times."),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="What distances are measured in: inception (as in the paper), dinov2,"
            " open_clip:MODEL/PRETRAINED, embedded, or package.module:object; auto is inception"
            " where its weights are on this machine, else embedded."
        ),
    ] = "auto",
    perception: Annotated[
        str, typer.Option(help="What reads the classes: see rldf search --perception.")
    ] = "embedded",
    no_classifier: Annotated[
        bool, typer.Option("--no-classifier", help="Train and test no classifiers.")
    ] = False,
    classifier_epochs: Annotated[int, typer.Option(help="Passes over the pictures.")] = 30,
    classifier_seeds: Annotated[int, typer.Option(help="Classifiers of each data set.")] = 3,
    classifier_side: Annotated[
        int, typer.Option(help="Pixels across of a training picture; torchvision's own is 224.")
    ] = 64,
    seed: options.Seed = 0,
    device: options.Device = None,
) -> None:
    """Measure a clone: FID, KID, precision, recall, consistency, copies, and trained classifiers.

    Writes evaluation.json, evaluation.md, evaluation.csv and report.html, beside the figures of
    the paper's Tables 1 and 2. The same command continues an interrupted evaluation.

    Example: rldf evaluate out/clone --real photos --shift sketch=drawings --out out/evaluation
    """
    from rldf_agents.errors import AgentError

    if importlib.util.find_spec("torchmetrics") is None:
        raise AgentError("rldf evaluate needs torchmetrics: pip install 'rldf-gym[evaluate]'")
    from rldf_agents.evaluation import EvaluationSettings
    from rldf_agents.evaluation import evaluate as measure
    from rldf_agents.evaluation.classifier import ClassifierSettings
    from rldf_agents.evaluation.features import make_extractor
    from rldf_agents.evaluation.report import JSON_FILE, facts, save_evaluation, verdict
    from rldf_agents.evaluation.row_cache import RowCache
    from rldf_gym.model_loading import open_device
    from rldf_gym.perception import make_perception

    if device is not None:
        open_device(device)
    out = output.folder([str(clone)])
    if (out / JSON_FILE).exists() and not output.overwrite:
        raise AgentError(
            f"the output folder {out} holds an evaluation: choose another, or add --overwrite"
        )
    settings = EvaluationSettings(
        seed,
        None
        if no_classifier
        else ClassifierSettings(classifier_epochs, classifier_seeds, classifier_side),
        device,
    )
    console = output.console()
    cache = RowCache(out / "cache")
    try:
        with console.status("evaluating ...") as status:
            found = measure(
                *(clone, real, _shifts(shift or ()), make_extractor(features, device)),
                (perception, make_perception(perception, device)),
                *(settings, cache),
                lambda what, done, total: status.update(f"{what}: {done:,} of {total:,}"),
            )
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(
            f"the same command continues with what {cache.folder} keeps"
        ) from interrupt
    save_evaluation(found, out, command_line(context, out))
    if output.as_json:
        typer.echo(json.dumps({**found.to_json(), "folder": str(out)}, indent=2))
    console.print(verdict(found), markup=False)
    for name, value in facts(found):
        console.print(f"{name}: {value}", markup=False)
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"wrote {out}", markup=False)
    output.finish(out / "report.html")


def _shifts(assignments: Sequence[str]) -> dict[str, Path]:
    from rldf_agents.errors import AgentError

    shifts: dict[str, Path] = {}
    for assignment in assignments:
        name, equals, folder = assignment.partition("=")
        if not (name and equals and folder):
            raise AgentError(f"--shift {assignment}: give NAME=DIR")
        if name in shifts:
            raise AgentError(f"--shift {name} is given twice: give it once")
        shifts[name] = Path(folder)
    return shifts
