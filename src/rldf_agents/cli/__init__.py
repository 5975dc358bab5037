"""The ``rldf`` command: one module for each of its subcommands."""

from rldf_agents.cli.application import main

__all__ = ["main"]
