"""Run one benchmark by name."""

import argparse

from benchmarks import search_success

BENCHMARKS = {"search_success": search_success.run}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="a small form, under two minutes")
    arguments = parser.parse_args()
    BENCHMARKS[arguments.name](quick=arguments.quick)


if __name__ == "__main__":
    main()
