"""Look up what a user names: a registered name, or ``package.module:object``."""

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rldf_gym.errors import RLDFError

_OBJECT = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")


def is_object_name(name: str) -> bool:
    """Return whether a name has the form ``package.module:object``."""
    return _OBJECT.fullmatch(name) is not None


def resolve(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """Return the object that a name stands for.

    Args:
        kind: what is looked up, for messages: "reward", "learner".
        name: a key of ``known``, or ``package.module:object``, which is imported.
        known: registered objects by name.

    Raises:
        RLDFError: an unknown name (lists the known ones and the nearest), or an import that
            fails (gives Python's own reason in one line).
    """
    if name in known:
        return known[name]
    if is_object_name(name):
        return _imported(kind, name)
    raise RLDFError(unknown_name(kind, name, known))


def unknown_name(kind: str, name: str, known: Iterable[str], *forms: str) -> str:
    """Return the message for a name that stands for nothing, with the nearest and all known ones.

    Args:
        kind: what is looked up: "reward", "learner".
        name: what the user gave.
        known: registered names.
        *forms: what else is accepted, such as "a folder of models".
    """
    known = list(known)
    near = " or ".join(map(repr, difflib.get_close_matches(name, known, n=2)))
    hint = f" (did you mean {near}?)" if near else ""
    accepted = ", ".join([*known, *forms])
    return f"unknown {kind} {name!r}{hint}; known: {accepted}, or 'package.module:object'"


def make_named(kind: str, name: str, is_ready: Callable[[Any], bool], expected: str = "") -> Any:
    """Return the object ``package.module:object``, or what it returns when called.

    Args:
        kind: what is looked up, for messages.
        name: of a ready object, or of a class or function that makes one without arguments.
        is_ready: whether an object is one of this kind.
        expected: what an object of this kind is, for messages.

    Raises:
        RLDFError: an import or a call that fails, or an object of another kind.
    """
    found = _imported(kind, name)
    if isinstance(found, type) or (callable(found) and not is_ready(found)):
        try:
            found = found()
        except Exception as error:  # the code of a user may raise anything
            raise _failure(f"cannot make the {kind} {name!r}", error) from error
    if not is_ready(found):
        raise RLDFError(
            f"{name!r} gives an object of type {type(found).__name__}, which is not a {kind}"
            + (f": a {kind} is {expected}" if expected else "")
        )
    return found


def _imported(kind: str, name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may raise anything while it is imported
        raise _failure(f"cannot import the {kind} {name!r}", error) from error
    return found


def _failure(what: str, error: Exception) -> RLDFError:
    return RLDFError(f"{what}: {type(error).__name__}: {' '.join(str(error).split())}")
