"""Search what a picture means: an agent walks a grammar until an image reads as the picture.

::

    with open_search("picture.png", SearchSettings()) as search:
        print(search.goal.prompt)
        result = search.run()
    print(result.best[0].prompt)
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rldf_agents.applications.attributes import Attributes
from rldf_agents.applications.environment import make_env
from rldf_agents.applications.history import (
    HISTORY_FILE,
    LEARNER_FILE,
    History,
    HistoryRecorder,
    SearchCheckpoint,
    StepLog,
    load_history,
)
from rldf_agents.applications.result import SearchResult
from rldf_agents.applications.settings import RANDOM, READING, SearchSettings
from rldf_agents.applications.trajectory import (
    N_FRAMES,
    Frame,
    Picture,
    StateVisit,
    best_visits,
    significant_visits,
)
from rldf_agents.applications.trials import Seeded, further_images, look_at, variations
from rldf_agents.errors import AgentError
from rldf_agents.protocols import Callback, ResumableLearner, SingleEnvironment
from rldf_agents.training import train
from rldf_gym.batching import batch_size
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal, Target
from rldf_gym.grammar import Grammar
from rldf_gym.store import pixels_key
from rldf_gym.suggestion import Suggestion

_TRIES = 4
"""Images to try for each variation, at the most, where no budget bounds them."""

__all__ = ["Search", "SearchResult", "SearchSettings", "open_search", "search_picture"]


class Search:
    """A search for one target, ready to run; `open_search` makes it.

    Attributes:
        target: what the user calls the picture.
        goal: what was read in it.
        evaluator: generates and reads its images.
        settings: how to search.
        suggestion: the grammar that was made for the target; None where the settings name one.
    """

    def __init__(
        self,
        target: str,
        env: SingleEnvironment,
        settings: SearchSettings,
        suggestion: Suggestion | None = None,
    ) -> None:
        self.target = target
        self.settings = settings
        self.suggestion = suggestion
        self.goal: Goal = env.get_wrapper_attr("goal")
        self._env = env
        self.evaluator: StateEvaluator = env.get_wrapper_attr("evaluator")
        self._history = History(self._identity())
        self._generated_before = 0
        self._checks: list[StateVisit] = []
        self._trials: list[StateVisit] = []
        self._beside: list[StateVisit] = []
        vary, within = settings.vary, settings.vary_in
        self._attributes = Attributes(self.evaluator, self.goal, vary, within) if vary else None
        self._learner = settings.make_learner(env)

    @property
    def grammar(self) -> Grammar:
        """The grammar whose states are searched."""
        return self.evaluator.grammar

    @property
    def can_continue(self) -> bool:
        """Whether the learner can go on after a stop."""
        return isinstance(self._learner, ResumableLearner)

    @property
    def steps(self) -> Sequence[StepLog]:
        """Steps taken so far, those before a resume included."""
        return self._history.steps

    def resume(self, folder: Path) -> None:
        """Continue the search that wrote its checkpoint into this folder.

        Raises:
            AgentError: a file is missing or damaged, or it was another search; the message says
                what differs.
        """
        history = load_history(folder / HISTORY_FILE, self._history.identity)
        self._require_resumable()
        learner = self.settings.learner_type.load(folder / LEARNER_FILE, self._env)
        n_steps = learner.progress.timesteps
        if n_steps > len(history.steps):
            raise AgentError(
                f"{folder} cannot be resumed: {LEARNER_FILE} is at step {n_steps}, {HISTORY_FILE}"
                f" at {len(history.steps)}; start anew"
            )
        del history.steps[n_steps:]
        self._history, self._learner = history, learner
        self._generated_before = history.steps[-1].generations if history.steps else 0

    def run(
        self,
        folder: Path | None = None,
        callbacks: Sequence[Callback] = (),
        on_image: Callable[[str, StateVisit], None] = lambda phase, visit: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> SearchResult:
        """Search until an image matches or the goal state is visited (``settings.stop_at``).

        The walk is skipped where the start succeeds already. If the goal state's image does not
        match, further seeds of it and the states around it are tried. Variations come last. A
        search that was stopped continues when it is run again, if it `can_continue`.

        Args:
            folder: where checkpoints go; None keeps none.
            callbacks: called at every step, after it was recorded.
            on_image: called with every image beside the walk, and whether it is at the "start", a
                "further" image after the walk, or a "variation".
            should_stop: called after every step and image; whether to return what was found so far.

        Raises:
            KeyboardInterrupt: on Ctrl-C, after a checkpoint.
            AgentError: the learner takes no step, or cannot continue.
        """
        settings, before, started = self.settings, self._history.seconds, time.monotonic()
        look = partial(
            self._look_until,
            look_at=partial(look_at, self.evaluator, self.goal),
            on_image=on_image,
            should_stop=should_stop,
        )
        checks, trials = self._checks, self._trials
        if not any(map(self._succeeds, checks)):
            checks += look(self._succeeds, self._starting_images(), "start")
        is_stopped = bool(checks) and should_stop()
        if not is_stopped and (settings.keep_learning or not any(map(self._succeeds, checks))):
            self._walk(folder, callbacks, should_stop)
            is_stopped = should_stop()
        if not is_stopped:
            trials += look(self._succeeds, self._further_images(), "further")
        best = best_visits(self.steps, [*checks, *trials])
        found = [] if should_stop() else self._variations(best, look)
        return SearchResult(
            target=self.target,
            settings=settings,
            generator=self.evaluator.generator,
            goal=self.goal,
            checks=tuple(checks),
            steps=self.steps,
            trials=tuple(trials),
            generations=self._generated_before + self.evaluator.generations,
            statistics=self._history.statistics(),
            best=self._frames(best),
            trajectory=self._frames(self._trajectory(checks)),
            variations=self._frames(visit for visit in found if visit.matches),
            rejected=sum(not visit.matches for visit in found),
            seconds=before + time.monotonic() - started,
            suggestion=self.suggestion,
        )

    def _require_resumable(self) -> None:
        if not self.can_continue:
            raise AgentError(
                f"the learner {self.settings.learner_name!r} cannot be resumed: it lacks some of"
                " progress, start_run, forget_episodes, save and load"
            )

    def _walk(
        self,
        folder: Path | None,
        callbacks: Sequence[Callback],
        should_stop: Callable[[], bool],
    ) -> None:
        if any(map(self._is_last, self.steps)):
            return
        if self.steps:
            self._require_resumable()
        recorder = HistoryRecorder(
            self._history,
            self.goal.reading.embedding,
            lambda step: self._is_last(step) or should_stop(),
            self._generated_before,
        )
        checkpoints = [] if folder is None else [SearchCheckpoint(self._history, folder)]
        listeners: list[Callback] = [recorder, *checkpoints, *callbacks]
        learn = getattr(self._learner, "learn", None) or partial(train, self._learner)
        learn(self._env, self.settings.steps, self.settings.seed, listeners)
        if not self.steps:
            raise AgentError(
                f"the learner {self.settings.learner_name!r} reported no step: its learn must call"
                " on_step of every callback"
            )

    def _is_last(self, step: StepLog) -> bool:
        # An unmatched goal state ends the walk as well: the further images follow.
        found = step.at_goal or (step.matches and self.settings.wants_match)
        spent = len(self._beside) + step.states_seen >= self.settings.most_pictures
        return spent or (found and not self.settings.keep_learning)

    def _succeeds(self, visit: StateVisit) -> bool:
        return bool(visit.matches) if self.settings.wants_match else visit.distance == 0

    def _starting_images(self) -> Iterator[Seeded]:
        start, first = self.settings.start, self.settings.generation_seed
        if start == READING:
            known = {visit.picture for visit in self._checks}
            yield from further_images(self.evaluator, self.goal, self.settings.more_seeds, known)
        elif start != RANDOM and not self._checks:
            yield tuple(self.grammar.encode(start).tolist()), first

    def _further_images(self) -> Iterator[Seeded]:
        settings, steps = self.settings, self.steps
        matched = any(v.matches for v in self._beside) or any(step.matches for step in steps)
        if settings.wants_match and not matched and any(step.at_goal for step in steps):
            known = self._pictures()
            yield from further_images(self.evaluator, self.goal, settings.more_seeds, known)

    def _variations(
        self,
        best: Sequence[StateVisit],
        look: Callable[..., list[StateVisit]],
    ) -> list[StateVisit]:
        """Return further images of what matched: of its prompt, and of the goal state's."""
        settings = self.settings
        if not best[0].matches or not (settings.variations or settings.after_goal):
            return []
        found = [visit for visit in best[1:] if visit.matches] if settings.after_goal else []
        states = list(dict.fromkeys([best[0].state, tuple(self.goal.state.tolist())]))
        wanted = settings.most_pictures if settings.after_goal else settings.variations
        images = variations(settings.generation_seed, states, self._pictures())
        if not settings.after_goal:
            images = itertools.islice(images, _TRIES * settings.variations)
        if self._attributes is not None:
            look = partial(look, look_at=self._attributes.look_at)
        return found + look(lambda visit: bool(visit.matches), images, "variation", wanted=wanted)

    def _look_until(
        self,
        is_wanted: Callable[[StateVisit], bool],
        images: Iterator[Seeded],
        phase: str,
        look_at: Callable[[Sequence[Seeded]], list[StateVisit]],
        on_image: Callable[[str, StateVisit], None],
        should_stop: Callable[[], bool],
        wanted: int = 1,
    ) -> list[StateVisit]:
        """Take as many images at once as are missing, until so many are wanted ones.

        It ends before where none is left, the budget is spent, or it must stop.
        """
        taken: list[StateVisit] = []
        while wanted > 0 and not (taken and should_stop()):
            left = self.settings.most_pictures - len(self._pictures())
            at_once = int(max(0, min(wanted, left, batch_size(self.evaluator.generator))))
            if not (batch := list(itertools.islice(images, at_once))):
                break
            visits = look_at(batch)
            taken += visits
            self._beside += visits
            for visit in visits:
                on_image(phase, visit)
            wanted -= sum(map(is_wanted, visits))
        return taken

    def _pictures(self) -> set[Picture]:
        """Return every state with a seed whose image was evaluated."""
        walked = {state for step in self.steps for state in (step.origin, step.state)}
        first = self.settings.generation_seed
        return {(state, first) for state in walked} | {visit.picture for visit in self._beside}

    def _trajectory(self, checks: Sequence[StateVisit]) -> Sequence[StateVisit]:
        if not self.steps:
            return checks[-N_FRAMES:]
        return significant_visits(self.steps, self.goal.state.tolist())

    def _frames(self, visits: Iterable[StateVisit]) -> tuple[Frame, ...]:
        varied = self._attributes
        return tuple(
            varied.frame(v) if varied and v.attributes else Frame.of(self.evaluator, v)
            for v in visits
        )

    def _identity(self) -> dict[str, Any]:
        """Return what must be equal for a resumed search to be the same search."""
        return {
            "target": pixels_key(self.goal.picture),
            "grammar": self.grammar.fingerprint,
            "generator": self.evaluator.generator.fingerprint,
            "goal": self.goal.prompt,
            **self.settings.identity(),
        }


@contextmanager
def open_search(
    target: Target, settings: SearchSettings, name: str = "the target"
) -> Iterator[Search]:
    """Read a target and prepare the search for it; generates nothing.

    Args:
        target: a picture file, a Pillow image, or uint8 ``[H, W, 3]``.
        settings: how to search.
        name: what messages and reports call the target.

    Raises:
        RLDFError: a target, name or model that cannot be used; the message says which and why.
        AgentError: a setting that the learner rejects.
    """
    env, suggestion = make_env(target, settings)
    try:
        yield Search(name, env, settings, suggestion)
    finally:
        env.close()


def search_picture(
    target: Target, settings: SearchSettings | None = None, callbacks: Sequence[Callback] = ()
) -> SearchResult:
    """Read a target and search for it, with no files written; see `open_search`."""
    name = str(target) if isinstance(target, str | Path) else "the target"
    with open_search(target, settings or SearchSettings(), name) as search:
        return search.run(callbacks=callbacks)
