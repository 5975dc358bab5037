"""Options that several commands share, one by one and in groups."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_type_hints

import typer


def _names(module: str, registry: str) -> Callable[[str], list[str]]:
    """Return a shell completion with the names in a registry, loaded when the shell asks."""

    def complete(incomplete: str) -> list[str]:
        known = getattr(importlib.import_module(module), registry)
        return [
            name for name in (known() if callable(known) else known) if name.startswith(incomplete)
        ]

    return complete


Grammar = Annotated[
    str,
    typer.Option(
        help="A shipped grammar, a .lark file, or package.module:object; in a search, auto makes a"
        " small one for each picture.",
        autocompletion=_names("rldf_gym.grammar", "shipped_grammars"),
    ),
]
Learner = Annotated[
    str,
    typer.Option(
        help="factored_ucb (generates the fewest pictures), tree_ucb (for axes of hundreds of"
        " values), dyna_q, linear_q_learning, linear_sarsa, noisy_diffusion_gradient, q_learning,"
        " sarsa, random, or package.module:Class.",
        autocompletion=_names("rldf_agents.learners", "LEARNERS"),
    ),
]
Reward = Annotated[
    str,
    typer.Option(
        help="multi_semantic, partial_semantic, clip, or package.module:function.",
        autocompletion=_names("rldf_gym.rewards", "REWARDS"),
    ),
]
Generator = Annotated[
    str,
    typer.Option(
        help="A preset (see rldf generators), diffusers:<repository or folder>, openai:<model>,"
        " or package.module:object.",
        autocompletion=_names("rldf_gym.generation", "PRESETS"),
    ),
]
Perception = Annotated[
    str,
    typer.Option(
        help="What reads pictures: a name, a folder of models, or package.module:object; auto is"
        " the generator's own.",
        autocompletion=_names("rldf_gym.perception", "PERCEPTIONS"),
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
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results in --out.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")
]
Seed = Annotated[int, typer.Option(help="Seed of everything random in this command.", min=0)]


def expanded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of every dataclass among its parameters.

    Each field of the dataclass becomes an option; the command receives an instance. A default of
    the parameter, an instance too, gives the options' defaults.
    """
    hints: dict[str, Any] = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {
        name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)
    }
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _options(groups[parameter.name], parameter.default)
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))

    @functools.wraps(command)
    def run(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = group(**{f.name: given.pop(f.name) for f in dataclasses.fields(group)})
        return command(**given)

    parameters.sort(key=lambda parameter: parameter.default is not inspect.Parameter.empty)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(run)["__signature__"] = inspect.Signature(parameters)
    return run


def _options(group: Any, default: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    source = group() if default is inspect.Parameter.empty else default
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=getattr(source, field.name),
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
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
