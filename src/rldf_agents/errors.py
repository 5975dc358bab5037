"""The one family of exceptions that users of the agents see."""


class AgentError(ValueError):
    """Bad input to an agent; the message names the thing, its value and the fix.

    The learners see environments only through the Gymnasium API, so this family stands apart from
    ``rldf_gym.errors.RLDFError``; both are ``ValueError``.
    """
