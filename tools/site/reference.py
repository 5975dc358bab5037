"""The reference of one module, from its docstrings."""


def module(name: str) -> str:
    """Return the Markdown that makes Sphinx document a module's public objects."""
    return f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n"
