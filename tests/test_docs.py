"""What the README and the pages under docs/ tell a reader to open, type or run."""

import functools
import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer

from rldf_agents.cli.program import application
from rldf_gym.goal import DEFAULT_TARGET
from tools.site.inserts import fill_page

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every ``rldf`` command line of a console or an indented block, in words."""
    lines = [
        line
        for page in PAGES
        for line in re.findall(r"^(?:\$ |    )(.*\brldf .*)$", page.read_text(), re.MULTILINE)
    ]
    parts = [part.split() for line in lines for part in re.split("&&|#", line)[:2]]
    words = [shlex.split(" ".join(part)) for part in parts if part]
    return [each[1:] for each in words if each and each[0].rpartition("/")[2] == "rldf"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, heading = link.partition("#")
        if "://" not in link:
            linked = page.parent / path if path else page
            assert linked.exists(), link
            assert not heading or heading in headings(linked), link


@functools.cache
def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings, those that the site inserts included."""
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", fill_page(page.read_text()), re.MULTILINE)
    }


def test_every_command_and_option_exists():
    assert len(commands()) > 8
    for words in commands():
        command = typer.main.get_command(application())
        while words and words[0] in getattr(command, "commands", {}):
            command, words = command.commands[words[0]], words[1:]
        known = {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in words if word.startswith("--")} <= known, (command.name, words)


@pytest.mark.slow
def test_the_python_of_the_first_page_runs_from_top_to_bottom(base_world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RLDF_STORE", str(base_world))
    shutil.copy(DEFAULT_TARGET, "picture.png")
    names: dict[str, object] = {}
    for code in blocks(ROOT / "docs" / "start.md", "python"):
        exec(compile(code, "start.md", "exec"), names)
    assert names["result"].reached
    assert names["env"].render().shape == (128, 128, 3)
    assert isinstance(names["info"]["matches"], bool)
