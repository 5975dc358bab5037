"""What assistants can call, by the Model Context Protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rldf_agents.app.visitors import Visitors
from rldf_agents.applications.search import open_search
from rldf_agents.applications.settings import READING
from rldf_agents.errors import AgentError
from rldf_gym.goal import load_picture

MOST_PICTURES = 30
"""Images that one call may look at."""


class PictureToPrompt:
    """Finds the prompt of a picture, with the page's default choice.

    Args:
        visitors: whose models and turns are used.
        is_local: whether all callers are on this machine; others may not name its files.
    """

    def __init__(self, visitors: Visitors, is_local: bool) -> None:
        self._visitors = visitors
        self._is_local = is_local

    def __call__(self, picture: str) -> dict[str, Any]:
        """Return the prompt of the best picture found, and how sure that is.

        Args:
            picture: path of a picture file on this machine, or a ``data:`` URL in base 64.

        Raises:
            AgentError: a path from another machine.
            RLDFError: no picture, or models that cannot be used.
        """
        if not self._is_local and not picture.startswith("data:"):
            raise AgentError("give the picture as a data: URL in base 64")
        choices, turns = self._visitors.choices, self._visitors.turns
        settings = replace(choices.settings(choices.default), start=READING, budget=MOST_PICTURES)
        with turns.taken(), open_search(load_picture(picture), settings) as search:
            result = search.run(on_image=lambda phase, visit: turns.pass_on())
        return {
            "prompt": result.best[0].prompt,
            "read_as": result.goal.prompt,
            "matches": result.matched,
            "doubts": list(result.doubts),
            "pictures_seen": result.states_seen,
        }
