"""What ``rldf clone`` does, from Python: a larger data set from a folder of class folders."""

import shutil
import tempfile
from pathlib import Path

import typer
from rich.console import Console

from rldf_agents.cloning.progress import clone_with_progress, verify_with_progress
from rldf_agents.cloning.settings import CloneSettings
from rldf_gym.factory import make_evaluator
from rldf_gym.goal import DEFAULT_TARGET
from rldf_gym.grammar import load_grammar


def main(source: Path | None = None, out: Path = Path("clone"), per_class: int = 4) -> None:
    """Clone SOURCE; without it, a folder with one class and one picture."""
    console = Console()
    evaluator = make_evaluator(load_grammar("base"), "embedded", "auto", "default")
    with tempfile.TemporaryDirectory() as folder:
        if source is None:
            source = Path(folder)
            (source / "example").mkdir()
            shutil.copy(DEFAULT_TARGET, source / "example")
        settings = CloneSettings(per_class=per_class, workers=1)
        summary = clone_with_progress(source, out, evaluator, settings, console)
    evaluator.store.close()
    for each in summary["classes"]:
        print(f"{each['class']}: {each['pictures']} times a photo of {' '.join(each['words'])}")
    print(verify_with_progress(out, console))


if __name__ == "__main__":
    typer.run(main)
