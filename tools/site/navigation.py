"""The site's navigation."""

from pathlib import Path

_DOCS = Path(__file__).parents[2] / "docs"


def navigation() -> str:
    """Return the Markdown of the navigation: ``docs/navigation.md``."""
    return (_DOCS / "navigation.md").read_text(encoding="utf-8")


def unlisted() -> str:
    """Return the pages in ``docs`` that the navigation does not list, one a line."""
    listed = navigation()
    pages = (f"docs/{page.stem}" for page in sorted(_DOCS.glob("*.md")))
    return "\n".join(page for page in pages if page not in listed and page != "docs/navigation")
