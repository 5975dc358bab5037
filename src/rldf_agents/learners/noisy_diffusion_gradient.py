"""Noisy diffusion gradient: ascent on finite differences of the feedback (the paper's §3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rldf_agents.learners.discrete_learner import DiscreteLearner, IndexedStep, register_learner
from rldf_agents.learners.displacements import Displacements
from rldf_agents.learners.finite_differences import GradientSettings, RewardGrid
from rldf_agents.learners.space_index import Position
from rldf_agents.protocols import DiscreteValue


@register_learner
class NoisyDiffusionGradient(DiscreteLearner):
    """Measure finite differences of the reward along every axis and ascend.

    The paper gives one sentence: "By directly computing the gradients (Δf) on these encodings, we
    propose a fast noisy diffusion gradient model to reach the global optima" (§3.1). This
    implementation takes f to be the reward for arriving at an encoding v, e_i one unit of axis i:

    - Δf_i = (f(v + e_i) - f(v - e_i)) / 2, at an end of the axis the one-sided difference. The
      noise is the generator's own: artefacts cause misreadings. A forward difference would take
      fewer probes, but at the goal, where every neighbour is worse, it leads away on every axis.
    - Probes are ordinary steps, there and back. Rewards are remembered: that of an encoding is
      constant (fixed generation seed; the paper's Discussion 2).
    - An ascent moves ``stride`` units along the axis with the largest difference and along others
      in proportion, rounded: largest first, one axis after the other, within the grid.

    ``plateaus`` counts gradients without a signal (the paper: it "often gets stuck in plateaus"),
    maxima included. ``divergences`` counts ascents that end lower than they began (the paper:
    "fast divergence under post-goal training conditions"). After either follows a random walk of
    ``perturbation`` units. With 0, the paper's method, a plateau is measured again until the
    episode ends (measured: ``docs/learners.md``).

    It learns from its steps which action moves which axis: it tries unknown actions and then
    probes from the new position. A Discrete observation is one axis. An axis that no action moves
    by one unit alone has no gradient; without any such axis every step is random and counts as a
    plateau. A move with an unexpected outcome (a stochastic environment) ends the current path.

    Args:
        observation_space: Discrete or MultiDiscrete; its axes are the encoding.
        action_space: Discrete or MultiDiscrete.
        options: the fields of ``GradientSettings``.

    Attributes:
        plateaus: number of gradients of the run without a signal.
        divergences: number of ascents of the run that ended lower than they began.

    Raises:
        AgentError: for other spaces and for options that are unknown or out of range.
    """

    name: ClassVar[str] = "noisy_diffusion_gradient"
    settings_type = GradientSettings
    saved_attributes: ClassVar[tuple[str, ...]] = (
        "plateaus",
        "divergences",
        "_displacements.largest",
        "_displacements.idle_at",
        "_rewards.seen",
        "_paths",
        "_climbs",
    )

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        self._displacements = Displacements(self._actions.grid.sizes)
        self._rewards = RewardGrid(self._states.grid.sizes)
        self.plateaus = self.divergences = 0

    def gradient(self, observation: DiscreteValue) -> npt.NDArray[np.float64]:
        """Return Δf, float64 [n_axes], of the rewards so far; 0 where too few are known."""
        position = self._states.grid.position(self._states.index(observation))
        axes = range(len(position))
        return np.array([self._rewards.difference(position, axis) for axis in axes], np.float64)

    def start_run(self, seed: int | None) -> None:
        """Start the run of this seed; with the seed of the current run, or None, continue it."""
        before = self.progress
        super().start_run(seed)
        if self.progress is not before:
            self.plateaus = self.divergences = 0

    def forget_episodes(self) -> None:
        """Forget the current paths."""
        self._paths: dict[int, list[Position]] = {}
        """By sub-environment: the next positions, each one unit from the one before."""
        self._climbs: dict[int, float] = {}
        """By sub-environment whose path is an ascent: the reward where it started."""

    def _select(self, state: int, sub_env: int) -> int:
        """Return the next move of the current path, or begin one."""
        position = self._states.grid.position(state)
        if not self._paths.get(sub_env):
            self._paths[sub_env] = self._plan(position, sub_env)
        path = self._paths[sub_env]
        action = self._action_towards(position, path[0]) if path else None
        if action is None:
            self._forget_path(sub_env)
            action = self._displacements.untried(position)
        if action is None:
            action = int(self._random.integers(self._actions.size))
        return action

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        """Record the displacement and the reward."""
        before = self._states.grid.position(step.state)
        after = self._states.grid.position(step.next_state)
        self._displacements.observe(step.action, before, after)
        self._rewards.seen[after] = step.reward
        self._advance(sub_env, after, step.reward)
        if step.terminated or step.truncated:
            self._forget_path(sub_env)

    def _predict(self, state: int, deterministic: bool) -> int:
        """Return the move to the neighbour with the highest reward so far.

        Where several are equal, the first, or without ``deterministic`` any of them; where no
        neighbour was visited, the first action, or without ``deterministic`` a random one.
        """
        seen = {
            action: self._rewards.seen[neighbour]
            for action, neighbour in self._moves(self._states.grid.position(state))
            if neighbour in self._rewards.seen
        }
        highest = max(seen.values(), default=0.0)
        best = [action for action, reward in seen.items() if reward == highest]
        if not best:
            best = list(range(1 if deterministic else self._actions.size))
        return best[0 if deterministic else int(self._prediction_random.integers(len(best)))]

    def _forget_path(self, sub_env: int) -> None:
        self._paths.pop(sub_env, None)
        self._climbs.pop(sub_env, None)

    def _advance(self, sub_env: int, position: Position, reward: float) -> None:
        path = self._paths.get(sub_env)
        if not path or position != path[0]:
            self._forget_path(sub_env)
            return
        del path[0]
        if path or sub_env not in self._climbs:
            return
        if reward < self._climbs.pop(sub_env) - self.settings.noise:
            self.divergences += 1
            self._paths[sub_env] = self._random_walk(position)

    def _plan(self, position: Position, sub_env: int) -> list[Position]:
        """Return a probe, an ascent or a random walk; nothing where moves are unknown."""
        beside = list(self._rewards.neighbours(position))
        reachable = [place for _, place in self._moves(position)]
        if len(reachable) < len(beside) and self._displacements.untried(position) is not None:
            return []
        unseen = [place for place in reachable if place not in self._rewards.seen]
        if not unseen and position in self._rewards.seen:
            path = self._rewards.ascent(position, reachable, self.settings)
            if path:
                self._climbs[sub_env] = self._rewards.seen[position]
                return path
            self.plateaus += 1
            if self.settings.perturbation:
                return self._random_walk(position)
            for place in reachable:
                del self._rewards.seen[place]
        return [(unseen or reachable)[0], position] if reachable else []

    def _random_walk(self, position: Position) -> list[Position]:
        path: list[Position] = []
        for _ in range(self.settings.perturbation):
            places = [place for _, place in self._moves(path[-1] if path else position)]
            if places:
                path.append(places[int(self._random.integers(len(places)))])
        return path

    def _moves(self, position: Position) -> Iterator[tuple[int, Position]]:
        """Yield action and position of every neighbour that a known action reaches."""
        for axis, direction, place in self._rewards.neighbours(position):
            action = self._displacements.unit(axis, direction)
            if action is not None:
                yield action, place

    def _action_towards(self, position: Position, place: Position) -> int | None:
        moves = self._moves(position)
        return next((action for action, neighbour in moves if neighbour == place), None)
