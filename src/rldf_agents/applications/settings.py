"""Everything that a user can choose about a search, checked in one place."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rldf_agents.errors import AgentError
from rldf_agents.learners import LEARNERS
from rldf_agents.protocols import SingleEnvironment
from rldf_agents.schedules import ConstantEpsilon
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import Generator
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Perception
from rldf_gym.registry import resolve
from rldf_gym.rewards import Reward, resolve_reward

AUTO_GRAMMAR = "auto"
_MATCH, _GOAL_STATE = "match", "goal_state"
STOP_AT = (_MATCH, _GOAL_STATE)

RANDOM, READING = "random", "reading"
"""Values of ``start`` that are no prompt."""

AFTER_GOAL_BUDGET = 100
"""Pictures that ``after_goal`` ends at where no budget was given."""

_LEAST = {
    "steps": 1,
    "seed": 0,
    "generation_seed": 0,
    "max_episode_steps": 1,
    "more_seeds": 0,
    "variations": 0,
}
"""The integers among the settings, and the least value of each."""


@dataclass(frozen=True)
class SearchSettings:
    """How to search.

    Every choice with a name also takes ``"package.module:object"`` or the object itself.

    Attributes:
        grammar: a shipped grammar's name, the path of a ``.lark`` file, or a `Grammar`; "auto"
            makes a small one for each target, see `rldf_gym.suggestion`.
        learner: a name in `rldf_agents.LEARNERS`, or a class: it is called with the observation
            and the action space and has ``select_action`` and ``update``, or a ``learn`` of its
            own; what else it may offer is in `rldf_agents.protocols`.
        reward: a name in `rldf_gym.rewards.REWARDS`, or a reward function.
        action_mode: "axis", "joint", "jump" or "tree", as in ``gym.make("RLDF-v0")``.
        steps: the most steps to take, at least 1.
        seed: of the learner and of the states where episodes start, at least 0.
        generator: a preset's name or a generator.
        generation_seed: of every image, at least 0.
        perception: as in ``gym.make("RLDF-v0")``.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one.
        store: a file; "default" for the user's own; None for memory only.
        epsilon: probability of a random action, 0 to 1; None for the learner's default.
        max_episode_steps: after this many steps a new episode starts at a random state.
        stop_at: what counts as found. "match": an image that reads as the target on every axis.
            "goal_state": a visit to the state that the target was read as (the paper's terminal
            state), whatever its image shows.
        more_seeds: if the goal state's image does not match, the number of further seeds to try
            for that state, before the states around it.
        unrecognised_penalty: subtracted from the reward of an image in which nothing is
            recognised (paper, Discussion 8); 0 for none.
        keep_learning: take all steps instead of stopping when the search succeeds.
        start: where episodes start. "random": at random states. "reading": the state that was read
            in the target is verified first, then further seeds of it and the states around it; the
            agent walks from there if none matches. A prompt: its state is verified first, and the
            agent walks from there.
        budget: the most distinct pictures to look at, whether generated or found in the store, in
            the search and for its variations; at least 1, None for no limit.
        variations: how many further pictures of the found prompt to make, each verified.
        vary: names of further axes, such as "weather", whose values vary among the variations; see
            `rldf_agents.applications.attributes`. Verified is what the search's own grammar says.
        vary_in: the grammar that has these axes; None for the smallest shipped one that says all
            that the search's grammar says.
        after_goal: collect matching pictures until the budget ends (paper, Fig. 10), with
            `AFTER_GOAL_BUDGET` where there is none, instead of ``variations`` of them.

    Raises:
        AgentError: a value of the wrong type or out of range.
        RLDFError: an unknown learner or reward.
    """

    grammar: str | Path | Grammar = "base"
    learner: str | type[Any] = "factored_ucb"
    reward: Reward = "multi_semantic"
    action_mode: str = "axis"
    steps: int = 2000
    seed: int = 0
    generator: str | Generator = "embedded"
    generation_seed: int = 0
    perception: str | Path | Perception = "auto"
    device: str | None = None
    store: str | Path | None = "default"
    epsilon: float | None = None
    max_episode_steps: int = 100
    stop_at: str = _MATCH
    more_seeds: int = 12
    unrecognised_penalty: float = 0.0
    keep_learning: bool = False
    start: str = RANDOM
    budget: int | None = None
    variations: int = 0
    after_goal: bool = False
    vary: Sequence[str] | None = None
    vary_in: str | Path | Grammar | None = None

    def __post_init__(self) -> None:
        for name, least in {**_LEAST, **({} if self.budget is None else {"budget": 1})}.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise AgentError(f"{name} is {value!r}: give a whole number of at least {least}")
        if self.stop_at not in STOP_AT:
            raise AgentError(f"unknown stop_at {self.stop_at!r}; known: {', '.join(STOP_AT)}")
        if self.vary_in is not None and not self.vary:
            raise AgentError("vary_in names a grammar: name its axes that vary with vary as well")
        penalty = self.unrecognised_penalty
        if not isinstance(penalty, int | float) or not 0 <= penalty < float("inf"):
            raise AgentError(f"unrecognised_penalty is {penalty!r}: give a number of at least 0")
        resolve_reward(self.reward)
        learner = self.learner_type
        if self.epsilon is not None:
            if "epsilon" not in inspect.signature(learner).parameters:
                raise AgentError(f"the learner {self.learner_name!r} has no epsilon: leave it out")
            ConstantEpsilon(self.epsilon)

    @property
    def learner_type(self) -> Any:
        """The learner's class."""
        found = (
            resolve("learner", self.learner, LEARNERS)
            if isinstance(self.learner, str)
            else self.learner
        )
        if not (hasattr(found, "learn") or hasattr(found, "select_action")):
            raise AgentError(
                f"the learner {self.learner_name!r} has neither learn(env, total_timesteps, seed,"
                " callbacks) nor select_action(observation) and update(transition)"
            )
        return found

    @property
    def learner_name(self) -> str:
        """What messages and files call the learner."""
        return display_name(self.learner)

    @property
    def reward_name(self) -> str:
        """What messages and files call the reward."""
        return display_name(self.reward)

    @property
    def wants_suggestion(self) -> bool:
        """Whether a grammar is made for each target."""
        return self.grammar == AUTO_GRAMMAR

    @property
    def wants_match(self) -> bool:
        """Whether success is a matching image, not a visit to the goal state."""
        return self.stop_at == _MATCH

    @property
    def most_pictures(self) -> float:
        """The most distinct pictures to look at, infinity for no limit."""
        default = AFTER_GOAL_BUDGET if self.after_goal else float("inf")
        return default if self.budget is None else self.budget

    def identity(self) -> dict[str, Any]:
        """Return the settings that must be equal for a resumed search to be the same search."""
        names = (
            *("epsilon", "seed", "generation_seed", "max_episode_steps", "stop_at"),
            *("unrecognised_penalty", "action_mode", "start"),
        )
        chosen = {name: getattr(self, name) for name in names}
        return {"reward": self.reward_name, "learner": self.learner_name, **chosen}

    def with_models_of(self, evaluator: StateEvaluator) -> SearchSettings:
        """Return the settings with an evaluator's generator and perception, for the next target."""
        return replace(self, generator=evaluator.generator, perception=evaluator.perception)

    def make_learner(self, env: SingleEnvironment) -> Any:
        """Return a new learner for an environment.

        Raises:
            AgentError: the learner's class raises an error.
        """
        options: dict[str, Any] = {} if self.epsilon is None else {"epsilon": self.epsilon}
        if "trees" in inspect.signature(self.learner_type).parameters:
            grammar: Grammar = env.get_wrapper_attr("grammar")
            options["trees"] = tuple(axis.tree for axis in grammar.axes)
        try:
            return self.learner_type(env.observation_space, env.action_space, **options)
        except TypeError as error:
            raise AgentError(f"cannot make the learner {self.learner_name!r}: {error}") from error


def display_name(choice: Any) -> str:
    """Return the name of a choice: the text itself, else its ``name``, else where it is defined."""
    if isinstance(choice, str):
        return choice
    name = getattr(choice, "name", None)
    if isinstance(name, str):
        return name
    kind = choice if hasattr(choice, "__qualname__") else type(choice)
    return f"{kind.__module__}:{kind.__qualname__}"
