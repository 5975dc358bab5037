"""Build an atlas of all states and search it: the work of ``rldf atlas``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from tqdm import tqdm

from rldf_agents.applications.console import make_console
from rldf_agents.applications.output import output_dirs, require_empty
from rldf_agents.applications.result import png
from rldf_agents.errors import AgentError
from rldf_gym.atlas import Atlas, AtlasError, AtlasIdentity, Match
from rldf_gym.atlas import default_path as default_atlas_path
from rldf_gym.atomic_file import write_atomically
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal, infer_goal, load_picture
from rldf_gym.rendering import trajectory_strip

SHEET_FILE = "sheet.png"


def build_atlas(
    evaluator: StateEvaluator,
    path: Path | None,
    sample: int | None,
    seed: int,
    console: Console | None = None,
) -> Atlas:
    """Build an atlas with a progress bar: rate, remaining time, images generated.

    Args:
        evaluator: whose atlas.
        path: the file; None for its place by the store.
        sample: how many states, chosen at random; None for all.
        seed: of that choice.
        console: where to report the result; None for standard output.

    Raises:
        RLDFError: what `Atlas.build` raises.
        KeyboardInterrupt: Ctrl-C; its text says what was kept.
    """
    console = console or make_console()
    n_states = evaluator.grammar.n_states if sample is None else sample
    with tqdm(total=n_states, unit=" states", smoothing=0.05) as bar:

        def progress(done: int, _: int) -> None:
            bar.set_postfix(generated=evaluator.generations, refresh=False)
            bar.update(done - bar.n)

        try:
            atlas = Atlas.build(evaluator, path, sample, seed, progress)
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(
                f"{bar.n} of {n_states} states are kept in the store; the same command continues"
            ) from interrupt
    console.print(
        f"[bold]{len(atlas)}[/] states, {evaluator.generations} pictures generated now:"
        f" [bold]{escape(str(atlas.path))}[/]",
    )
    return atlas


def search_atlas(
    evaluator: StateEvaluator,
    picture: str | Path,
    path: Path | None,
    reward: str,
    top: int,
    out: Path | None,
    sample: int | None = None,
    seed: int = 0,
    console: Console | None = None,
) -> list[Match]:
    """Report the best states for a picture over a whole atlas; generates nothing.

    Args:
        evaluator: of the atlas; it reads the picture.
        picture: the target.
        path: the atlas's file; None for its place by the store.
        reward: by which states are compared.
        top: how many to report.
        out: folder for their pictures and a sheet of them; None for neither.
        sample: as the atlas was built.
        seed: as the atlas was built.
        console: where to report; None for standard output.

    Raises:
        RLDFError: a picture, reward or atlas that cannot be used.
        AgentError: ``top`` is below 1, or the folder is not empty.
        OSError: a file cannot be written.
    """
    if top < 1:
        raise AgentError(f"top is {top}: give a whole number of at least 1")
    if out is not None:
        require_empty(out)
    target = load_picture(picture)
    atlas = open_atlas(evaluator, path, sample, seed)
    console = console or make_console()
    goal = infer_goal(evaluator, target)
    matches = atlas.search(goal, reward, top)
    console.print(
        f"[bold]{escape(str(picture))}[/] was read as [bold]{escape(repr(goal.prompt))}[/]"
    )
    console.print(_ranking(matches, reward))
    console.print(f"the best of {len(atlas)} states; nothing was generated")
    if out is not None:
        with output_dirs([out]):
            _write_pictures(evaluator, matches, goal, reward, out)
        console.print(f"wrote the pictures and {SHEET_FILE} in [bold]{escape(str(out))}[/]")
    return matches


def open_atlas(
    evaluator: StateEvaluator, path: Path | None, sample: int | None = None, seed: int = 0
) -> Atlas:
    """Return the atlas of an evaluator; generates nothing.

    Args:
        evaluator: whose atlas.
        path: the file; None for its place by the store.
        sample: as the atlas was built.
        seed: as the atlas was built.

    Raises:
        AtlasError: there is no atlas, or it is damaged or of another world.
    """
    atlas = Atlas(default_atlas_path(evaluator, sample, seed) if path is None else path)
    here, there = AtlasIdentity.of(evaluator), atlas.identity
    for name in ("grammar", "generator", "models", "generation_seed"):
        if getattr(here, name) != getattr(there, name):
            raise AtlasError(
                f"the atlas {atlas.path} was built with another {name.replace('_', ' ')}:"
                " name the same here, or build the atlas of these states"
            )
    return atlas


def _ranking(matches: Sequence[Match], reward: str) -> str:
    lines = [f"[dim]rank  {reward:>16}  CLIP similarity[/]"]
    lines += [
        f"{rank:>4}  {match.score:>16.3g}  {match.similarity:>15.3f}  {escape(match.prompt)}"
        for rank, match in enumerate(matches, 1)
    ]
    return "\n".join(lines)


def _write_pictures(
    evaluator: StateEvaluator, matches: Sequence[Match], goal: Goal, reward: str, out: Path
) -> None:
    pictures = []
    for match in matches:
        picture = evaluator.stored_image(match.state)
        if picture is None:
            raise AgentError(
                f"the store {evaluator.store.path} no longer has the picture of {match.prompt!r}:"
                " leave --out away, or search without an atlas to generate it again"
            )
        pictures.append(picture)
    captions = [
        f"{rank}: {match.prompt} ({reward} {match.score:.3g}, CLIP {match.similarity:.3f})"
        for rank, match in enumerate(matches, 1)
    ]
    sheet = trajectory_strip(
        pictures, captions, goal.picture, f"target, read as: {goal.prompt}", columns=5
    )
    for rank, picture in enumerate(pictures, 1):
        name = f"{rank:0{len(str(len(pictures)))}}.png"
        write_atomically(out / name, png(picture))
    write_atomically(out / SHEET_FILE, png(np.asarray(sheet)))
