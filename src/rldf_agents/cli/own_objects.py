"""Name the object of the user's, ``package.module:object``, whose code raised an error."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any


def failed_object(error: BaseException, words: Iterable[str]) -> str | None:
    """Return the name of the object whose code raised an error, None if it was other code.

    Where the code is in a function that the object calls, all named objects of its module are
    given.

    Args:
        error: with its traceback.
        words: of the command line; some of them may be names of objects.
    """
    from rldf_gym.registry import is_object_name, resolve

    files: dict[str, str | None] = {}
    for name in (word.rpartition("=")[2] for word in words):
        module = sys.modules.get(name.partition(":")[0]) if is_object_name(name) else None
        if module is not None:
            files[name] = getattr(module, "__file__", None)
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]
    for code in codes:
        for name in files:
            if code in _codes(resolve("object", name, {})):
                return name
    for code in codes:
        if near := [name for name, file in files.items() if file == code.co_filename]:
            return " or ".join(near)
    return None


def _codes(found: Any) -> Iterator[CodeType]:
    """Yield the code of a function, or of the methods of an object or class."""
    kind = found if isinstance(found, type) else type(found)
    methods = [each for base in kind.__mro__ for each in vars(base).values()]
    for function in (found, *methods):
        if isinstance(code := getattr(function, "__code__", None), CodeType):
            yield code
