"""Rules that the settings of all generators share."""

from dataclasses import fields, replace
from typing import Any, TypeVar

from rldf_gym.generation.protocols import GenerationError

Settings = TypeVar("Settings", bound=Any)


def override(settings: Settings, kind: str, fixed: str = "", **changes: Any) -> Settings:
    """Return the same settings (a dataclass) with some replaced.

    Args:
        settings: the old values.
        kind: what they are settings of, for messages.
        fixed: name of a field that cannot be replaced.
        **changes: new values.

    Raises:
        GenerationError: for a name that is not a setting, listing those that are.
    """
    known = [setting.name for setting in fields(settings) if setting.name != fixed]
    if unknown := sorted(set(changes) - set(known)):
        raise GenerationError(
            f"unknown setting {', '.join(unknown)} of {kind}; known: {', '.join(known)}"
        )
    changed: Settings = replace(settings, **changes)
    return changed


def require_whole(name: str, value: object, least: int = 1, multiple_of: int = 1) -> None:
    """Check that a setting is a whole number.

    Raises:
        GenerationError: it is not, is below `least`, or is no multiple.
    """
    if type(value) is int and value >= least and value % multiple_of == 0:
        return
    multiple = f" and a multiple of {multiple_of}" if multiple_of > 1 else ""
    raise GenerationError(
        f"{name} is {value!r}; it must be a whole number of at least {least}{multiple}"
    )
