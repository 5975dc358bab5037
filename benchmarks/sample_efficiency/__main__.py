"""Measure a learner for the scoreboard: ``python -m benchmarks.sample_efficiency my:Learner``."""

import argparse
import sys

from benchmarks.results import RESULTS
from benchmarks.sample_efficiency import submit
from rldf_gym.errors import RLDFError


def main() -> None:
    """Search for the scoreboard's targets with a learner, and print where the rows are."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sample_efficiency", description=__doc__
    )
    parser.add_argument("learner", metavar="package.module:Class")
    parser.add_argument("--quick", action="store_true", help="a few targets, to see that it runs")
    chosen = parser.parse_args()
    try:
        results = submit(chosen.learner, chosen.quick)
    except RLDFError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command resumes")
    found = sum(row["generations"] is not None for row in results.rows)
    print(f"{found} of {len(results.rows)} searches found their target")
    folder = RESULTS / "quick" if chosen.quick else RESULTS
    print(folder / f"{results.name}.json")


if __name__ == "__main__":
    main()
