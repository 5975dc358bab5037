"""Forms of the same work timed in turn, so that a change of the machine's load meets them all."""

import time
from collections.abc import Callable, Mapping

import numpy as np

Work = Callable[[], object]
Seconds = dict[str, dict[str, list[float]]]
"""By form: "wall" and "processor" (this process alone) seconds, one number a round."""


def in_turn(forms: Mapping[str, Work], rounds: int) -> Seconds:
    """Time every form once a round; the first, untimed one warms them up."""
    seconds: Seconds = {name: {"wall": [], "processor": []} for name in forms}
    for work in forms.values():
        work()
    for _ in range(rounds):
        for name, work in forms.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            seconds[name]["processor"].append(time.process_time() - processor)
            seconds[name]["wall"].append(time.perf_counter() - wall)
    return seconds


def ratio(numerator: list[float], denominator: list[float]) -> str:
    """Median of the rounds' ratios, with the least and the greatest in brackets."""
    ratios = np.array(numerator) / np.array(denominator)
    median, least, greatest = (float(f(ratios)) for f in (np.median, np.min, np.max))
    return f"{_figures(median)} ({_figures(least)} to {_figures(greatest)})"


def microseconds(seconds: list[float], n_steps: int) -> float:
    """Median over the rounds, for one of ``n_steps`` steps."""
    return 1e6 * float(np.median(seconds)) / n_steps


def _figures(number: float) -> str:
    return (
        f"{number:.0f}" if number >= 100 else f"{number:.2g}" if number >= 10 else f"{number:.2f}"
    )
