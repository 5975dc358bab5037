"""Search what a picture means: an agent walks a grammar until it draws the picture's meaning.

with open_search("picture.png", SearchSettings()) as search:
    print(search.goal.prompt)
    result = search.run()
print(result.best[0].prompt)
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym

from rldf_agents.applications.history import (
    SAVE_EVERY,
    History,
    HistoryRecorder,
    StepLog,
    load_history,
)
from rldf_agents.applications.trajectory import Frame, best_visits, significant_visits
from rldf_agents.callbacks import Checkpoint
from rldf_agents.errors import AgentError
from rldf_agents.learners import LEARNERS
from rldf_agents.protocols import Callback, Learner, SingleEnvironment
from rldf_agents.schedules import ConstantEpsilon
from rldf_agents.statistics import RunStatistics, run_statistics
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import Generator
from rldf_gym.goal import Goal, Target
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Perception
from rldf_gym.store import pixels_key

LEARNER_FILE = "learner.safetensors"
HISTORY_FILE = "history.safetensors"


@dataclass(frozen=True)
class SearchSettings:
    """How to search.

    Attributes:
        grammar: a shipped grammar's name, the path of a ``.lark`` file, or a `Grammar`.
        learner: a name in `rldf_agents.LEARNERS`.
        reward: a name in `rldf_gym.rewards.REWARDS`.
        steps: the most steps to take, at least 1.
        seed: of the learner and of where episodes start, at least 0.
        generator: a preset's name or a generator.
        perception: as in ``gym.make("RLDF-v0")``.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one.
        store: a file; "default" for the user's own; None for memory only.
        epsilon: probability of a random action, 0..1; None for the learner's default.
        max_episode_steps: after so many steps an episode starts anew somewhere else.
        keep_learning: take all steps instead of stopping at the first visit to the goal state.

    Raises:
        AgentError: an unknown learner or a number out of range.
    """

    grammar: str | Path | Grammar = "base"
    learner: str = "factored_ucb"
    reward: str = "multi_semantic"
    steps: int = 2000
    seed: int = 0
    generator: str | Generator = "embedded"
    perception: str | Path | Perception = "auto"
    device: str | None = None
    store: str | Path | None = "default"
    epsilon: float | None = None
    max_episode_steps: int = 100
    keep_learning: bool = False

    def __post_init__(self) -> None:
        if self.learner not in LEARNERS:
            raise AgentError(f"unknown learner {self.learner!r}; known: {', '.join(LEARNERS)}")
        for name, least in (("steps", 1), ("seed", 0), ("max_episode_steps", 1)):
            if getattr(self, name) < least:
                raise AgentError(
                    f"{name} is {getattr(self, name)}: give a whole number of at least {least}"
                )
        if self.epsilon is not None:
            if "epsilon" not in inspect.signature(LEARNERS[self.learner]).parameters:
                raise AgentError(f"the learner {self.learner!r} has no epsilon: leave it out")
            ConstantEpsilon(self.epsilon)


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found, with all that a report shows."""

    target: str
    settings: SearchSettings
    grammar: Grammar
    generator: Generator
    goal: Goal
    steps: Sequence[StepLog]
    statistics: RunStatistics
    best: tuple[Frame, ...]
    """Visited states with the highest rewards, the best first."""
    trajectory: tuple[Frame, ...]
    """The best episode at its significant steps."""
    seconds: float

    @property
    def reached(self) -> bool:
        """Whether the goal state was ever visited."""
        return self.statistics.times_reached > 0


