"""The ``rldf`` command.

Every module here that has a function of its own name adds it as a subcommand; one that has a
Typer ``app`` adds a group of subcommands named after the module. Nothing else has to be changed.
"""

from rldf_agents.cli.program import main

__all__ = ["main"]
