"""The environment of a search, and where its episodes start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym

from rldf_agents.applications.settings import RANDOM, READING, SearchSettings
from rldf_agents.protocols import SingleEnvironment
from rldf_gym.factory import make_models
from rldf_gym.goal import Goal, Target
from rldf_gym.grammar import Grammar
from rldf_gym.rewards import UnrecognisedPenalty
from rldf_gym.suggestion import Suggestion, suggest_grammar


def make_env(
    target: Target, settings: SearchSettings
) -> tuple[SingleEnvironment, Suggestion | None]:
    """Read a target and make the environment of a search for it; generates nothing.

    Args:
        target: a picture file, a Pillow image, or uint8 ``[H, W, 3]``.
        settings: how to search.

    Returns:
        The environment, and the grammar that was made for the target where none is named.

    Raises:
        RLDFError: a target, name or model that cannot be used; the message says which and why.
    """
    suggestion, used = None, settings
    if settings.wants_suggestion:
        made, models = make_models(settings.generator, settings.perception, settings.device)
        suggestion = suggest_grammar(
            target, generator=made, perception=models, store=settings.store, device=settings.device
        )
        used = replace(settings, grammar=suggestion.grammar, generator=made, perception=models)
    reward = settings.reward
    if settings.unrecognised_penalty:
        reward = UnrecognisedPenalty(reward, settings.unrecognised_penalty)
    env: SingleEnvironment = gym.make(
        "RLDF-v0",
        disable_env_checker=True,
        max_episode_steps=settings.max_episode_steps,
        grammar=used.grammar,
        target=target,
        generator=used.generator,
        perception=used.perception,
        reward=reward,
        action_mode=settings.action_mode,
        stop_at=settings.stop_at,
        store=settings.store,
        generation_seed=settings.generation_seed,
        device=settings.device,
    )
    return env if settings.start == RANDOM else StartAt(env, settings.start), suggestion


class StartAt(gym.Wrapper[Any, Any, Any, Any]):
    """Start every episode at the state of a prompt, or of the target's reading.

    Args:
        env: an RLDF environment.
        start: a prompt of its grammar, or `READING`.

    Raises:
        GrammarError: the prompt is no sentence of the grammar.
    """

    def __init__(self, env: SingleEnvironment, start: str) -> None:
        super().__init__(env)
        grammar: Grammar = env.get_wrapper_attr("grammar")
        goal: Goal = env.get_wrapper_attr("goal")
        self._state = goal.state if start == READING else grammar.encode(start)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode there; other options are passed on."""
        return super().reset(seed=seed, options={"state": self._state, **(options or {})})
