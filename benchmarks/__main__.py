"""Run benchmarks by name: ``python -m benchmarks NAME... [--quick | --report]``."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from benchmarks.results import Report, Results

# What each module of this package measures; a module is imported when it is asked for.
BENCHMARKS = {
    "applications": "what search, slide and ablate deliver on unseen renders, by a judge",
    "cloning": "planning, speed and interruptions of rldf clone",
    "busy_machine": "images per second alone and beside a second process on the same cores",
    "classic": "Q-learning and SARSA on Gymnasium's CliffWalking, Taxi and FrozenLake",
    "convergence": "distance of Q-learning's table to Q* over steps, by step size",
    "generation": "pictures per second against the plain diffusers pipeline, on CPU and GPU",
    "inversion": "how well methods find a picture's prompt at a number of pictures, by a judge",
    "locality": "whether neighbours on an axis mean alike, against other orders",
    "sample_efficiency": "pictures until a target is found: learners and their peers",
    "judge_labels": "how often the judge agrees with labels given by eye",
    "loading": "compile time of large grammars against Lark, and time of gym.make",
    "matching_images": "share of targets for which rldf search finds a matching image",
    "search_success": "share of targets whose goal state tabular learners reach, and at what cost",
    "page": "from a slider to its picture in rldf app, and 8 visitors, in Chromium",
    "serving": "pictures drawn by rldf serve for 8 clients, against direct batches of 8",
    "suggest": "whether a grammar made for one picture holds its state, and what it saves",
    "throughput": "steps, starts, drawing and the store, against their peers, and what it saves",
    "update_loop": "speed of Q-learning, single and vectorised, against the textbook",
    "wide_worlds": "pictures until a target is found among 10^12 states, with stand-in feedback",
    "table3": "the paper's Table 3 and Fig. 6, over many targets and seeds",
}
_ALL = "all"


class _Benchmark(Protocol):
    """A module of this package, as the package's docstring describes it."""

    def run(self, quick: bool) -> "Results": ...

    def report(self, results: "Results") -> "Report": ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run what it names, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(f"{name:18} {what}" for name, what in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="+", choices=[*BENCHMARKS, _ALL], metavar="NAME", help="see below, or all"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="a small form, a few minutes")
    form.add_argument(
        "--report", action="store_true", help="make the report again from the results there are"
    )
    chosen = parser.parse_args(arguments)
    from benchmarks.results import UnavailableError, publish, read_results

    for name in BENCHMARKS if _ALL in chosen.names else chosen.names:
        try:
            benchmark = cast("_Benchmark", importlib.import_module(f"benchmarks.{name}"))
            if chosen.report:
                results = read_results(name, quick=False)
            else:
                results = benchmark.run(quick=chosen.quick)
        except FileNotFoundError as absent:
            if not chosen.report:
                raise
            parser.error(f"{name} was not measured yet: there is no {absent.filename}")
        except UnavailableError as unavailable:
            if _ALL not in chosen.names:
                parser.error(f"{name} {unavailable}")
            print(f"{name} is left out: it {unavailable}", file=sys.stderr)
            continue
        except KeyboardInterrupt:
            print(
                f"\n{name} is interrupted; the same command resumes it",
                file=sys.stderr,
            )
            return 130
        print(publish(results, benchmark.report(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
