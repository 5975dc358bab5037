"""Label pictures: ``python -m benchmarks.judge PICTURE... [--json]``."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmarks.judge.network import WEIGHTS, JudgeError, load_judge


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, label every picture, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judge", description=__doc__)
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="another weights file")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    chosen = parser.parse_args(arguments)
    try:
        judge = load_judge(chosen.weights)
        labelled = {path: judge.judge(_read(path)) for path in chosen.pictures}
    except JudgeError as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.json:
        rows = [
            {"picture": str(path), **{axis: asdict(answer) for axis, answer in answers.items()}}
            for path, answers in labelled.items()
        ]
        print(json.dumps(rows, indent=2))
        return 0
    for path, answers in labelled.items():
        print(path)
        for axis, answer in answers.items():
            print(f"  {axis:17} {answer.value:10} {answer.probability:.3f}")
    return 0


def _read(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise JudgeError(f"{path} is no readable picture ({error})") from error


if __name__ == "__main__":
    raise SystemExit(main())
