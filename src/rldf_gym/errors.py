"""The one family of exceptions that users of RLDF Gym see."""


class RLDFError(ValueError):
    """Bad input or a missing part; the message names the thing, its value and how to fix it."""


class ModelError(RLDFError):
    """A model whose files are missing or damaged, or a device that this machine lacks."""
