"""Facts about the registered environments: spaces, limits, axes, and the manual."""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import rldf_gym
from rldf_gym.env import RLDFEnv
from rldf_gym.goal import LowConfidenceWarning
from rldf_gym.grammar import load_grammar
from rldf_gym.perception import Output, Perception

gym.register_envs(rldf_gym)


class _Blank:
    """In place of the models: spaces, limits and axes do not depend on them."""

    name, fingerprint, logit_scale = "blank", "blank", 1.0

    def __call__(self, pictures: Sequence[Any], *_: Any) -> list[Output]:
        return [{"embedding": np.ones(1, np.float32)} for _ in pictures]

    def embed_texts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        return np.ones((len(prompts), 1), np.float32)


def environment(env_id: str) -> str:
    """Return the table at the top of an environment's page, and one of its axes."""
    models = {"generator": _Blank(), "perception": Perception(clip=_Blank())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowConfidenceWarning)
        env = gym.make(env_id, **models, store=None)
    spec, grammar = gym.spec(env_id), env.get_wrapper_attr("grammar")
    facts = {
        "Action space": f"`{env.action_space}`",
        "Observation space": f"`{env.observation_space}`".replace("\n", " "),
        "Grammar": f"`{grammar.name}`, {grammar.n_states:,} states",
        "Episode": f"at most {spec.max_episode_steps} steps",
        "Vector environment": "`gym.make_vec`, one batch of images for all"
        if spec.vector_entry_point
        else "`gym.make_vec`, one environment after another",
        "Make it": f'`gym.make("rldf_gym:{env_id}")`',
    }
    env.close()
    rows = [f"| **{name}** | {fact} |" for name, fact in facts.items()]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def axes(name: str) -> str:
    """Return a table of a shipped grammar's axes."""
    rows = [
        f"| `{axis.name}` | {axis.role} | {len(axis)} | {', '.join(axis.values)} |"
        for axis in load_grammar(name).axes
    ]
    return "\n".join(
        ["| axis | role | values | from 0 upward |", "| --- | --- | ---: | --- |", *rows]
    )


def manual() -> str:
    """Return the manual of the environments: the docstring of their class, from its headings on."""
    text = inspect.getdoc(RLDFEnv) or ""
    return text[text.index("## ") :]
