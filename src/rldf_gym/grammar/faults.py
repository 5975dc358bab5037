"""Errors and warnings about grammars, states and prompts."""

from rldf_gym.errors import RLDFError


class GrammarError(RLDFError):
    """A grammar file that cannot be used, or a state or prompt that is outside its language."""


class GrammarWarning(UserWarning):
    """A grammar that can be used, but with an axis that reads worse than it could."""
