"""Look up what a user names: a registered name, or ``package.module:object``."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from rldf_gym.errors import RLDFError


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
    module_name, colon, attribute = name.partition(":")
    if colon and module_name and attribute:
        return _imported(kind, name, module_name, attribute)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise RLDFError(
        f"unknown {kind} {name!r}{hint}; known: {', '.join(known)}, or 'package.module:object'"
    )


def _imported(kind: str, name: str, module_name: str, attribute: str) -> Any:
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module may raise anything while it is imported
        reason = " ".join(str(error).split())
        raise RLDFError(
            f"cannot import the {kind} {name!r}: {type(error).__name__}: {reason}"
        ) from error
    return found
