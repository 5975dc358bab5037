"""The exception that agents raise for bad input."""


class AgentError(ValueError):
    """Bad input to an agent; the message names the thing, its value and the fix.

    Learners import nothing of ``rldf_gym``, so this is not an ``RLDFError``; both are
    ``ValueError``.
    """
