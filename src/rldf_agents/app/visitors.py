"""The visitors of the page: one browser tab each, with its search and what it found."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from rldf_agents.app.choices import MADE, Choice, Choices
from rldf_agents.app.live_search import LiveSearch
from rldf_agents.app.turns import Turns
from rldf_agents.applications.search import open_search
from rldf_agents.errors import AgentError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import load_picture
from rldf_gym.grammar import Grammar

EXAMPLE = "example"
"""What a link calls the target that ships with the package."""


@dataclass(frozen=True, eq=False)
class Place:
    """A state of a world, whose picture the sliders move.

    Attributes:
        evaluator: makes the pictures.
        state: one label for each axis.
        world: the name of a grammar that has the state's prompt among its sentences; None where
            none is known.
        generator: what makes its pictures, by the visitor's name for it.
        target: what the picture is compared with, uint8 ``[H, W, 3]``; None for nothing.
        is_example: whether the target is the one that ships with the package.
    """

    evaluator: StateEvaluator
    state: tuple[int, ...]
    world: str | None
    generator: str
    target: NDArray[np.uint8] | None
    is_example: bool

    @property
    def grammar(self) -> Grammar:
        """The grammar of the state."""
        return self.evaluator.grammar

    @property
    def prompt(self) -> str:
        """The state's sentence."""
        return self.grammar.decode(np.array(self.state))

    @property
    def query(self) -> str:
        """The part of a link that restores this: world, prompt, generator, seed; may be empty."""
        if self.world is None:
            return ""
        values: dict[str, object] = {
            "world": self.world,
            "prompt": self.prompt,
            "generator": self.generator,
            "seed": self.evaluator.generation_seed,
        }
        return urlencode(values | ({"target": EXAMPLE} if self.is_example else {}))


class Visitor:
    """One tab: at most one search, and the place of its sliders.

    Args:
        choices: what can be chosen.
        turns: shared by all visitors.

    Attributes:
        target: the visitor's picture, uint8 ``[H, W, 3]``; None for the one that ships with the
            package.
        search: the search, or None before the first.
        place: where the sliders are, or None where there are none.
        folder: for files that the visitor's browser loads; deleted when the visitor leaves.
    """

    def __init__(self, choices: Choices, turns: Turns) -> None:
        self._choices = choices
        self._turns = turns
        self._lock = threading.Lock()
        self._is_gone = False
        self._choice = choices.default
        self._temporary = TemporaryDirectory(
            prefix="visitor-", dir=os.environ.get("GRADIO_TEMP_DIR"), ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name)
        self.target: NDArray[np.uint8] | None = None
        self.search: LiveSearch | None = None
        self.place: Place | None = None

    def start(self, choice: Choice) -> LiveSearch:
        """Start a search for the target; the one before stops.

        Raises:
            AgentError: the tab is closed, or a name is not among the choices.
            RLDFError: models that cannot be used.
        """
        settings = self._choices.settings(choice)
        target = load_picture() if self.target is None else self.target
        search = LiveSearch(partial(open_search, target, settings), self._turns)
        with self._lock:
            if self._is_gone:
                raise AgentError("this tab was closed: reload the page")
            if self.search is not None:
                self.search.close()
            self.search, self.place, self._choice = search, None, choice
            search.start()
        return search

    def settle(self, search: LiveSearch) -> Place | None:
        """Put the sliders at the best picture of a search that is over, if there is one."""
        result = search.progress.result
        if result is None or search is not self.search:
            return None
        frame, evaluator, world = result.best[0], search.evaluator, self._choice.world
        seed = frame.visit.seed
        self.place = Place(
            evaluator=evaluator if seed is None else evaluator.with_seed(seed),
            state=frame.visit.state,
            world=self._choices.world_of(frame.prompt, self._choice.generator)
            if world == MADE
            else world,
            generator=self._choice.generator,
            target=result.goal.picture,
            is_example=self.target is None,
        )
        return self.place

    def restore(self, query: Mapping[str, str]) -> Place | None:
        """Put the sliders where a link points; None for a link that points nowhere.

        Args:
            query: the parameters of the link, see `Place.query`.

        Raises:
            AgentError: a name that is not among the choices.
            RLDFError: a prompt that is no sentence of the world, or a seed that is none.
        """
        if not {"world", "prompt"} <= query.keys():
            return None
        seed = query.get("seed", "0")
        generator = query.get("generator", self._choices.default.generator)
        evaluator = self._choices.evaluator(query["world"], generator)
        evaluator = evaluator.with_seed(int(seed) if seed.isdecimal() else -1)
        state = tuple(evaluator.grammar.encode(query["prompt"]).tolist())
        is_example = query.get("target") == EXAMPLE
        target = load_picture() if is_example else None
        self.place = Place(evaluator, state, query["world"], generator, target, is_example)
        return self.place

    def move(self, state: Sequence[int]) -> Place:
        """Move the sliders.

        Raises:
            AgentError: there is nothing to move.
            GrammarError: a state outside the grammar.
        """
        place = self.place
        if place is None:
            raise AgentError("there is nothing to move yet: start a search")
        checked = place.grammar.validate(list(state))
        self.place = replace(place, state=tuple(checked.tolist()))
        return self.place

    def picture(self, place: Place) -> NDArray[np.uint8]:
        """Return a place's picture uint8 ``[H, W, 3]``: from the store at once, else generated.

        Raises:
            RLDFError: the generator cannot make it.
        """
        stored = place.evaluator.stored_image(place.state)
        if stored is not None:
            return stored
        with self._turns.taken():
            return place.evaluator.picture(place.state)

    def clear(self) -> None:
        """Stop the search; forget it and the target."""
        with self._lock:
            if self.search is not None:
                self.search.close()
            self.search = self.place = self.target = None

    def leave(self) -> None:
        """Stop the search and forget everything; does not wait."""
        self._is_gone = True
        self.clear()
        self._temporary.cleanup()


class Visitors:
    """All visitors by the hash of their tab's session.

    Args:
        choices: what they can choose.

    Attributes:
        choices: the same.
        turns: of the searches of all visitors.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.turns = Turns()
        self._known: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of open tabs."""
        return len(self._known)

    def warm_up(self) -> None:
        """Load the default models in a thread, which takes the first turn."""
        threading.Thread(target=self._warm_up, name="rldf-warm-up").start()

    def _warm_up(self) -> None:
        with self.turns.taken():
            self.choices.warm_up()

    def get(self, session: str) -> Visitor:
        """Return the visitor of a session, a new one at first."""
        with self._lock:
            if session not in self._known:
                self._known[session] = Visitor(self.choices, self.turns)
            return self._known[session]

    def leave(self, session: str) -> None:
        """Stop the search of a closed tab and forget it."""
        with self._lock:
            visitor = self._known.pop(session, None)
        if visitor is not None:
            visitor.leave()

    def close(self) -> None:
        """Let all visitors leave."""
        for session in list(self._known):
            self.leave(session)
