"""Optimistic search down the vocabulary trees of wide axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import require
from rldf_agents.learners.axis_moves import FAR, AxisMoves, LearnedSteps, supposed_moves
from rldf_agents.learners.best_value_posterior import BestValuePosterior
from rldf_agents.learners.discrete_learner import DiscreteLearner, IndexedStep, register_learner
from rldf_agents.learners.space_index import Position
from rldf_agents.learners.value_trees import ValueTree, bisection, check_trees, tree_distances

_MOST_VALUES = 3_000
"""On one axis: the similarities of all pairs take 72 MB."""

_TIE = 1e-6


@dataclass(frozen=True)
class TreeUCBSettings:
    """How to search.

    Attributes:
        trees: of every axis, its values 0 to n - 1 nested by meaning, such as
            ``((0, 1), (2, (3, 4)))``; None takes halves of halves, as neighbours mean alike.
        confidence: standard deviations of optimism, at least 0.
        misread: probability that an observation is misread, in (0, 1).

    Raises:
        AgentError: for a value out of range.
    """

    trees: tuple[ValueTree, ...] | None = None
    confidence: float = 1.0
    misread: float = 0.1

    def __post_init__(self) -> None:
        holds = 0.0 <= self.confidence < math.inf
        require(holds, "confidence", self.confidence, "a finite number of at least 0")
        require(0.0 < self.misread < 1.0, "misread", self.misread, "a number between 0 and 1")


@register_learner
class TreeUCB(DiscreteLearner):
    """Search axes of hundreds of values for the state with the highest reward, coarse to fine.

    It assumes that the reward falls along each axis with the distance from an unknown best value in
    the tree of its values, as hierarchical optimistic optimisation does (HOO: Bubeck et al. 2011,
    JMLR 12), and that the axes add up. From the rewards follows how likely each value is to be the
    best of its axis (``BestValuePosterior``): whole groups become unlikely together. The next state
    differs on one axis, at the value with the highest upper bound under this posterior (Bayes-UCB:
    Kaufmann et al. 2012), per step where it is more than one away.

    Only new states cost anything (an image to generate). Actions that set an axis to a value
    (action mode "jump") are recognised by their number, those along the trees ("tree") as well;
    single steps ("axis", "joint") are learned. Where nothing of that holds, actions are random.

    Like ``FactoredUCB``, it maximises the reward of one *state*, not the return, and expects
    deterministic outcomes and rewards.

    Args:
        observation_space: Discrete or MultiDiscrete; its components are the axes.
        action_space: Discrete or MultiDiscrete.
        options: the fields of ``TreeUCBSettings``.

    Raises:
        AgentError: for other spaces, too many values on an axis, trees that are not those of the
            axes, and for options that are unknown or out of range.
    """

    name: ClassVar[str] = "tree_ucb"
    settings_type = TreeUCBSettings
    saved_attributes: ClassVar[tuple[str, ...]] = (
        "_rewards",
        "_terminals",
        "_posterior.probabilities",
        "_posterior.n_inferred",
        "_learned.displacements.largest",
        "_learned.displacements.idle_at",
        "_n_contradicted",
        "_plans",
        "_surprised",
    )

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        sizes, settings = self._states.grid.sizes, self.settings
        self._require_size("values on one axis", max(sizes), _MOST_VALUES)
        halves = tuple(bisection(0, size) for size in sizes)
        trees = halves if settings.trees is None else settings.trees
        check_trees(trees, sizes)
        self._posterior = BestValuePosterior(list(map(tree_distances, trees)), settings.misread)
        self._learned = LearnedSteps(sizes, self._actions.grid.sizes)
        self._supposed = supposed_moves(trees, sizes, self._actions.grid.sizes)
        self._n_contradicted = 0
        self._rewards: dict[int, float] = {}
        self._terminals: dict[int, None] = {}

    def best_values(self) -> list[npt.NDArray[np.float64]]:
        """Return how likely each value is to be the best of its axis, float64 [n_values] each."""
        return self._posterior.probabilities

    def forget_episodes(self) -> None:
        """Forget all plans."""
        self._plans: dict[int, tuple[int, int]] = {}
        """By sub-environment: an axis, and the value to go to, until a new state is observed."""
        self._surprised: dict[int, None] = {}
        """Sub-environments whose last action did not do what was expected."""

    @property
    def _moves(self) -> AxisMoves:
        return [*self._supposed, self._learned][self._n_contradicted]

    def _select(self, state: int, sub_env: int) -> int:
        """Return the next action of the plan, or of a new one."""
        position = self._states.grid.position(state)
        if self._surprised.pop(sub_env, 0) is None:
            return int(self._random.integers(self._actions.size))
        untried = self._untried(position)
        if untried is not None:
            return untried
        axis, value = self._plans.get(sub_env, (0, position[0]))
        if position[axis] == value:
            plan = self._plan(position, self.settings.confidence, self._random)
            if plan is None:
                return int(self._random.integers(self._actions.size))
            axis, value = self._plans[sub_env] = plan
        return int(self._moves.ways(axis, position[axis])[1][value])

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        grid = self._states.grid
        before, after = grid.position(step.state), grid.position(step.next_state)
        self._learned.observe(step.action, before, after)
        if not self._moves.observe(step.action, before, after):
            self._n_contradicted += 1
            self._plans.clear()
        axis = self._plans.get(sub_env, (-1,))[0]
        moved = [number for number, old in enumerate(before) if old != after[number]]
        if axis >= 0 and moved != [axis]:
            self._surprised[sub_env] = None
        if step.terminated:
            self._terminals[step.next_state] = None
        if step.next_state not in self._rewards:
            self._rewards[step.next_state] = step.reward
            self._posterior.observe(after, step.reward)
            self._plans.clear()
        if step.terminated or step.truncated:
            self._plans.pop(sub_env, None)
            self._surprised.pop(sub_env, None)

    def _predict(self, state: int, deterministic: bool) -> int:
        """Return the action that training would take, or with ``deterministic`` the best known.

        The latter leads to the values that are expected to be best.
        """
        position, random = self._states.grid.position(state), self._prediction_random
        confidence = 0.0 if deterministic else self.settings.confidence
        plan = self._plan(position, confidence, None if deterministic else random)
        if plan is None:
            return 0 if deterministic else int(random.integers(self._actions.size))
        return int(self._moves.ways(plan[0], position[plan[0]])[1][plan[1]])

    def _restored(self) -> None:
        positions = map(self._states.grid.position, self._rewards)
        self._posterior.restore(list(positions), list(self._rewards.values()))

    def _untried(self, position: Position) -> int | None:
        """Return an action to learn from, if there are values that no known action leads to."""
        untried = self._moves.untried(position)
        if untried is None:
            return None
        ways = (self._moves.ways(axis, value)[0] for axis, value in enumerate(position))
        return untried if any((steps == FAR).any() for steps in ways) else None

    def _plan(
        self, position: Position, confidence: float, random: np.random.Generator | None
    ) -> tuple[int, int] | None:
        """Return axis and value of the most promising way to a new state, None if there is none.

        Without ``random`` it is the way to the best state, new or not, None if this is the best.
        """
        best, plan = -math.inf if random else 0.0, None
        for axis, gains in enumerate(self._posterior.gains(position, confidence)):
            steps = self._moves.ways(axis, position[axis])[0]
            scores = np.where(gains > 0, gains / np.maximum(steps, 1), gains)
            if random:
                scores += _TIE * random.random(scores.size)
            scores[(steps == 0) | (steps == FAR)] = -math.inf
            for value in np.argsort(-scores).tolist():
                if scores[value] <= best:
                    break
                there = self._states.grid.index((*position[:axis], value, *position[axis + 1 :]))
                if random is None or self._is_worth(there):
                    best, plan = float(scores[value]), (axis, value)
                    break
        return plan

    def _is_worth(self, state: int) -> bool:
        """Return whether a state is new, or ends episodes with the highest reward so far."""
        reward = self._rewards.get(state)
        ends = state in self._terminals and reward == max(self._rewards.values())
        return reward is None or ends
