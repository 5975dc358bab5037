"""Self-contained HTML: a report for each command, an index over several searches."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from rldf_agents.applications.charts import comparison_chart, progress_chart, score_chart
from rldf_agents.applications.trajectory import when
from rldf_agents.statistics import RunStatistics
from rldf_gym.goal import Goal

if TYPE_CHECKING:
    from rldf_agents.applications.ablate import Ablation
    from rldf_agents.applications.compare import Comparison
    from rldf_agents.applications.result import SearchResult
    from rldf_agents.applications.slide import Slide

NOTHING = "(nothing)"
"""A value that adds no word to the prompt."""

_SMALL = 256
"""Pictures up to this many pixels across are inlined without loss."""

_LARGEST = 512
"""Larger ones are scaled down to this for the page."""

_TABLE_3 = {
    "steps": ("T", "steps"),
    "final_distance": ("D_T", "final distance"),
    "max_distance": ("D_max", "largest distance"),
    "min_distance": ("D_min", "smallest distance"),
    "distance_deviation": ("\N{GREEK SMALL LETTER RHO}", "standard deviation of the distance"),
    "distance_variance": ("σ²", "variance of the distance"),
    "times_reached": ("Conv.", "times the goal was reached"),
    "fine": ("F", "sum of fine gains"),
    "coarse": ("C", "sum of coarse gains"),
}


def render_report(result: SearchResult, versions: Mapping[str, str], command: str | None) -> str:
    """Return the page of one search.

    Args:
        result: of the search.
        versions: of Python and the packages, by name.
        command: what the user can type to have it again.
    """
    return _template("report.html.jinja").render(
        result=result,
        target_name=Path(result.target).name,
        goal_axes=axis_readings(result.goal, result.best[0].visit.state),
        chart=Markup(progress_chart(result.steps)) if result.steps else None,
        comparison=_comparison(result),
        table_3=_table_3(result.statistics),
        settings=_settings(result),
        versions=versions,
        command=command,
    )


def render_slide(
    slide: Slide, animation: bytes, target: str, versions: Mapping[str, str], command: str
) -> str:
    """Return the page of one slide.

    Args:
        slide: with at least one picture.
        animation: the pictures as an animated WebP file.
        target: name of the target's file.
        versions: of Python and the packages, by name.
        command: what the user can type to have it again.
    """
    return _template("slide.html.jinja").render(
        slide=slide,
        animation=_inline(animation, "webp"),
        target_name=Path(target).name,
        stays=_stays(slide.goal, slide.stays),
        versions=versions,
        command=command,
    )


def render_ablation(
    ablation: Ablation, target: str, versions: Mapping[str, str], command: str
) -> str:
    """Return the page of one ablation.

    Args:
        ablation: with or without results.
        target: name of the target's file.
        versions: of Python and the packages, by name.
        command: what the user can type to have it again.
    """
    groups = {
        "target": [ablation.target_score],
        "results": ablation.scores.tolist(),
        "plain pictures": ablation.plain_scores.tolist(),
    }
    levels = {"results": ablation.level, "plain pictures": ablation.plain_level}
    return _template("ablate.html.jinja").render(
        ablation=ablation,
        target_name=Path(target).name,
        chart=Markup(score_chart(groups, levels, ablation.concept.words)),
        stays=_stays(ablation.goal, ablation.stays),
        versions=versions,
        command=command,
    )


def render_comparison(
    comparison: Comparison, target: str, versions: Mapping[str, str], command: str
) -> str:
    """Return the page of one comparison.

    Args:
        comparison: of any number of methods.
        target: name of the target's file.
        versions: of Python and the packages, by name.
        command: what the user can type to have it again.
    """
    return _template("compare.html.jinja").render(
        comparison=comparison,
        target_name=Path(target).name,
        versions=versions,
        command=command,
    )


def render_index(results: Sequence[SearchResult], links: Sequence[str]) -> str:
    """Return the page over several searches.

    Args:
        results: at least one.
        links: where each one's report is, relative to this page.
    """
    names = [Path(result.target).name for result in results]
    searches = list(zip(results, names, links, strict=True))
    return _template("index.html.jinja").render(searches=searches)


def render(template: str, **values: object) -> str:
    """Return a template of this package, filled in.

    Args:
        template: name of its file.
        **values: by the names that it uses.
    """
    return _template(template).render(**values)


def _comparison(result: SearchResult) -> Markup | None:
    other = result.beside
    if other is None or not result.steps:
        return None
    names = (result.settings.learner_name, f"{other.settings.learner_name}, beside it")
    return Markup(comparison_chart(dict(zip(names, (result.steps, other.steps), strict=True))))


@dataclass(frozen=True)
class AxisReading:
    """What was read in the target on one axis, for people.

    Attributes:
        name: of the axis.
        word: the value that was read.
        probability: of it, 0 to 1; the confidence of a perception that has no probabilities.
        is_guess: whether its confidence is too low.
        runner_up: the second most probable value with its probability, None where there is none.
        best: the value of a state to compare with.
    """

    name: str
    word: str
    probability: float
    is_guess: bool
    runner_up: str | None
    best: str

    @property
    def matches(self) -> bool:
        """Whether the other state has the same value."""
        return self.word == self.best


def axis_readings(goal: Goal, best: Sequence[int] | None = None) -> list[AxisReading]:
    """Return what was read in a target, axis by axis.

    Args:
        goal: the target's.
        best: a state to compare with, one label for each axis; None for the goal itself.
    """
    state = goal.state.tolist()
    best = state if best is None else best
    probabilities = goal.reading.probabilities or (None,) * len(state)
    return [
        AxisReading(
            name=axis.name.replace("_", " "),
            word=axis.values[label] or NOTHING,
            probability=float(confidence if chances is None else chances[label]),
            is_guess=axis.name in goal.low_confidence_axes,
            runner_up=_runner_up(axis.values, chances),
            best=axis.values[found] or NOTHING,
        )
        for axis, label, confidence, found, chances in zip(
            goal.grammar.axes, state, goal.reading.confidence, best, probabilities, strict=True
        )
    ]


def _runner_up(values: Sequence[str], probabilities: npt.NDArray[np.float32] | None) -> str | None:
    if probabilities is None or len(values) < 2:
        return None
    second = int(np.argsort(-probabilities, kind="stable")[1])
    return f"{values[second] or NOTHING} {probabilities[second]:.2f}"


def _stays(goal: Goal, shares: Mapping[str, float]) -> list[tuple[AxisReading, float]]:
    readings = zip(goal.grammar.axis_names, axis_readings(goal), strict=True)
    return [(axis, shares[name]) for name, axis in readings if name in shares]


def _table_3(statistics: RunStatistics) -> list[tuple[str, str, str]]:
    known = {each.name: getattr(statistics, each.name) for each in fields(statistics)}
    return [(symbol, says, f"{known[name]:.4g}") for name, (symbol, says) in _TABLE_3.items()]


def _settings(result: SearchResult) -> dict[str, object]:
    settings = result.settings
    return {
        "target": result.target,
        "grammar": f"{result.goal.grammar.name}, {result.goal.grammar.n_states:,} states",
        "generator": f"{result.generator.name} ({result.generator.fingerprint[:12]})",
        "learner": settings.learner_name,
        "reward": settings.reward_name,
        "most steps": settings.steps,
        "steps of an episode": settings.max_episode_steps,
        "epsilon": "the learner's own" if settings.epsilon is None else settings.epsilon,
        "after the goal": "goes on learning" if settings.keep_learning else "stops",
        "start": settings.start,
        "most pictures": "no limit" if settings.budget is None else settings.budget,
        "seed": settings.seed,
    }


def data_uri(picture: npt.NDArray[np.uint8]) -> str:
    """Return a picture, uint8 ``[H, W, 3]``, as the address of an inline image."""
    image = Image.fromarray(picture)
    content = io.BytesIO()
    if max(image.size) <= _SMALL:
        image.save(content, "PNG")
        kind = "png"
    else:
        image.thumbnail((_LARGEST, _LARGEST))
        image.save(content, "WEBP", quality=90)
        kind = "webp"
    return _inline(content.getvalue(), kind)


def _inline(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    folder = resources.files("rldf_agents.applications") / "templates"
    sources = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.is_file()}
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["when"] = when
    return environment
