"""The list of example scripts, from their docstrings."""

import ast
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def examples() -> str:
    """Return a table of the scripts in ``examples``, each linked, as seen from ``docs``."""
    rows = []
    for path in sorted((_ROOT / "examples").rglob("*.py")):
        described = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        name = path.relative_to(_ROOT).as_posix()
        summary = described.split("\n\n")[0].replace("\n", " ")
        rows.append(f"| [{name}](../{name}) | {summary} |")
    return "\n".join(["| script | what it shows |", "| --- | --- |", *rows])
