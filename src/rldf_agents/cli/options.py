"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


def _named(load: Callable[[], Sequence[str]]) -> Callable[[str], list[str]]:
    """Return a shell completion that loads the names when the shell asks for them."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in load() if name.startswith(incomplete)]

    return complete


def _grammars() -> Sequence[str]:
    from rldf_gym.grammar import shipped_grammars

    return shipped_grammars()


def _learners() -> Sequence[str]:
    from rldf_agents.learners import LEARNERS

    return list(LEARNERS)


def _rewards() -> Sequence[str]:
    from rldf_gym.rewards import REWARDS

    return list(REWARDS)


def _generators() -> Sequence[str]:
    from rldf_gym.generation import PRESETS

    return list(PRESETS)


def _perceptions() -> Sequence[str]:
    from rldf_gym.perception import PERCEPTIONS

    return list(PERCEPTIONS)


Grammar = Annotated[
    str,
    typer.Option(
        help="A shipped grammar, a .lark file, or package.module:object.",
        autocompletion=_named(_grammars),
    ),
]
Learner = Annotated[
    str,
    typer.Option(
        help="factored_ucb (generates the fewest pictures), dyna_q, linear_q_learning,"
        " linear_sarsa, noisy_diffusion_gradient, q_learning, sarsa, random, or"
        " package.module:Class.",
        autocompletion=_named(_learners),
    ),
]
Reward = Annotated[
    str,
    typer.Option(
        help="multi_semantic, partial_semantic, clip, or package.module:function.",
        autocompletion=_named(_rewards),
    ),
]
Generator = Annotated[
    str,
    typer.Option(
        help="A preset (see rldf generators), diffusers:<repository or folder>, openai:<model>,"
        " or package.module:object.",
        autocompletion=_named(_generators),
    ),
]
Perception = Annotated[
    str,
    typer.Option(
        help="What reads pictures: a name, a folder of models, or package.module:object; auto is"
        " the generator's own.",
        autocompletion=_named(_perceptions),
    ),
]
GenerationSeed = Annotated[int, typer.Option(help="Seed of every generated picture.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:N or mps; default: CUDA if there is one.")
]
Store = Annotated[
    str,
    typer.Option(help="File that keeps generated pictures and readings; :memory: keeps nothing."),
]
StoreFile = Annotated[
    Path | None,
    typer.Option("--store", help="The store; default: $RLDF_STORE, or the user's cache folder."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another setting of the generator, such as steps=10; may be given several times.",
    ),
]
MaxGenerations = Annotated[
    int | None,
    typer.Option(help="The most pictures to request from an openai: server.", min=0),
]


def read_assignments(assignments: Sequence[str] | None) -> dict[str, Any]:
    """Return generator settings by name; values are JSON, or text where they are not.

    Args:
        assignments: ``NAME=VALUE`` each, from the command line.

    Raises:
        AgentError: an assignment of another form, or a name that is given twice.
    """
    from rldf_agents.errors import AgentError

    settings: dict[str, Any] = {}
    for assignment in assignments or ():
        name, equals, value = assignment.partition("=")
        if not equals or not name.isidentifier():
            raise AgentError(f"--set {assignment}: give NAME=VALUE, such as steps=10")
        if name in settings:
            raise AgentError(f"--set {name} is given twice: give it once")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
