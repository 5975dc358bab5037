"""``rldf atlas``: generate and read every state once, search the result, and export it."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rldf_agents.cli import options
from rldf_agents.cli.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from rldf_gym.evaluator import StateEvaluator

app = typer.Typer(
    no_args_is_help=True,
    help="Generate and read every state of a grammar; search and export without generating.",
)

Sample = Annotated[
    int | None, typer.Option(help="Number of states to sample; default: all states.", min=1)
]
File = Annotated[Path | None, typer.Option("--atlas", help="The atlas; default: by the store.")]


class Format(str, Enum):
    """What to export an atlas to."""

    MINARI = "minari"
    NPZ = "npz"


@app.command()
@options.expanded
def build(world: World, sample: Sample = None, seed: options.Seed = 0, atlas: File = None) -> None:
    """Generate and read every state that the store does not have yet, and write the atlas.

    It can be interrupted: the same command continues and generates nothing twice.

    Example: rldf atlas build --grammar extended --sample 500
    """
    from rldf_agents.applications.atlas_search import build_atlas

    with world.open() as evaluator:
        build_atlas(evaluator, atlas, sample, seed)


@app.command()
@options.expanded
def search(
    picture: Annotated[str, typer.Argument(help="The target: a picture file.")],
    world: World,
    reward: options.Reward = "multi_semantic",
    top: Annotated[int, typer.Option(help="How many states to list.")] = 5,
    out: Annotated[
        Path | None, typer.Option(help="Folder for their pictures and a sheet of them.")
    ] = None,
    sample: Sample = None,
    seed: options.Seed = 0,
    atlas: File = None,
) -> None:
    """List the best states for a picture over a whole atlas; generates nothing.

    Example: rldf atlas search photo.png --top 10
    """
    from rldf_agents.applications.atlas_search import search_atlas

    with _opened(world) as evaluator:
        search_atlas(evaluator, picture, atlas, reward, top, out, sample, seed)


@app.command()
@options.expanded
def export(
    world: World,
    to: Annotated[
        Format,
        typer.Option("--format", help="npz: a tabular MDP for NumPy; minari: a data set."),
    ],
    out: Annotated[Path, typer.Option(help="The npz file, or a folder for Minari's data sets.")],
    target: Annotated[
        list[str] | None,
        typer.Option(help="A target picture; npz takes several; default: the shipped one."),
    ] = None,
    reward: Annotated[
        list[str] | None,
        typer.Option(help="As in rldf search; npz takes several; default: multi_semantic."),
    ] = None,
    learner: options.Learner = "random",
    episodes: Annotated[int, typer.Option(help="Number of episodes, for minari.", min=1)] = 100,
    seed: options.Seed = 0,
    atlas: File = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Export a whole atlas, for reinforcement learning without any model; generates nothing.

    npz holds states, transitions, readings and rewards as arrays. minari holds episodes of a
    learner; set MINARI_DATASETS_PATH to the folder to load them.

    Example: rldf atlas export --format npz --out base.npz
    """
    from rldf_agents.applications.atlas_export import export_minari, export_npz
    from rldf_agents.applications.atlas_search import open_atlas
    from rldf_agents.applications.output import require_free
    from rldf_agents.errors import AgentError

    require_free(out, overwrite)
    targets: Sequence[str | None] = target or [None]
    rewards = reward or ["multi_semantic"]
    if to is Format.MINARI and (len(targets) > 1 or len(rewards) > 1):
        raise AgentError("a Minari data set has one target and one reward: export each by itself")
    with _opened(world) as evaluator:
        opened = open_atlas(evaluator, atlas)
        if to is Format.NPZ:
            summary = export_npz(evaluator, opened, out, targets, rewards, overwrite)
        else:
            arguments = {**world.arguments(), "target": targets[0], "reward": rewards[0]}
            summary = export_minari(opened, arguments, out, learner, episodes, seed, overwrite)
    size = "states" if to is Format.NPZ else "episodes"
    text = f"wrote {summary[size]} {size} to {out}; nothing was generated"
    typer.echo(json.dumps(summary, indent=2) if as_json else text)


def _opened(world: World) -> AbstractContextManager[StateEvaluator]:
    """Open a world in which nothing is generated."""
    from rldf_gym.generation import make_generator

    # A server that charges for pictures therefore needs no limit.
    overrides = options.read_assignments(world.assignments)
    return world.open(make_generator(world.generator, world.device, **overrides))
