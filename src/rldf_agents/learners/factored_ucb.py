"""Optimistic search on a factored model of rewards and actions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import require
from rldf_agents.learners.additive_reward import AdditiveReward
from rldf_agents.learners.discrete_learner import DiscreteLearner, IndexedStep, register_learner
from rldf_agents.learners.explored_graph import ExploredGraph
from rldf_agents.learners.frontier_planning import FrontierPlanner
from rldf_agents.learners.goal_paths import first_step, goal_groups

_MOST_VALUES = 5_000
"""The covariance of their effects takes 200 MB."""

_MOST_ACTIONS = 100_000
"""Each is evaluated in every visited state."""


@dataclass(frozen=True)
class FactoredUCBSettings:
    """How to search.

    Attributes:
        confidence: standard deviations of optimism, at least 0.
        noise: variance of the reward around an additive one, in units of the prior variance of
            the effect of one axis, above 0.
        state_cost: cost of a new state on the way, in standard deviations of the reward.
        step_cost: cost of a step through known states, in the same unit.

    Raises:
        AgentError: for a value out of range.
    """

    confidence: float = 0.5
    noise: float = 0.1
    state_cost: float = 0.05
    step_cost: float = 0.005

    def __post_init__(self) -> None:
        for name in ("confidence", "state_cost", "step_cost"):
            value = getattr(self, name)
            require(0.0 <= value < math.inf, name, value, "a finite number of at least 0")
        require(0.0 < self.noise < math.inf, "noise", self.noise, "a finite number above 0")


class _Event(NamedTuple):
    """A step with new information; replaying all events in order restores the learner."""

    state: int
    action: int
    """-1 if an episode began in the state."""
    next_state: int
    terminated: bool
    reward: float


@register_learner
class FactoredUCB(DiscreteLearner):
    """Search for the state with the highest reward, with as few new states as possible.

    Only new states cost anything (an image to generate); returning through visited ones is free.
    Three models, optimistic where they lack data, decide where to go (optimism in factored MDPs:
    Osband & Van Roy 2014):

    - *Rewards* are a sum of one effect per axis, estimated by Bayesian linear regression with an
      upper confidence bound for each effect (LinUCB: Li et al. 2010); see ``AdditiveReward``.
    - *Actions* displace the state along axes. A few steps show how, where the components of
      actions are regular; otherwise each action is learned alone; see ``ActionEffects``.
    - *Observed* outcomes and rewards take precedence over both predictions.

    After each new observation it selects the unvisited state with the highest bound minus the cost
    of the new states on the way, and goes to the first of these (``FrontierPlanner``). It returns
    to a terminal state whose reward exceeds every bound. Where rewards are additive and actions
    move along one axis, the search proceeds axis by axis; elsewhere it visits all states, nearest
    first.

    It maximises the reward of one *state*, not the return: positive rewards beside the goal do not
    keep it there. To collect reward along the way, use another learner. Dynamics and rewards are
    assumed deterministic: then it visits every reachable state until no bound is higher. Otherwise
    it keeps the last outcome and the first reward without averaging, and does not converge.

    Variants and what each takes are in ``docs/learners.md``.

    Args:
        observation_space: Discrete or MultiDiscrete; its components are the axes.
        action_space: Discrete or MultiDiscrete.
        options: the fields of ``FactoredUCBSettings``.

    Raises:
        AgentError: for other spaces, too many values or actions, and for options that are unknown
            or out of range.
    """

    name: ClassVar[str] = "factored_ucb"
    settings_type = FactoredUCBSettings
    saved_attributes: ClassVar[tuple[str, ...]] = ("_events", "_plans")

    def __init__(self, *spaces: Any, **options: Any) -> None:
        super().__init__(*spaces, **options)
        sizes, settings = self._states.grid.sizes, self.settings
        self._require_size("values on all axes together", sum(sizes), _MOST_VALUES)
        self._require_size("actions", self._actions.size, _MOST_ACTIONS)
        self._graph = ExploredGraph(sizes, self._actions.grid.sizes)
        self._model = AdditiveReward(sizes, settings.noise)
        self._planner = FrontierPlanner(
            settings.confidence, settings.state_cost, settings.step_cost
        )
        self._events: list[_Event] = []

    def effects(self) -> list[npt.NDArray[np.float64]]:
        """Return the expected effect of every value of every axis on the reward.

        One float64 [n_values] for each axis, in units of reward.
        """
        return self._model.effects()

    def forget_episodes(self) -> None:
        """Forget all plans."""
        self._plans: dict[int, tuple[int, list[int]]] = {}
        """By sub-environment: the next actions, and the state where the first is taken.

        A plan is valid until the next event."""

    def _select(self, state: int, sub_env: int) -> int:
        """Return the next action of the plan."""
        if state not in self._graph:
            self._learn_event(_Event(state, -1, state, False, math.nan))
        planned_in, actions = self._plans.get(sub_env, (-1, []))
        if planned_in != state:
            actions = self._planner.plan(self._graph, self._model, state, self._random)
            self._plans[sub_env] = state, actions
        return actions[0]

    def _learn(self, step: IndexedStep, sub_env: int) -> None:
        event = _Event(step.state, step.action, step.next_state, bool(step.terminated), step.reward)
        state, actions = self._plans.pop(sub_env, (-1, []))
        if self._is_new(event):
            self._learn_event(event)
        elif state == step.state and actions[1:] and not (step.terminated or step.truncated):
            self._plans[sub_env] = step.next_state, actions[1:]

    def _predict(self, state: int, deterministic: bool) -> int:
        """Return the action that training would take, or with ``deterministic`` the best known.

        The latter follows the shortest known or predicted path to the terminal state with the
        highest reward or, if none has at least the average, to the state with the highest reward.
        """
        if not deterministic:
            random = self._prediction_random
            return self._planner.plan(self._graph, self._model, state, random)[0]
        ways = (first_step(self._graph, state, goals) for goals in goal_groups(self._graph))
        return next((way for way in ways if way is not None), 0)

    def _restored(self) -> None:
        events, plans = self._events, self._plans
        self._events, self._plans = [], {}
        for event in events:
            self._learn_event(_Event(*event))
        self._plans = plans

    def _is_new(self, event: _Event) -> bool:
        graph = self._graph
        return (
            graph.outcomes.get((event.state, event.action)) != event.next_state
            or event.next_state not in graph.rewards
            or (event.terminated and event.next_state not in graph.terminals)
        )

    def _learn_event(self, event: _Event) -> None:
        self._events.append(event)
        self._plans.clear()
        graph = self._graph
        if event.action < 0:
            graph.meet(event.state)
            return
        graph.record((event.state, event.action), event.next_state, event.terminated)
        if event.next_state not in graph.rewards:
            graph.rewards[event.next_state] = event.reward
            self._model.observe(graph.position(event.next_state), event.reward)
