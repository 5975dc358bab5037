"""What a user is told when a grammar, a state or a prompt cannot be used."""

from rldf_gym.errors import RLDFError


class GrammarError(RLDFError):
    """A grammar file that cannot be used, or a state or prompt that is outside its language."""
