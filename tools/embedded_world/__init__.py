"""Makes the embedded world: renders its pictures, trains the shipped models, measures them.

Not installed with the package; run from a checkout as ``python -m tools.embedded_world COMMAND``.
"""
