"""Listeners of a training run: all of them together, a progress bar, checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from rldf_agents.errors import AgentError
from rldf_agents.interruption import DeferredInterrupt
from rldf_agents.protocols import Callback, Environment, Episode, Learner, Step


def requests_stop(answer: bool | None) -> bool:
    """Return whether a callback's answer is False: Python's own, or NumPy's of a comparison."""
    return answer is not None and not answer


class CallbackList:
    """All callbacks of a run: every one hears of everything, any one ends the run.

    Args:
        callbacks: told in this order.
        interrupt: Ctrl-C ends the run too.
    """

    def __init__(self, callbacks: Sequence[Callback], interrupt: DeferredInterrupt) -> None:
        self.callbacks = tuple(callbacks)
        self._interrupt = interrupt
        self._ended = False

    @property
    def should_continue(self) -> bool:
        """Whether nobody has ended the run."""
        return not (self._ended or self._interrupt.requested)

    def on_step(self, step: Step) -> None:
        """Tell all of a step."""
        for callback in self.callbacks:
            if requests_stop(callback.on_step(step)):
                self._ended = True

    def on_episode(self, episode: Episode) -> None:
        """Tell all of a finished episode."""
        for callback in self.callbacks:
            if requests_stop(callback.on_episode_end(episode)):
                self._ended = True


class ProgressBar:
    """Steps done, speed and the return of the last episode, on standard error."""

    def __init__(self) -> None:
        self._bar: tqdm[object] | None = None

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Draw the bar, at the steps done before a resume."""
        self._bar = tqdm(total=total_timesteps, initial=learner.progress.timesteps, unit="step")

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
        """Leave the last state of the bar standing."""
        if self._bar is not None:
            self._bar.close()


class Checkpoint:
    """Saves the learner to one file: every so many steps or episodes, and when the run ends.

    The run also ends on Ctrl-C. Every file is complete: it replaces the one before in one stroke.
    To resume, load the learner from ``path`` and let it learn with the same seed.

    Args:
        path: where; ``.safetensors`` is added when missing.
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
        self._learner: Learner | None = None

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Remember whom to save."""
        self._learner = learner

    def on_step(self, step: Step) -> None:
        """Save if the number of steps says so."""
        if self.every_steps is not None and step.timestep % self.every_steps == 0:
            self._save()

    def on_episode_end(self, episode: Episode) -> None:
        """Save if the number of episodes says so."""
        if self.every_episodes is not None and (episode.number + 1) % self.every_episodes == 0:
            self._save()

    def on_training_end(self) -> None:
        """Save once more."""
        self._save()

    def _save(self) -> None:
        if self._learner is not None:
            self._learner.save(self.path)