class Search:
    """One target in one world, ready to be searched; `open_search` makes it.

    Attributes:
        target: how the user called the picture.
        goal: what was read in it.
        settings: how to search.
    """

    def __init__(self, target: str, env: SingleEnvironment, settings: SearchSettings) -> None:
        self.target = target
        self.settings = settings
        self.goal: Goal = env.get_wrapper_attr("goal")
        self._env = env
        self._world: StateEvaluator = env.get_wrapper_attr("evaluator")
        self._history = History(self._identity())
        self._learner = _new_learner(env, settings)

    def settings_with_models(self) -> SearchSettings:
        """The settings of this search with its generator and perception, for the next target."""
        return replace(
            self.settings, generator=self._world.generator, perception=self._world.perception
        )

    @property
    def grammar(self) -> Grammar:
        """The grammar that is walked."""
        return self._world.grammar

    @property
    def steps(self) -> Sequence[StepLog]:
        """Steps taken so far, those before a resume included."""
        return self._history.steps

    def resume(self, folder: Path) -> None:
        """Go on where the search that wrote into this folder stopped.

        Raises:
            AgentError: a file is missing or damaged, or that was another search; the message says
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
        learner = LEARNERS[self.settings.learner].load(folder / LEARNER_FILE, self._env)
        steps = learner.progress.timesteps
        if steps > len(history.steps):
            raise AgentError(
                f"{folder} cannot be resumed: {LEARNER_FILE} is at step {steps}, {HISTORY_FILE}"
                f" at {len(history.steps)}; start anew"
            )
        del history.steps[steps:]
        self._history, self._learner = history, learner

    def run(self, folder: Path | None = None, callbacks: Sequence[Callback] = ()) -> SearchResult:
        """Search until the goal state is visited, or all steps are taken.

        Args:
            folder: where checkpoints go; None keeps none.
            callbacks: told of every step, after it was recorded.

        Raises:
            KeyboardInterrupt: on Ctrl-C, after the checkpoint.
        """
        if not any(map(self._ends_run, self._history.steps)):
            record = HistoryRecorder(
                self._history,
                self.goal.reading.embedding,
                None if folder is None else folder / HISTORY_FILE,
                self._ends_run,
            )
            # The history is saved first: after a crash between the two files it is the longer.
            saved = [] if folder is None else [Checkpoint(folder / LEARNER_FILE, SAVE_EVERY)]
            listeners: list[Callback] = [record, *saved, *callbacks]
            self._learner.learn(self._env, self.settings.steps, self.settings.seed, listeners)
        return self._result()

    def _ends_run(self, step: StepLog) -> bool:
        return step.at_goal and not self.settings.keep_learning

    def _result(self) -> SearchResult:
        steps = self._history.steps
        goal = tuple(self.goal.state.tolist())
        return SearchResult(
            target=self.target,
            settings=self.settings,
            grammar=self._world.grammar,
            generator=self._world.generator,
            goal=self.goal,
            steps=steps,
            statistics=run_statistics([step.record() for step in steps]),
            best=tuple(Frame.of(self._world, m) for m in best_visits(steps)),
            trajectory=tuple(Frame.of(self._world, m) for m in significant_visits(steps, goal)),
            seconds=self._history.seconds,
        )

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a resumed search to be the same search."""
        settings = self.settings
        return {
            "target": pixels_key(self.goal.picture),
            "grammar": self._world.grammar.fingerprint,
            "generator": self._world.generator.fingerprint,
            "goal": self.goal.prompt,
            "reward": settings.reward,
            "learner": settings.learner,
            "epsilon": settings.epsilon,
            "seed": settings.seed,
            "max_episode_steps": settings.max_episode_steps,
        }


@contextmanager
def open_search(
    target: Target, settings: SearchSettings, name: str = "the target"
) -> Iterator[Search]:
    """Read a target and make everything ready to search for it; draws nothing.

    Args:
        target: a picture file, a Pillow image, or uint8 ``[H, W, 3]``.
        settings: how to search.
        name: how messages and reports call the target.

    Raises:
        RLDFError: a target, name or model that cannot be used; the message says which and why.
        AgentError: a setting that the learner refuses.
    """
    env: SingleEnvironment = gym.make(
        "RLDF-v0",
        disable_env_checker=True,
        max_episode_steps=settings.max_episode_steps,
        grammar=settings.grammar,
        target=target,
        generator=settings.generator,
        perception=settings.perception,
        reward=settings.reward,
        store=settings.store,
        device=settings.device,
    )
    try:
        yield Search(name, env, settings)
    finally:
        env.close()


def search_picture(
    target: Target, settings: SearchSettings | None = None, callbacks: Sequence[Callback] = ()
) -> SearchResult:
    """Read a target and search for it, with no files written; see `open_search`."""
    name = str(target) if isinstance(target, str | Path) else "the target"
    with open_search(target, settings or SearchSettings(), name) as search:
        return search.run(callbacks=callbacks)


def _new_learner(env: SingleEnvironment, settings: SearchSettings) -> Learner:
    make: Any = LEARNERS[settings.learner]
    options = {} if settings.epsilon is None else {"epsilon": settings.epsilon}
    learner: Learner = make(env.observation_space, env.action_space, **options)
    return learner
