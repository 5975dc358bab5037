"""Every step of a search as one row, kept on disk beside the learner so that it can go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from rldf_agents.errors import AgentError
from rldf_agents.protocols import Environment, Episode, Learner, Step
from rldf_agents.statistics import StepRecord
from rldf_gym.atomic_file import write_atomically

_KEY = "rldf_search"
_VERSION = 1
SAVE_EVERY = 100
"""Steps between two checkpoints: with a slow generator, minutes of work."""


class StepLog(NamedTuple):
    """One step of a search, and what was seen where it arrived."""

    episode: int
    origin: tuple[int, ...]
    """State before the step, one label for each axis."""
    state: tuple[int, ...]
    """State after it."""
    reward: float
    distance: int
    """L1 distance from ``state`` to the goal state."""
    similarity: float
    """Cosine of the CLIP embeddings of this picture and the target, -1..1."""
    fine: int
    coarse: int
    at_goal: bool
    generations: int
    """Pictures drawn by this search so far."""
    states_seen: int
    """Distinct states this search has visited so far."""

    def record(self) -> StepRecord:
        """What Table 3 needs of this step."""
        return StepRecord(
            self.episode,
            self.distance,
            self.fine,
            self.coarse,
            self.at_goal,
            self.generations,
            self.states_seen,
        )


@dataclass
class History:
    """What a search was told to do (``identity``), its steps, and the seconds they took."""

    identity: dict[str, Any]
    steps: list[StepLog] = field(default_factory=list)
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Write the file in one stroke: there is the old one or the new one, never half of one."""
        columns = zip(*self.steps, strict=True)
        arrays = {name: np.array(c) for name, c in zip(StepLog._fields, columns, strict=False)}
        header = {"version": _VERSION, "identity": self.identity, "seconds": self.seconds}
        content = safetensors.numpy.save(arrays, metadata={_KEY: json.dumps(header)})
        write_atomically(path, content)


def load_history(path: Path) -> History:
    """Read what ``History.save`` wrote.

    Raises:
        AgentError: the file is missing, damaged or no history of a search.
    """
    if not path.is_file():
        raise AgentError(f"there is no search to resume in {path.parent}: {path.name} is missing")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})[_KEY])
            names = file.keys()
            columns = {name: file.get_tensor(name).tolist() for name in names}
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise AgentError(f"{path} is damaged or is no history of a search: {error}") from error
    if header["version"] != _VERSION:
        raise AgentError(f"{path} has format {header['version']}, this version reads {_VERSION}")
    rows = zip(*(columns.get(name, ()) for name in StepLog._fields), strict=True)
    steps = [_step_log(dict(zip(StepLog._fields, row, strict=True))) for row in rows]
    return History(header["identity"], steps, header["seconds"])


def _step_log(row: Mapping[str, Any]) -> StepLog:
    states = {name: tuple(row[name]) for name in ("origin", "state")}
    return StepLog(**{**row, **states})


class HistoryRecorder:
    """A callback that adds every step to a history, saves it, and may end the run.

    Pictures and states that a resumed search had drawn and seen before are counted on top: the
    environment itself starts to count anew.

    Args:
        history: to add to.
        goal_embedding: float32 ``[d]``, unit CLIP embedding of the target.
        path: file to save to every `SAVE_EVERY` steps and when the run ends; None saves nothing.
        last: whether a step is the last one of the run.
    """

    def __init__(
        self,
        history: History,
        goal_embedding: npt.NDArray[np.float32],
        path: Path | None,
        last: Callable[[StepLog], bool],
    ) -> None:
        self._history = history
        self._goal_embedding = goal_embedding
        self._path = path
        self._last = last
        steps = history.steps
        self._drawn_before = steps[-1].generations if steps else 0
        self._seen = {state for m in steps for state in (m.origin, m.state)}
        self._seconds_before = history.seconds
        self._started = time.monotonic()

    def on_training_start(self, learner: Learner, env: Environment, total_timesteps: int) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_step(self, step: Step) -> bool:
        """Add the step; False after the last one."""
        log = self._step_log(step)
        self._history.steps.append(log)
        self._history.seconds = self._seconds_before + time.monotonic() - self._started
        if step.timestep % SAVE_EVERY == 0:
            self._save()
        return not self._last(log)

    def on_episode_end(self, episode: Episode) -> None:
        """Nothing ends with an episode here."""

    def on_training_end(self) -> None:
        """Save once more."""
        self._save()

    def _step_log(self, step: Step) -> StepLog:
        transition, info = step.transition, step.info
        origin, state = (
            tuple(np.asarray(labels).tolist())
            for labels in (transition.observation, transition.next_observation)
        )
        self._seen.update((origin, state))
        return StepLog(
            episode=step.episode,
            origin=origin,
            state=state,
            reward=transition.reward,
            distance=info["distance"],
            similarity=float(info["embedding"] @ self._goal_embedding),
            fine=info["fine"],
            coarse=info["coarse"],
            at_goal=info["at_goal"],
            generations=self._drawn_before + info["generations"],
            states_seen=len(self._seen),
        )

    def _save(self) -> None:
        if self._path is not None:
            self._history.save(self._path)
