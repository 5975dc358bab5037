"""Search one picture or several, and write what was found: the work of ``rldf search``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from rldf_agents.applications.console import ConsoleReporter
from rldf_agents.applications.history import load_history
from rldf_agents.applications.output import (
    INDEX_FILE,
    clear,
    folders_for,
    output_dirs,
    require_empty,
    require_resumable,
    write_index,
    write_result,
)
from rldf_agents.applications.search import (
    HISTORY_FILE,
    Search,
    SearchResult,
    SearchSettings,
    open_search,
)
from rldf_gym.goal import Picture, load_picture
from rldf_gym.grammar import load_grammar
from rldf_gym.model_loading import open_device


def search_pictures(
    pictures: Sequence[Path],
    settings: SearchSettings,
    out: Path,
    command: str,
    *,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> list[SearchResult]:
    """Search pictures one after another, telling what happens as it goes.

    Everything is checked before anything is drawn: all pictures, all names, the output folder.
    The models are loaded once for all pictures.

    Args:
        pictures: at least one file.
        settings: how to search.
        out: folder; the results of one picture go into it, those of several into a folder each
            within it, with an index.html over them.
        command: how to have this again, for the reports.
        resume: go on with the searches that ``out`` holds.
        overwrite: replace them.
        console: where to tell; None for standard output.

    Raises:
        RLDFError: a picture, name or model that cannot be used.
        AgentError: a setting or an output folder that cannot be used.
        OSError: a file cannot be written.
        KeyboardInterrupt: Ctrl-C; its text says what was kept.
    """
    targets = [load_picture(picture) for picture in pictures]
    settings = replace(settings, grammar=load_grammar(settings.grammar))
    if settings.device not in (None, "cpu"):
        # A stored world never opens its device, but whoever names one wants to know that it works.
        open_device(settings.device)
    folders = folders_for(pictures, out)
    if resume:
        require_resumable(folders)
    elif not overwrite:
        require_empty(out)
    reporter = ConsoleReporter(console or Console())
    results: list[SearchResult] = []
    with output_dirs(folders):
        for picture, target, folder in zip(pictures, targets, folders, strict=True):
            try:
                with _ready(picture, target, settings, reporter) as search:
                    if resume and (folder / HISTORY_FILE).is_file():
                        search.resume(folder)
                    else:
                        clear(folder)
                    reporter.goal(search)
                    with reporter.progress(search) as line:
                        result = search.run(folder, [line])
                    settings = search.settings_with_models()
                write_result(result, folder, command)
            except KeyboardInterrupt as interrupt:
                raise KeyboardInterrupt(_kept(folder, len(results), command)) from interrupt
            reporter.result(result, folder)
            results.append(result)
        if len(results) > 1:
            write_index(results, folders, out)
            reporter.index(out / INDEX_FILE)
    return results


@contextmanager
def _ready(
    picture: Path, target: Picture, settings: SearchSettings, reporter: ConsoleReporter
) -> Iterator[Search]:
    with ExitStack() as stack:
        with reporter.reading(picture):
            search = stack.enter_context(open_search(target, settings, str(picture)))
        yield search


def _kept(folder: Path, n_done: int, command: str) -> str:
    """What an interruption leaves, and how to go on."""
    to_go_on = f"to go on, run: {command} --resume"
    history = folder / HISTORY_FILE
    if history.is_file():
        steps = len(load_history(history).steps)
        return f"{folder} keeps what was learned in {steps} steps; {to_go_on}"
    if n_done:
        return f"{n_done} of the pictures are done; {to_go_on}"
    return "nothing was written"
