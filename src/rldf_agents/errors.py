"""The exception that agents raise for bad input."""


class AgentError(ValueError):
    """Bad input to an agent; the message names the thing, its value and the fix.

    Learners import nothing of ``rldf_gym``, so this is not an ``RLDFError``; both are
    ``ValueError``.
    """


def require(holds: bool, name: str, value: object, need: str) -> None:
    """Raise an AgentError that names a setting, its value and what it needs, unless it holds."""
    if not holds:
        raise AgentError(f"{name} is {value}: give {need}")
