"""Prompts from the target alone: nothing is generated before the prompt is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rldf_agents.inversion.method import NO_SEARCH, register_method
from rldf_agents.inversion.trial import Trial
from rldf_gym.grammar import Grammar
from rldf_gym.perception import TextEmbedder


@register_method("reading", title="direct reading", kind=NO_SEARCH)
def direct_reading(trial: Trial, seed: int) -> None:
    """Take the prompt that was read in the target; the seed has no effect."""
    trial.propose(trial.goal.prompt)
    trial.evaluate(trial.goal.state)


@register_method("ranking", title="vocabulary ranking by CLIP", kind=NO_SEARCH)
def vocabulary_ranking(trial: Trial, seed: int) -> None:
    """Rank the vocabulary by CLIP as CLIP Interrogator does; the seed has no effect."""
    embedding = trial.goal.reading.embedding
    state = ranked_state(trial.evaluator.grammar, trial.evaluator.spec.embed, embedding)
    trial.propose(trial.evaluator.grammar.decode(state))
    trial.evaluate(state)


def ranked_state(
    grammar: Grammar, embed: TextEmbedder, picture: NDArray[np.float32]
) -> tuple[int, ...]:
    """Return the state whose sentence is joined greedily from the values most like a picture.

    Each axis starts at the value whose words alone are most similar. Then the value that makes the
    whole sentence most similar is fixed, axis by axis, the greatest gain first.

    Args:
        grammar: of the states.
        embed: gives unit text embeddings.
        picture: unit embedding of the picture, float32 ``[d]``.
    """

    def similarities(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(embed(texts) @ picture)

    state = [int(similarities(axis.values).argmax()) for axis in grammar.axes]
    free = set(range(grammar.n_axes))
    while free:
        changes = [(axis, label) for axis in sorted(free) for label in range(grammar.nvec[axis])]
        changed = [[*state[:axis], label, *state[axis + 1 :]] for axis, label in changes]
        best = int(similarities([grammar.decode(each) for each in changed]).argmax())
        state = changed[best]
        free.remove(changes[best][0])
    return tuple(state)
