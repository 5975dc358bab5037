"""Search by optimism on a factored model: additive rewards, displacing actions, planning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_agents.learners.action_values import Tensors
from rldf_agents.learners.additive_reward import AdditiveReward
from rldf_agents.learners.explored_graph import ExploredGraph
from rldf_agents.learners.frontier_planning import FrontierPlanner
from rldf_agents.learners.goal_paths import first_step, goal_groups
from rldf_agents.learners.run_state import RunState
from rldf_agents.learners.saved_file import SavedLearner, read_learner, write_learner
from rldf_agents.learners.space_index import SpaceIndex
from rldf_agents.protocols import DiscreteValue, Environment, Progress, Transition
from rldf_agents.training import train

_MOST_VALUES = 5_000
"""The covariance of their effects takes 200 MB."""

_MOST_ACTIONS = 100_000
"""Every one is looked at from every state that is met."""


@dataclass(frozen=True)
class FactoredUCBSettings:
    """How to search.

    Raises:
        AgentError: if a number is out of range.
    """

    confidence: float
    noise: float
    state_cost: float
    step_cost: float

    def __post_init__(self) -> None:
        for name in ("confidence", "state_cost", "step_cost"):
            value = getattr(self, name)
            if not 0.0 <= value < math.inf:
                raise AgentError(f"{name} is {value}: give a finite number of at least 0")
        if not 0.0 < self.noise < math.inf:
            raise AgentError(f"noise is {self.noise}: give a finite number above 0")


class _Plan(NamedTuple):
    """Actions to come in one sub-environment, and where each is to be taken."""

    knowledge: int
    """How much was known when it was made: it holds as long as nothing is learned."""
    state: int
    actions: list[int]


class _Event(NamedTuple):
    """Something that was new; all that was learned follows from the events in their order."""

    state: int
    action: int
    """-1 if an episode began in the state."""
    next_state: int
    terminated: bool
    reward: float


class FactoredUCB:
    """Looks for the state that pays most, by as few new states as it can.

    A visit to a new state is what costs (a picture to draw); to go back through known ones is free.
    Three models of small parts of the world, each optimistic about what it does not know, decide
    where to go (optimism in factored MDPs: Osband & Van Roy 2014):

    - *What states pay*: the sum of an effect of every axis, by Bayesian linear regression, each
      effect taken at an upper confidence bound (LinUCB: Li et al. 2010), see ``AdditiveReward``.
    - *What actions do*: they displace the state along axes. A few tries tell which way, wherever
      the components of actions are regular; else what each action did, see ``ActionEffects``.
    - *What was seen*: outcomes and rewards of states, which count more than either prediction.

    Whenever it has learned something it chooses anew the state, among those not yet looked at,
    with the highest bound less the cost of the new states on the way, and goes to the first of
    them (``FrontierPlanner``). A terminal state is returned to where it pays more than any other
    promises. Moves along one axis at a time make it search axis by axis, as far as rewards do add
    up; where they do not, it looks at all states, nearest first.

    It is after the best *state*, not the largest sum of rewards: feedback that is positive at every
    step does not tempt it to stay beside the goal. Where reward is to be collected on the way, take
    another learner. Dynamics and rewards are taken to be deterministic; where they are not, the
    last outcome and the first reward stand, without averaging: nothing breaks, nothing converges.
    Under deterministic ones it tries all that can be reached until nothing promises more.

    Distinct states visited until the goal, starting states included, ``multi_semantic`` feedback of
    the stored worlds (mean, median, 95th percentile, worst; 150 random goals): 11.8, 12, 18, 27 on
    the base world of 480 states; 14.6, 14, 23, 29 on the extended one of 4,320; 47, 42, 90, 110
    among 10^6 states of which 11 % are misread. To try the values of one axis after the other, each
    once, takes 11.6 on average on the base world. What the choices are
    worth, on 100 other goals, means for base, extended, 10^6:

    - the defaults: 12.7, 15.2, 47
    - without the belief that two directions are opposite: 13.6, 16.8, 44; without it moreover
    - with ``confidence`` 0: 17.0, 21.3, 70; with 1: 14.0, 18.4, 53
    - with ``noise`` 0.03: 13.6, 16.8, 47; with 0.3: 14.0, 17.9, 44
    - with means below an axis's median left as they are: 13.6, 16.8, 45, and in the worst case
      29, 35, 251 for 25, 29, 121
    - posterior sampling (Thompson) in place of bounds, moves given, over 60 goals: 18 and 22 for
      12 and 15 with bounds, on base and extended

    Args:
        observation_space: Discrete or MultiDiscrete; its components are the axes.
        action_space: Discrete or MultiDiscrete.
        confidence: standard deviations of optimism, at least 0.
        noise: variance of the reward around an additive one, in units of the prior variance of
            the effect of one axis, above 0.
        state_cost: what a new state on the way costs, in standard deviations of the reward.
        step_cost: what a step through known states costs, in the same unit.

    Raises:
        AgentError: for other spaces and for settings out of range.
    """

    name: ClassVar[str] = "factored_ucb"

    def __init__(
        self,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        *,
        confidence: float = 0.5,
        noise: float = 0.1,
        state_cost: float = 0.05,
        step_cost: float = 0.005,
    ) -> None:
        self._settings = FactoredUCBSettings(confidence, noise, state_cost, step_cost)
        self.observation_space, self.action_space = observation_space, action_space
        self._observations = SpaceIndex(observation_space, "observation")
        self._actions = SpaceIndex(action_space, "action")
        self._run = RunState(self._observations, self._actions)
        sizes = self._observations.sizes
        _require_size("values on the axes of its observations", sum(sizes), _MOST_VALUES)
        _require_size("actions", self._actions.size, _MOST_ACTIONS)
        self._graph = ExploredGraph(sizes, self._actions.sizes)
        self._model = AdditiveReward(sizes, noise)
        self._planner = FrontierPlanner(confidence, state_cost, step_cost)
        self._events: list[_Event] = []
        self._plans: dict[int, _Plan] = {}
        """By sub-environment."""

    @property
    def progress(self) -> Progress:
        """Seed and counters of the run."""
        return self._run.progress

    def effects(self) -> list[npt.NDArray[np.float64]]:
        """Return the expected effect of every value of every axis on the reward.

        One float64 [n_values] for each axis, in units of reward.
        """
        return self._model.effects()

    def start_run(self, seed: int | None) -> None:
        """Begin the run of this seed, or go on with the one under way."""
        if self._run.start(seed):
            self._plans.clear()

    def select_action(self, observation: DiscreteValue, sub_env: int = 0) -> DiscreteValue:
        """Return the next action on the way to the most promising state."""
        state = self._observations.index(observation)
        if state not in self._graph:
            self._learn(_Event(state, -1, state, False, math.nan))
        plan = self._plans.get(sub_env)
        if plan is None or plan.knowledge != len(self._events) or plan.state != state:
            actions = self._planner.plan(self._graph, self._model, state, self._run.random)
            plan = self._plans[sub_env] = _Plan(len(self._events), state, actions)
        return self._actions.label(plan.actions[0])

    def update(self, transition: Transition, sub_env: int = 0) -> None:
        """Learn from one step and count it.

        Raises:
            AgentError: if the reward is not finite; nothing is learned then.
        """
        reward = float(transition.reward)
        if not math.isfinite(reward):
            raise AgentError(f"the environment gave a reward of {reward}: nothing is learned of it")
        state = self._observations.index(transition.observation)
        action = self._actions.index(transition.action)
        next_state = self._observations.index(transition.next_observation)
        event = _Event(state, action, next_state, bool(transition.terminated), reward)
        plan = self._plans.pop(sub_env, None)
        if self._is_new(event):
            self._learn(event)
        elif plan is not None and plan.state == state and plan.actions[1:]:
            self._plans[sub_env] = _Plan(plan.knowledge, next_state, plan.actions[1:])
        if transition.terminated or transition.truncated:
            self._plans.pop(sub_env, None)
        self._run.record(transition, sub_env)

    def predict(
        self, observation: DiscreteValue, deterministic: bool = False
    ) -> tuple[DiscreteValue, None]:
        """Return the action that training would take now, or with ``deterministic`` the best known.

        The latter leads by the shortest way known or predicted to the terminal state that paid
        most, or, where none is worth ending in, to the state that paid most.
        """
        state = self._observations.index(observation)
        if not deterministic:
            random = self._run.prediction_random
            return self._actions.label(
                self._planner.plan(self._graph, self._model, state, random)[0]
            ), None
        ways = (first_step(self._graph, state, goals) for goals in goal_groups(self._graph))
        return self._actions.label(next((way for way in ways if way is not None), 0)), None

    learn = train

    def save(self, path: str | Path) -> Path:
        """Write settings, all that was new, plans and progress to one ``.safetensors`` file."""
        plans = {
            str(sub_env): [plan.state, plan.actions]
            for sub_env, plan in sorted(self._plans.items())
            if plan.knowledge == len(self._events)
        }
        state = {"run": self._run.to_json(), "plans": plans}
        steps = np.array([event[:4] for event in self._events], dtype=np.int64).reshape(-1, 4)
        rewards = np.array([event.reward for event in self._events], dtype=np.float64)
        spaces = self._observations.space, self._actions.space
        tensors: Tensors = {"events": steps, "rewards": rewards}
        return write_learner(
            path, SavedLearner(self.name, spaces, vars(self._settings), state, tensors)
        )

    @classmethod
    def load(cls, path: str | Path, env: Environment | None = None) -> FactoredUCB:
        """Read a saved learner; with ``env``, refuse one that was made for other spaces.

        Raises:
            AgentError: if the file is missing, damaged or of another learner, or spaces differ.
        """
        saved = read_learner(path, cls.name, env)
        learner = cls(*saved.spaces, **saved.settings)
        learner._run.restore(saved.state["run"])
        rows = zip(saved.tensors["events"].tolist(), saved.tensors["rewards"].tolist(), strict=True)
        for (state, action, next_state, terminated), reward in rows:
            learner._learn(_Event(state, action, next_state, bool(terminated), reward))
        learner._plans = {
            int(sub_env): _Plan(len(learner._events), state, actions)
            for sub_env, (state, actions) in saved.state["plans"].items()
        }
        return learner

    def _is_new(self, event: _Event) -> bool:
        graph = self._graph
        return (
            graph.outcomes.get((event.state, event.action)) != event.next_state
            or event.next_state not in graph.rewards
            or (event.terminated and event.next_state not in graph.terminals)
        )

    def _learn(self, event: _Event) -> None:
        self._events.append(event)
        graph = self._graph
        if event.action < 0:
            graph.meet(event.state)
            return
        graph.record((event.state, event.action), event.next_state, event.terminated)
        if event.next_state not in graph.rewards:
            graph.rewards[event.next_state] = event.reward
            self._model.observe(graph.position(event.next_state), event.reward)


def _require_size(what: str, size: int, most: int) -> None:
    if size > most:
        raise AgentError(f"factored_ucb takes at most {most} {what}, here are {size}")
