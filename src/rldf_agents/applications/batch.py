"""Search one picture or several, and write what was found: the work of ``rldf search``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from rldf_agents.applications.console import ConsoleReporter, make_console
from rldf_agents.applications.history import HISTORY_FILE, load_history
from rldf_agents.applications.output import (
    INDEX_FILE,
    clear,
    folders_for,
    output_dirs,
    require_empty,
    require_resumable,
)
from rldf_agents.applications.report import render_index
from rldf_agents.applications.result import REPORT_FILE, SearchResult
from rldf_agents.applications.search import Search, SearchSettings, open_search
from rldf_agents.applications.settings import RANDOM
from rldf_agents.callbacks import BaseCallback
from rldf_agents.protocols import Step
from rldf_gym.atomic_file import write_atomically
from rldf_gym.goal import TargetError, load_picture
from rldf_gym.grammar import load_grammar
from rldf_gym.model_loading import open_device

MOST_IMAGES_BESIDE = 300
"""New images that a learner beside the chosen one may generate for a target."""


class SavedResult(NamedTuple):
    """The result of one search and the folder that its files are in."""

    result: SearchResult
    folder: Path


def search_pictures(
    pictures: Sequence[str],
    settings: SearchSettings,
    out: Path,
    command: str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
    beside: str | None = None,
) -> list[SavedResult]:
    """Search pictures one after another and report progress on a console.

    Everything is checked before anything is generated: all pictures, all names, the output folder.
    The models are loaded once for all pictures.

    Args:
        pictures: at least one file.
        settings: how to search.
        out: folder; the results of one picture go into it, those of several into a folder each
            within it, with an index.html over them.
        command: what the user can type to repeat this, for reports and messages.
        resume: continue the searches that ``out`` holds.
        overwrite: replace them.
        console: where to report; None for standard output.
        beside: another learner that searches for each target as well, with the same models and
            store and at most `MOST_IMAGES_BESIDE` new images; the report shows both. None for none.

    Raises:
        RLDFError: a picture, name or model that cannot be used.
        AgentError: a setting or an output folder that cannot be used.
        OSError: a file cannot be written.
        KeyboardInterrupt: Ctrl-C; its text says what was kept.
    """
    reporter = ConsoleReporter(console or make_console())
    for picture in pictures:
        load_picture(picture)
    if not settings.wants_suggestion:
        settings = replace(settings, grammar=load_grammar(settings.grammar))
    if settings.device not in (None, "cpu"):
        # States from the store never open the device, but a wrong name should be an error.
        open_device(settings.device)
    folders = folders_for(pictures, out)
    if resume:
        require_resumable(folders)
    elif not overwrite:
        require_empty(out)
    saved: list[SavedResult] = []
    with output_dirs(folders):
        try:
            for number, (picture, folder) in enumerate(zip(pictures, folders, strict=True), 1):
                with _opened(picture, settings, reporter) as search:
                    if resume and (folder / HISTORY_FILE).is_file():
                        search.resume(folder)
                    else:
                        clear(folder)
                    reporter.goal(search, number, len(pictures))
                    with reporter.progress(search) as line:
                        result = search.run(folder, [line], line.on_image)
                    settings = search.settings.with_models_of(search.evaluator)
                result.save(folder, f"{command} --overwrite")
                reporter.result(result, folder)
                if beside is not None:
                    other = _search_beside(picture, settings, beside, reporter)
                    result = replace(result, beside=other)
                    result.save(folder, f"{command} --overwrite")
                saved.append(SavedResult(result, folder))
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(_what_was_kept(folder, len(saved), command)) from interrupt
        finally:
            if len(pictures) > 1 and saved:
                links = [f"{folder.name}/{REPORT_FILE}" for _, folder in saved]
                page = render_index([result for result, _ in saved], links)
                write_atomically(out / INDEX_FILE, page.encode())
                reporter.index(out / INDEX_FILE)
    return saved


def _search_beside(
    picture: str, settings: SearchSettings, learner: str, reporter: ConsoleReporter
) -> SearchResult:
    beside = replace(settings, learner=learner, epsilon=None, more_seeds=0)
    beside = replace(beside, start=RANDOM, variations=0, after_goal=False)
    with open_search(picture, beside, picture) as search:
        reporter.beside(search, MOST_IMAGES_BESIDE)
        with reporter.progress(search) as line:
            result = search.run(callbacks=[line, _ImageBound(search)])
    reporter.outcome(result)
    return result


class _ImageBound(BaseCallback):
    """Ends a search that has generated `MOST_IMAGES_BESIDE` images."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def on_step(self, step: Step) -> bool:
        """Return whether another image may be generated."""
        return self._search.steps[-1].generations < MOST_IMAGES_BESIDE


@contextmanager
def _opened(picture: str, settings: SearchSettings, reporter: ConsoleReporter) -> Iterator[Search]:
    with ExitStack() as stack:
        with reporter.reading(picture):
            search = stack.enter_context(open_search(picture, settings, picture))
        yield search


def split_readable(pictures: Sequence[str]) -> tuple[list[str], list[Exception]]:
    """Return the pictures that can be read, and the errors about the others.

    Raises:
        TargetError: none can be read.
    """
    good: list[str] = []
    errors: list[Exception] = []
    for picture in pictures:
        try:
            load_picture(picture)
        except TargetError as error:
            errors.append(error)
        else:
            good.append(picture)
    if not good:
        raise TargetError("none of the pictures can be read")
    return good, errors


def _what_was_kept(folder: Path, n_done: int, command: str) -> str:
    """Return what an interruption leaves and how to continue."""
    to_continue = f"to continue, run: {command} --resume"
    history = folder / HISTORY_FILE
    if history.is_file():
        n_steps = len(load_history(history).steps)
        return f"{folder} keeps what was learned in {n_steps} steps; {to_continue}"
    if n_done:
        return f"{n_done} of the pictures are done; {to_continue}"
    return "nothing was written"
