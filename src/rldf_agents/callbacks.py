"""Callbacks of a training run: the list of all, a progress bar, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rldf_agents.errors import AgentError
from rldf_agents.protocols import (
    Callback,
    Environment,
    Episode,
    Learner,
    ResumableLearner,
    Step,
    progress_of,
)


def requests_stop(answer: bool | None) -> bool:
    """Return whether a callback's answer is False: Python's own, or NumPy's of a comparison."""
    return answer is not None and not answer


class BaseCallback:
    """A callback that does nothing, for those that need some of the events only."""

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Do nothing."""

    def on_step(self, step: Step) -> bool | None:
        """Do nothing."""

    def on_episode_end(self, episode: Episode) -> bool | None:
        """Do nothing."""

    def on_training_end(self) -> None:
        """Do nothing."""


class CallbackList:
    """All callbacks of a run: each is called at every step and episode, any one ends the run.

    Args:
        callbacks: called in this order.

    Attributes:
        callbacks: the same.
        should_continue: whether nothing has ended the run.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = tuple(callbacks)
        self.should_continue = True

    def stop(self) -> None:
        """End the run after the current step."""
        self.should_continue = False

    def on_step(self, step: Step) -> None:
        """Pass a step to all callbacks."""
        for callback in self.callbacks:
            if requests_stop(callback.on_step(step)):
                self.stop()

    def on_episode(self, episode: Episode) -> None:
        """Pass a finished episode to all callbacks."""
        for callback in self.callbacks:
            if requests_stop(callback.on_episode_end(episode)):
                self.stop()


class ProgressBar:
    """Show steps, speed and the return of the last episode on standard error."""

    def __init__(self) -> None:
        self._bar: tqdm[object] | None = None

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Show the bar, at the steps done before a resume."""
        done = progress_of(learner).timesteps
        self._bar = tqdm(total=total_timesteps, initial=done, unit="step")

    def on_step(self, step: Step) -> None:
        """Move the bar by one."""
        if self._bar is not None:
            self._bar.update()

    def on_episode_end(self, episode: Episode) -> None:
        """Show number and return of the episode."""
        if self._bar is not None:
            self._bar.set_postfix(
                {"episode": episode.number + 1, "return": f"{episode.total_reward:.1f}"},
                refresh=False,
            )

    def on_training_end(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


class Checkpoint:
    """Save the learner to one file: every so many steps or episodes, and when the run ends.

    The run also ends on Ctrl-C. Every file is complete: it replaces the one before atomically.
    To resume, load the learner from ``path`` and let it learn with the same seed.

    Args:
        path: of the file; ``.safetensors`` is added when missing.
        every_steps: save after every so many steps of the run, None for never.
        every_episodes: save after every so many episodes of the run, None for never.

    Raises:
        AgentError: if a number is below 1.
    """

    def __init__(
        self, path: str | Path, every_steps: int | None = None, every_episodes: int | None = None
    ) -> None:
        for name, value in (("every_steps", every_steps), ("every_episodes", every_episodes)):
            if value is not None and value < 1:
                raise AgentError(f"{name} is {value}: give a number of at least 1, or None")
        self.path = Path(path)
        self.every_steps = every_steps
        self.every_episodes = every_episodes
        self._learner: ResumableLearner | None = None

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Keep the learner; AgentError if it cannot be saved."""
        if not isinstance(learner, ResumableLearner):
            raise AgentError(
                f"{type(learner).__name__} cannot be saved: give it the methods of "
                "rldf_agents.protocols.ResumableLearner, or train without checkpoints"
            )
        self._learner = learner

    def on_step(self, step: Step) -> None:
        """Save after every ``every_steps`` steps."""
        if self.every_steps is not None and step.timestep % self.every_steps == 0:
            self._save()

    def on_episode_end(self, episode: Episode) -> None:
        """Save after every ``every_episodes`` episodes."""
        if self.every_episodes is not None and (episode.number + 1) % self.every_episodes == 0:
            self._save()

    def on_training_end(self) -> None:
        """Save once more."""
        self._save()

    def _save(self) -> None:
        if self._learner is not None:
            self._learner.save(self.path)
