"""The one family of exceptions that users of RLDF Gym see."""


class RLDFError(ValueError):
    """Bad input or a missing part; the message names the thing, its value and the mend."""
