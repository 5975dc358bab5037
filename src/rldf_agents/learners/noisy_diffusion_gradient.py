"""Noisy diffusion gradient: ascent on finite differences of the feedback (the paper's §3.1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import Tensors
from rldf_agents.learners.displacements import Displacements
from rldf_agents.learners.finite_differences import GradientSettings, RewardGrid
from rldf_agents.learners.run_state import RunState
from rldf_agents.learners.saved_file import SavedLearner, read_learner, write_learner
from rldf_agents.learners.space_index import Position, SpaceIndex, offsets
from rldf_agents.protocols import DiscreteValue, Environment, Progress, Transition
from rldf_agents.training import train


@dataclass
class _Walk:
    """What one sub-environment is about to do."""

    path: list[Position] = field(default_factory=list)
    """Where to go next, each one unit from the one before."""
    climbing_from: float | None = None
    """Feedback where the gradient was taken whose path this is; None on other paths."""


class NoisyDiffusionGradient:
    """Probes one unit both ways along every axis and moves along the differences.

    The paper gives one sentence: "By directly computing the gradients (Δf) on these encodings, we
    propose a fast noisy diffusion gradient model to reach the global optima" (§3.1). This is how
    it is read here, with f the feedback for arriving at an encoding v and e_i one unit of axis i:

    - Δf_i = (f(v + e_i) - f(v - e_i)) / 2, and at an end of the axis the one-sided difference. The
      noise is that of the generator: artefacts harm what is read. Nothing is added to it. A
      forward difference alone would take fewer probes, but where every neighbour is worse, as at
      the goal, it leads away along every axis.
    - Probes are ordinary steps, there and back. Feedback once seen is remembered, as that of an
      encoding never changes (the generator's seed is fixed; the paper's Discussion 2).
    - The ascent moves ``stride`` units along the axis with the largest difference and along the
      others in proportion, rounded: largest first, one axis after the other, never over an end.

    Failures are counted, not hidden: ``plateaus``, gradients without a signal (the paper: it
    "often gets stuck in plateaus"; a maximum is one, too), and ``divergences``, ascents that
    ended lower than they began (the paper: "fast divergence under post-goal training
    conditions"). After either it walks ``perturbation`` units at random. With 0, the paper's
    method and no more, it measures a plateau again until the episode ends: on the base world with
    ``multi_semantic``, 80 % of 40 goals with 3 seeds are reached within 2,000 steps; with a walk
    of 1, 2, 4 or 8 units all of them, at a median of about 100 distinct states.

    Which action moves which axis is learned by watching: an action that is not known yet is
    tried, and probing starts anew where it led. A Discrete observation is one axis, the label
    itself. An axis that no action moves by one unit alone has no gradient; without any such axis
    every step is random, and counted as a plateau. A move that leads elsewhere than expected, in
    a stochastic environment, ends what was under way.

    Args:
        observation_space: Discrete or MultiDiscrete; its axes are the encoding.
        action_space: Discrete or MultiDiscrete.
        stride: units to move along the steepest axis, at least 1.
        noise: differences of at most this, in units of reward, are no signal.
        perturbation: units to walk at random after a plateau or a divergence, at least 0.

    Raises:
        AgentError: for other spaces and for settings out of range.
    """

    name: ClassVar[str] = "noisy_diffusion_gradient"

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        stride: int = 1,
        noise: float = 1e-6,
        perturbation: int = 4,
    ) -> None:
        self._settings = GradientSettings(stride, noise, perturbation)
        self.observation_space, self.action_space = observation_space, action_space
        self._observations = SpaceIndex(observation_space, "observation")
        self._actions = SpaceIndex(action_space, "action")
        self._run = RunState(self._observations, self._actions)
        self._displacements = Displacements(self._actions.sizes)
        self._field = RewardGrid(self._observations.sizes)
        self._walks: dict[int, _Walk] = {}
        """By sub-environment."""
        self._plateaus = 0
        self._divergences = 0

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._run.progress

    @property
    def plateaus(self) -> int:
        """How many gradients of the run had no signal."""
        return self._plateaus

    @property
    def divergences(self) -> int:
        """How many ascents of the run ended lower than they began."""
        return self._divergences

    def gradient(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Δf, float64 [n_axes], of the feedback seen so far; 0 where that is not enough."""
        position = self._position(observation)
        axes = range(len(self._field.sizes))
        return np.array([self._field.difference(position, axis) for axis in axes], dtype=np.float64)

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        if self._run.start(seed):
            self._walks.clear()
            self._plateaus = self._divergences = 0

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return the next move of the probe or ascent under way, or begin one."""
        position = self._position(observation)
        walk = self._walks.setdefault(sub_env, _Walk())
        if not walk.path:
            self._plan(position, walk)
        action = self._action_towards(position, walk.path[0]) if walk.path else None
        if action is None:
            walk.path.clear()
            walk.climbing_from = None
            action = self._displacements.untried(position)
        if action is None:
            action = int(self._run.random.integers(self._actions.size))
        return self._actions.label(action)

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Note what the action did and what feedback it got, and count the step.

        Raises:
            AgentError: if the reward is not finite; nothing is learned then.
        """
        reward = float(transition.reward)
        if not math.isfinite(reward):
            raise AgentError(f"the environment gave a reward of {reward}: it is no feedback")
        before = self._position(transition.observation)
        after = self._position(transition.next_observation)
        self._displacements.observe(self._actions.index(transition.action), before, after)
        self._field.seen[after] = reward
        self._advance(self._walks.setdefault(sub_env, _Walk()), after, reward)
        if transition.terminated or transition.truncated:
            del self._walks[sub_env]
        self._run.record(transition, sub_env)

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return the move to the neighbour with the highest feedback seen so far.

        Where several are equal, the first, or without ``deterministic`` any of them; where no
        neighbour was seen, the first action, or without ``deterministic`` a random one.
        """
        position = self._position(observation)
        seen = {
            action: self._field.seen[neighbour]
            for action, neighbour in self._moves(position)
            if neighbour in self._field.seen
        }
        highest = max(seen.values(), default=0.0)
        best = [action for action, feedback in seen.items() if feedback == highest]
        if not best:
            best = list(range(1 if deterministic else self._actions.size))
        drawn = 0 if deterministic else int(self._run.prediction_random.integers(len(best)))
        return self._actions.label(best[drawn]), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write feedback, moves, probes under way and progress to one ``.safetensors`` file."""
        state = {
            "run": self._run.to_json(),
            "plateaus": self._plateaus,
            "divergences": self._divergences,
            "walks": [[sub_env, asdict(walk)] for sub_env, walk in sorted(self._walks.items())],
        }
        tensors: Tensors = {**self._displacements.tensors(), **self._field.tensors()}
        spaces = self._observations.space, self._actions.space
        return write_learner(
            path, SavedLearner(self.name, spaces, vars(self._settings), state, tensors)
        )

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> NoisyDiffusionGradient:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        learner = cls(*saved.spaces, **saved.settings)
        learner._restore(saved)
        return learner

    def _restore(self, saved: SavedLearner) -> None:
        state = saved.state
        self._run.restore(state["run"])
        self._plateaus, self._divergences = state["plateaus"], state["divergences"]
        self._walks = {
            sub_env: _Walk([tuple(place) for place in walk["path"]], walk["climbing_from"])
            for sub_env, walk in state["walks"]
        }
        self._displacements.restore(saved.tensors)
        self._field.restore(saved.tensors)

    def _advance(self, walk: _Walk, position: Position, feedback: float) -> None:
        if not walk.path or position != walk.path[0]:
            walk.path, walk.climbing_from = [], None
            return
        del walk.path[0]
        if not walk.path and walk.climbing_from is not None:
            if feedback < walk.climbing_from - self._settings.noise:
                self._divergences += 1
                walk.path = self._random_walk(position)
            walk.climbing_from = None

    def _plan(self, position: Position, walk: _Walk) -> None:
        """Lay a path: of a probe, an ascent, or off a plateau; none where moves are not known."""
        beside = list(self._field.neighbours(position))
        reachable = [place for _, place in self._moves(position)]
        if len(reachable) < len(beside) and self._displacements.untried(position) is not None:
            return
        unseen = [place for place in reachable if place not in self._field.seen]
        if not unseen and position in self._field.seen:
            walk.path = self._field.ascent(position, reachable, self._settings)
            if walk.path:
                walk.climbing_from = self._field.seen[position]
                return
            self._plateaus += 1
            if self._settings.perturbation:
                walk.path = self._random_walk(position)
                return
            for place in reachable:
                del self._field.seen[place]
        if reachable:
            walk.path = [(unseen or reachable)[0], position]

    def _random_walk(self, position: Position) -> list[Position]:
        path: list[Position] = []
        for _ in range(self._settings.perturbation):
            places = [place for _, place in self._moves(path[-1] if path else position)]
            if places:
                path.append(places[int(self._run.random.integers(len(places)))])
        return path

    def _moves(self, position: Position) -> Iterator[tuple[int, Position]]:
        """Yield action and place of every point one unit away that an action is known to reach."""
        for axis, direction, place in self._field.neighbours(position):
            action = self._displacements.unit(axis, direction)
            if action is not None:
                yield action, place

    def _action_towards(self, position: Position, place: Position) -> int | None:
        moves = self._moves(position)
        return next((action for action, neighbour in moves if neighbour == place), None)

    def _position(self, label: DiscreteValue) -> Position:
        return offsets(self._observations.index(label), self._observations.sizes)
