"""The learners by name."""

from __future__ import annotations

from typing import TypeVar

from rldf_agents.errors import AgentError
from rldf_agents.learners.discrete_learner import DiscreteLearner

LEARNERS: dict[str, type[DiscreteLearner]] = {}
"""The learners by the name that saved files and the command line use."""

_Class = TypeVar("_Class", bound=type[DiscreteLearner])


def register_learner(learner: _Class) -> _Class:
    """Register a class under its ``name``; use it as a decorator.

    Raises:
        AgentError: if another class has this name.
    """
    if LEARNERS.setdefault(learner.name, learner) is not learner:
        raise AgentError(f"there is a learner named {learner.name!r} already: name it otherwise")
    return learner
