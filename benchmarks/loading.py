"""How long a large grammar takes to compile, and an environment with it to make.

Every figure is the processor time of one statement in a new process, the imports before it apart.
The peer of a grammar is `lark.Lark` itself on the same file, that of an environment is Gymnasium's
CliffWalking.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.results import Report, Results, measure
from benchmarks.timing import ratio
from rldf_gym.grammar import load_grammar

GRAMMARS = ("base", "imagenet", "world")
LARK, OURS = "Lark(text)", "compile_grammar(text)"
PEER, MADE = 'gym.make("CliffWalking-v1")', 'gym.make("RLDF-v0", grammar={name!r})'
BAR = 1.0
"""Seconds of processor time, for each of the large grammars."""

_COMPILING = """
from pathlib import Path
from lark import Lark
from rldf_gym.grammar import compile_grammar
text = Path({text!r}).read_text("utf-8")
"""
_MAKING = """
import gymnasium as gym
import rldf_gym

class AnyWords:
    name = fingerprint = "any words"

    def __call__(self, prompts, seeds):
        raise RuntimeError("nothing has to be generated")

models = {{"generator": AnyWords(), "perception": "embedded", "store": {store!r}}}
"""
_TIMED = """
import time
start = time.process_time()
{work}
print(time.process_time() - start)
"""


def run(quick: bool) -> Results:
    """Time every form once a round, each in a new process."""
    rounds = 2 if quick else 11
    cases = [
        {"round": number, "grammar": name, "form": form}
        for number in range(rounds)
        for name in GRAMMARS
        for form in (LARK, OURS, PEER, MADE)
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in tqdm(GRAMMARS, desc="text embeddings", leave=False):
            Path(folder, f"{name}.lark").write_text(load_grammar(name).source, "utf-8")
            _seconds(MADE, name, folder)  # embeds every word and reads the target, once
        return measure(
            "loading",
            {"rounds": rounds},
            cases,
            lambda case: {"seconds": _seconds(case["form"], case["grammar"], folder)},
            quick=quick,
        )


def report(results: Results) -> Report:
    """Tabulate medians over the rounds, and the ratio to the peer within each round."""
    lines = [
        "# Loading",
        "",
        "Processor time of one statement in a new process, after its imports. Median of "
        f"{results.settings['rounds']} rounds; a ratio is the median of the rounds' ratios, the "
        "least and the greatest in brackets. The environment has a store in which the words' text "
        "embeddings and the target's reading are.",
        "",
        "| grammar | statement | s | bar, s | times its peer | peer |",
        "|---|---|---:|---:|---:|---|",
    ]
    for name in GRAMMARS:
        for form, peer in ((OURS, LARK), (MADE, PEER)):
            seconds, others = (_of(results.rows, name, one) for one in (form, peer))
            lines.append(
                f"| {name} | `{form.format(name=name)}` | {np.median(seconds):.3f} | ≤ {BAR:g} "
                f"| {ratio(seconds, others)} | `{peer}` |"
            )
    return Report("\n".join(lines))


def _of(rows: Sequence[dict[str, Any]], name: str, form: str) -> list[float]:
    return [row["seconds"] for row in rows if (row["grammar"], row["form"]) == (name, form)]


def _seconds(form: str, name: str, folder: str) -> float:
    before, work = {
        LARK: (_COMPILING, 'Lark(text, parser="earley")'),
        OURS: (_COMPILING, OURS),
        PEER: (_MAKING, PEER),
        MADE: (_MAKING, 'gym.make("RLDF-v0", grammar={name!r}, **models)'),
    }[form]
    program = (before + _TIMED.replace("{work}", work)).format(
        name=name, text=f"{folder}/{name}.lark", store=f"{folder}/store.sqlite"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(f"{form} with grammar {name!r} fails: {ran.stderr}")
    return float(ran.stdout)
