"""Makes the embedded world: renders its pictures, trains the shipped models, measures them.

Not installed with the package; run from a checkout as ``python -m tools.embedded_world COMMAND``.
"""

from rldf_gym.threads import bound_spinning

bound_spinning()  # before any module of this package imports torch
