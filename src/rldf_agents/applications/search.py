"""Search what a picture means: an agent walks a grammar until an image reads as the picture.

with open_search("picture.png", SearchSettings()) as search:
    print(search.goal.prompt)
    result = search.run()
print(result.best[0].prompt)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

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
from rldf_agents.applications.settings import SearchSettings
from rldf_agents.applications.trajectory import (
    Frame,
    StateVisit,
    best_visits,
    significant_visits,
)
from rldf_agents.applications.trials import try_further_images
from rldf_agents.errors import AgentError
from rldf_agents.protocols import Callback, ResumableLearner, SingleEnvironment
from rldf_agents.statistics import run_statistics
from rldf_agents.training import train
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.factory import make_models
from rldf_gym.goal import Goal, Target
from rldf_gym.grammar import Grammar
from rldf_gym.rewards import UnrecognisedPenalty
from rldf_gym.store import pixels_key
from rldf_gym.suggestion import Suggestion, suggest_grammar

__all__ = ["Search", "SearchResult", "SearchSettings", "open_search", "search_picture"]


class Search:
    """A search for one target, ready to run; `open_search` makes it.

    Attributes:
        target: what the user calls the picture.
        goal: what was read in it.
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
        self._evaluator: StateEvaluator = env.get_wrapper_attr("evaluator")
        self._history = History(self._identity())
        self._learner = settings.make_learner(env)

    def settings_with_models(self) -> SearchSettings:
        """Return the settings with this search's generator and perception, for the next target."""
        return replace(
            self.settings,
            generator=self._evaluator.generator,
            perception=self._evaluator.perception,
        )

    @property
    def grammar(self) -> Grammar:
        """The grammar whose states are searched."""
        return self._evaluator.grammar

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
        history = load_history(folder / HISTORY_FILE)
        differing = [
            f"{name} {history.identity.get(name)!r} there, {value!r} here"
            for name, value in self._history.identity.items()
            if history.identity.get(name) != value
        ]
        if differing:
            raise AgentError(f"{folder} holds another search: {'; '.join(differing)}")
        if not isinstance(self._learner, ResumableLearner):
            raise AgentError(
                f"the learner {self.settings.learner_name!r} cannot be resumed: it lacks some of"
                " progress, start_run, forget_episodes, save and load"
            )
        learner = self.settings.learner_type.load(folder / LEARNER_FILE, self._env)
        n_steps = learner.progress.timesteps
        if n_steps > len(history.steps):
            raise AgentError(
                f"{folder} cannot be resumed: {LEARNER_FILE} is at step {n_steps}, {HISTORY_FILE}"
                f" at {len(history.steps)}; start anew"
            )
        del history.steps[n_steps:]
        self._history, self._learner = history, learner

    def run(
        self,
        folder: Path | None = None,
        callbacks: Sequence[Callback] = (),
        on_trial: Callable[[StateVisit], None] | None = None,
    ) -> SearchResult:
        """Search until an image matches or the goal state is visited (``settings.stop_at``).

        If the goal state's image does not match, further seeds of it and the states around it are
        tried.

        Args:
            folder: where checkpoints go; None keeps none.
            callbacks: called at every step, after it was recorded.
            on_trial: called with every further image.

        Raises:
            KeyboardInterrupt: on Ctrl-C, after a checkpoint.
            AgentError: the learner takes no step.
        """
        if not any(map(self._is_last, self.steps)):
            recorder = HistoryRecorder(self._history, self.goal.reading.embedding, self._is_last)
            checkpoints = [] if folder is None else [SearchCheckpoint(self._history, folder)]
            listeners: list[Callback] = [recorder, *checkpoints, *callbacks]
            learn = getattr(self._learner, "learn", None) or partial(train, self._learner)
            learn(self._env, self.settings.steps, self.settings.seed, listeners)
        if not self.steps:
            raise AgentError(
                f"the learner {self.settings.learner_name!r} reported no step: its learn must call"
                " on_step of every callback"
            )
        trials, generated = [], self._evaluator.generations
        for trial in self._further_images():
            trials.append(trial)
            if on_trial is not None:
                on_trial(trial)
        generated = self._evaluator.generations - generated
        return self._result(trials, self.steps[-1].generations + generated)

    def _is_last(self, step: StepLog) -> bool:
        # An unmatched goal state ends the walk as well: the further images follow.
        found = step.at_goal or (step.matches and self.settings.wants_match)
        return found and not self.settings.keep_learning

    def _further_images(self) -> Iterator[StateVisit]:
        steps, settings = self.steps, self.settings
        if not settings.wants_match or any(step.matches for step in steps):
            return iter(())
        if not any(step.at_goal for step in steps):
            return iter(())
        visited = {state for step in steps for state in (step.origin, step.state)}
        return try_further_images(self._evaluator, self.goal, settings.more_seeds, visited)

    def _result(self, trials: Sequence[StateVisit], generations: int) -> SearchResult:
        steps, evaluator = self.steps, self._evaluator
        goal = tuple(self.goal.state.tolist())
        best = best_visits(steps, trials)
        return SearchResult(
            target=self.target,
            settings=self.settings,
            generator=evaluator.generator,
            goal=self.goal,
            steps=steps,
            trials=tuple(trials),
            generations=generations,
            statistics=run_statistics([step.record() for step in steps]),
            best=tuple(Frame.of(evaluator, visit) for visit in best),
            trajectory=tuple(Frame.of(evaluator, v) for v in significant_visits(steps, goal)),
            seconds=self._history.seconds,
            suggestion=self.suggestion,
        )

    def _identity(self) -> dict[str, Any]:
        """Return what must be equal for a resumed search to be the same search."""
        settings, evaluator = self.settings, self._evaluator
        return {
            "target": pixels_key(self.goal.picture),
            "grammar": evaluator.grammar.fingerprint,
            "generator": evaluator.generator.fingerprint,
            "goal": self.goal.prompt,
            "reward": settings.reward_name,
            "learner": settings.learner_name,
            **{
                name: getattr(settings, name)
                for name in (
                    *("epsilon", "seed", "generation_seed", "max_episode_steps", "stop_at"),
                    *("unrecognised_penalty", "action_mode"),
                )
            },
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
    suggestion, used = None, settings
    if settings.wants_suggestion:
        made, models = make_models(settings.generator, settings.perception, settings.device)
        suggestion = suggest_grammar(
            target, generator=made, perception=models, store=settings.store, device=settings.device
        )
        used = replace(settings, grammar=suggestion.grammar, generator=made, perception=models)
    reward = settings.reward
    if settings.unrecognised_penalty:
        reward = UnrecognisedPenalty(reward, settings.unrecognised_penalty)
    env: SingleEnvironment = gym.make(
        "RLDF-v0",
        disable_env_checker=True,
        max_episode_steps=settings.max_episode_steps,
        grammar=used.grammar,
        target=target,
        generator=used.generator,
        perception=used.perception,
        reward=reward,
        action_mode=settings.action_mode,
        stop_at=settings.stop_at,
        store=settings.store,
        generation_seed=settings.generation_seed,
        device=settings.device,
    )
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
