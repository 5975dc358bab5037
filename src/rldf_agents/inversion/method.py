"""What a method of prompt inversion is, and the registry of methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from rldf_agents.errors import AgentError

if TYPE_CHECKING:
    from rldf_agents.inversion.trial import Trial

RLDF, NO_SEARCH, BLACK_BOX = "RLDF", "no search", "black-box search"
KINDS = (RLDF, NO_SEARCH, BLACK_BOX)

Run: TypeAlias = "Callable[[Trial, int], None]"
"""Evaluates states through a trial, with a seed, until it has no more to evaluate."""


class MethodUnavailableError(AgentError):
    """A method cannot run here; the message says why and how to fix it."""


@dataclass(frozen=True)
class Method:
    """A way from a picture to a prompt.

    Attributes:
        name: of files and rows.
        title: for people.
        kind: one of `KINDS`.
        run: raises `MethodUnavailableError` where the method cannot run.
    """

    name: str
    title: str
    kind: str
    run: Run


_METHODS: dict[str, Method] = {}


def registered() -> Mapping[str, Method]:
    """Return the methods of the modules that were imported so far, by name."""
    return MappingProxyType(_METHODS)


def register_method(name: str, title: str, kind: str = BLACK_BOX) -> Callable[[Run], Run]:
    """Return a decorator that registers a function as a method; see `Method`."""

    def register(run: Run) -> Run:
        _METHODS[name] = Method(name, title, kind, run)
        return run

    return register
