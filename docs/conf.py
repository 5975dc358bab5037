"""Settings of the documentation site; ``make docs`` builds it.

Sphinx with Furo and MyST, as Gymnasium's own documentation: all three have releases in 2025 or
later. MkDocs has had none since August 2024, and Material for MkDocs is in maintenance.

The source folder is the whole project: pages lie where GitHub shows them, and their links work in
both places. README.md is the front page.
"""

import logging
import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import rldf_gym
from tools.site.inserts import fill_page
from tools.site.lark_lexer import LarkLexer
from tools.site.navigation import navigation

ROOT = Path(__file__).resolve().parents[1]

logging.getLogger("rldf_gym").setLevel(logging.WARNING)

project = "RLDF Gym"
author = "The RLDF Gym authors"
release = rldf_gym.__version__

root_doc = "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
    "src/rldf_gym/embedded/README.md",
]
exclude_patterns = ["docs/navigation.md", ".*", "out", "runs", "build", "dist", "tests"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_ivar = True
default_role = "py:obj"
# A class that a package exports again is documented twice; a reference takes the first.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = project
html_copy_source = False

FOREIGN = re.compile(
    r"""(?:src|srcset)=["']?https?://|<link[^>]+href=["']?https?://|@import\s|url\(["']?https?://"""
)


def _complete_page(app: Sphinx, docname: str, source: list[str]) -> None:
    """Add what GitHub would show as text: measurements and, on the front page, the navigation."""
    if docname == root_doc:
        source[0] += "\n" + navigation()
    source[0] = fill_page(source[0])


def _leave_out_manual(
    app: Sphinx, what: str, name: str, object_: object, options: object, lines: list[str]
) -> None:
    """Leave out the Markdown part of an environment's docstring: it has a page of its own."""
    first = next((n for n, line in enumerate(lines) if line.startswith("## ")), len(lines))
    del lines[first:]


def _copy_front_page(app: Sphinx, exception: Exception | None) -> None:
    """Make the front page the one that servers show for the site's folder."""
    if exception is None:
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def _check_requests(app: Sphinx, exception: Exception | None) -> None:
    """Raise an error for a page or a style that loads something from another host."""
    for path in Path(app.outdir).rglob("*"):
        if path.suffix in {".html", ".css"} and (found := FOREIGN.search(path.read_text())):
            raise ExtensionError(f"{path} loads from another host: {found.group()}")


def setup(app: Sphinx) -> None:
    """Connect what settings cannot express."""
    app.add_lexer("lark", LarkLexer)
    app.connect("source-read", _complete_page)
    app.connect("autodoc-process-docstring", _leave_out_manual)
    app.connect("build-finished", _copy_front_page)
    app.connect("build-finished", _check_requests)
