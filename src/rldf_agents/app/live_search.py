"""A search in a thread of its own, which others watch, stop and continue."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from typing import Any

from rldf_agents.app.turns import Turns
from rldf_agents.applications.result import SearchResult
from rldf_agents.applications.search import Search
from rldf_agents.applications.trajectory import Frame, StateVisit
from rldf_agents.callbacks import BaseCallback
from rldf_agents.errors import AgentError
from rldf_agents.protocols import Step
from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal

logger = logging.getLogger(__name__)

READING, SEARCHING = "reading", "searching"
FOUND, MISSED, STOPPED, FAILED = "found", "missed", "stopped", "failed"


@dataclass(frozen=True, eq=False)
class Progress:
    """What a search has done so far.

    Attributes:
        phase: `READING` or `SEARCHING`; in the end `FOUND`, `MISSED`, `STOPPED` or `FAILED`.
        goal: what was read in the target; None before.
        now: the last image.
        best: the best image: one that matches, else the highest reward, else the most similar.
        rewards: of every step.
        n_pictures: different images seen.
        generations: images generated, that is, not found in the store.
        error: why the search failed, in one line.
        result: of a search that ended or was stopped.
    """

    phase: str = READING
    goal: Goal | None = None
    now: Frame | None = None
    best: Frame | None = None
    rewards: tuple[float, ...] = ()
    n_pictures: int = 0
    generations: int = 0
    error: str = ""
    result: SearchResult | None = None

    @property
    def is_over(self) -> bool:
        """Whether the search does not run."""
        return self.phase not in (READING, SEARCHING)


class LiveSearch(BaseCallback):
    """One search, run by a thread that takes turns with those of other searches.

    Args:
        opening: opens the search, such as `open_search` with its arguments.
        turns: held by the thread for each step and image.
    """

    def __init__(self, opening: Callable[[], AbstractContextManager[Search]], turns: Turns) -> None:
        self._opening = opening
        self._turns = turns
        self._opened = ExitStack()
        self._search: Search | None = None
        self._thread: threading.Thread | None = None
        self._stop, self._closed = threading.Event(), threading.Event()
        self._changed = threading.Condition()
        self._progress = Progress()
        self._n_beside = 0

    @property
    def progress(self) -> Progress:
        """What the search has done so far."""
        return self._progress

    @property
    def evaluator(self) -> StateEvaluator:
        """Generates and reads the images of the search, also after its end."""
        return self._running.evaluator

    @property
    def can_continue(self) -> bool:
        """Whether the search was stopped and its learner can go on."""
        stopped = self._progress.phase == STOPPED and not self._closed.is_set()
        return stopped and self._search is not None and self._search.can_continue

    def start(self) -> None:
        """Start the search, or continue it after a stop."""
        self._stop.clear()
        self._update(phase=READING if self._search is None else SEARCHING, result=None)
        # No daemon: Python cannot end while PyTorch computes in one.
        self._thread = threading.Thread(target=self._work, name="rldf-search")
        self._thread.start()

    def stop(self) -> None:
        """Let the search end after the current image."""
        self._stop.set()

    def close(self) -> None:
        """Stop the search for good and close its store; does not wait."""
        self._closed.set()
        self._stop.set()
        if self._thread is None or not self._thread.is_alive():
            self._opened.close()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the search does not run."""
        if self._thread is not None:
            self._thread.join(seconds)

    def watch(self, seconds: float) -> Iterator[Progress]:
        """Yield the progress whenever it changed, the last one included, until the search is over.

        Args:
            seconds: the least time between two.
        """
        shown: Progress | None = None
        while shown is None or not shown.is_over:
            with self._changed:
                while self._progress is shown:
                    self._changed.wait()
                shown = self._progress
            yield shown
            if not shown.is_over:
                self._stop.wait(seconds)

    def on_step(self, step: Step) -> None:
        """Show the step's image, then let others have their turn."""
        search = self._running
        log = search.steps[-1]
        visit = StateVisit(
            *(log.state, len(search.steps), log.reward, log.similarity, log.distance, log.matches)
        )
        rewards = (*self._progress.rewards, log.reward)
        self._show(visit, rewards=rewards, n_pictures=log.states_seen + self._n_beside)

    def _on_image(self, phase: str, visit: StateVisit) -> None:
        self._n_beside += 1
        self._show(visit, n_pictures=self._progress.n_pictures + 1)

    def _show(self, visit: StateVisit, **changes: Any) -> None:
        search = self._running
        frame = Frame.of(search.evaluator, visit)
        best = self._progress.best
        self._update(
            now=frame,
            best=frame if best is None or _rank(frame) > _rank(best) else best,
            generations=search.evaluator.generations,
            **changes,
        )
        if not self._stop.is_set():
            self._turns.pass_on()

    @property
    def _running(self) -> Search:
        if self._search is None:
            raise AgentError("the search has not been opened")
        return self._search

    def _work(self) -> None:
        try:
            with self._turns.taken():
                if self._search is None and not self._closed.is_set():
                    self._search = self._opened.enter_context(self._opening())
                    self._update(phase=SEARCHING, goal=self._search.goal)
                if not self._closed.is_set():
                    result = self._running.run(
                        callbacks=[self], on_image=self._on_image, should_stop=self._stop.is_set
                    )
                    self._end(result)
        except (RLDFError, AgentError, OSError) as error:
            self._fail(str(error))
        except Exception as error:  # whatever a user's own learner or generator raises
            logger.exception("the search failed")
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            if self._closed.is_set():
                self._opened.close()

    def _end(self, result: SearchResult) -> None:
        ended = STOPPED if self._stop.is_set() else MISSED
        self._update(
            phase=FOUND if result.found else ended,
            best=result.best[0],
            n_pictures=result.states_seen,
            generations=result.generations,
            result=result,
        )

    def _fail(self, message: str) -> None:
        self._update(phase=FAILED, error=" ".join(message.split()))

    def _update(self, **changes: Any) -> None:
        with self._changed:
            self._progress = replace(self._progress, **changes)
            self._changed.notify_all()


def _rank(frame: Frame) -> tuple[bool, float, float]:
    visit = frame.visit
    reward = float("-inf") if visit.reward is None else visit.reward
    return bool(visit.matches), reward, visit.similarity or 0.0
