"""One method's attempt at one target: what it may evaluate, and what it found."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rldf_agents.inversion.method import Method
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.failed_images import FailedImage
from rldf_gym.generation import generate
from rldf_gym.goal import Goal
from rldf_gym.perception import Reading, Readings
from rldf_gym.rewards import DEFAULT_REWARD, Reward, clip, evaluate_reward, resolve_reward
from rldf_gym.store import image_key

_LOOKS_PER_PICTURE = 5
"""A trial also ends after this many evaluations, repeated ones included, for each picture."""


class TrialEndedError(Exception):
    """The trial is over: a picture matches, or the budget is spent."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A prompt, its picture with one seed, and what was read in it.

    Attributes:
        prompt: of the picture.
        state: one label for each axis; None for a prompt that is no sentence of the grammar.
        seed: of the picture.
        picture: uint8 ``[H, W, 3]``.
        reading: of the picture.
        reward: of the reading.
        similarity: cosine of the CLIP embeddings of picture and target, by the perception.
        matches: whether the picture reads as the target on every axis.
    """

    prompt: str
    state: tuple[int, ...] | None
    seed: int
    picture: NDArray[np.uint8]
    reading: Reading
    reward: float
    similarity: float
    matches: bool

    @property
    def merit(self) -> tuple[bool, float, float]:
        """What candidates are compared by: a match, then the reward, then the similarity."""
        return self.matches, self.reward, self.similarity


class Trial:
    """Evaluates what a method asks for, counts pictures, and keeps them in order.

    A picture that the store has costs the same as a new one; the second evaluation of a picture is
    free.

    Args:
        evaluator: generates and reads.
        goal: of the evaluator's grammar.
        budget: the most distinct pictures, at least 1.
        reward: what a search maximises.

    Attributes:
        candidates: the distinct pictures, in the order of their evaluation.
    """

    def __init__(
        self, evaluator: StateEvaluator, goal: Goal, budget: int, reward: Reward = DEFAULT_REWARD
    ) -> None:
        self.evaluator, self.goal, self.budget, self.reward = evaluator, goal, budget, reward
        self.candidates: list[Candidate] = []
        self._proposal: str | None = None
        self._known: dict[tuple[str, int], Candidate] = {}
        self._looks = 0

    @property
    def over(self) -> bool:
        """Whether a picture matches or nothing more may be evaluated."""
        return (
            len(self.candidates) >= self.budget
            or self._looks >= _LOOKS_PER_PICTURE * self.budget
            or any(candidate.matches for candidate in self.candidates[-1:])
        )

    def propose(self, prompt: str) -> None:
        """Give the prompt that the method would answer without any picture."""
        self._proposal = prompt

    def evaluate(self, state: ArrayLike, seed: int | None = None) -> float:
        """Return the reward of a state's picture.

        Args:
            state: one label for each axis.
            seed: of the picture; None for the evaluator's.

        Raises:
            TrialEndedError: the trial is over.
            GrammarError: a state outside the grammar.
        """
        labels = tuple(self.evaluator.grammar.validate(state).tolist())
        return self._evaluate(self.evaluator.grammar.decode(labels), labels, seed)

    def evaluate_prompt(self, prompt: str, seed: int | None = None) -> float:
        """Return the reward of the picture of any prompt; see `evaluate`.

        Raises:
            TrialEndedError: the trial is over.
            GenerationError: the generator gives no picture.
        """
        return self._evaluate(prompt, _state_of(self.evaluator, prompt), seed)

    def answer(self, budget: int) -> Candidate | None:
        """Return the best candidate within a budget, None where the method has none.

        For a budget of 0 this is the prompt that was proposed; its picture is not counted.
        """
        if budget:
            return max(self.candidates[:budget], key=lambda each: each.merit, default=None)
        if self._proposal is None:
            return None
        state = _state_of(self.evaluator, self._proposal)
        return self.candidate(self._proposal, state, self.evaluator.generation_seed)

    def candidate(self, prompt: str, state: tuple[int, ...] | None, seed: int) -> Candidate:
        """Generate, read and compare a picture with the target, without counting it.

        Args:
            prompt: of the picture.
            state: of the prompt, None where it is no sentence of the grammar.
            seed: of the picture.
        """
        evaluator, goal = self.evaluator.with_seed(seed), self.goal
        if state is None:
            picture = _picture_of(evaluator, prompt)
            reading = evaluator.read(picture)
        else:
            [reading] = evaluator.readings(np.array([state]))
            picture = evaluator.picture(state)
        batch = Readings.of([reading])
        return Candidate(
            prompt=prompt,
            state=state,
            seed=seed,
            picture=picture,
            reading=reading,
            reward=float(evaluate_reward(resolve_reward(self.reward), batch, goal)[0]),
            similarity=float(clip(batch, goal)[0]),
            matches=bool(np.array_equal(reading.values, goal.reading.values)),
        )

    def _evaluate(self, prompt: str, state: tuple[int, ...] | None, seed: int | None) -> float:
        if self.over:
            raise TrialEndedError
        self._looks += 1
        key = prompt, self.evaluator.generation_seed if seed is None else seed
        if key not in self._known:
            self._known[key] = self.candidate(prompt, state, key[1])
            self.candidates.append(self._known[key])
        return self._known[key].reward


def run_method(method: Method, trial: Trial, seed: int) -> None:
    """Run a method until it or the trial ends.

    Raises:
        MethodUnavailableError: the method cannot run here.
    """
    with contextlib.suppress(TrialEndedError):
        method.run(trial, seed)


def _state_of(evaluator: StateEvaluator, prompt: str) -> tuple[int, ...] | None:
    grammar = evaluator.grammar
    return tuple(grammar.encode(prompt).tolist()) if prompt in grammar else None


def _picture_of(evaluator: StateEvaluator, prompt: str) -> NDArray[np.uint8]:
    """Return the image of any prompt, generated if it is not in the store."""
    store, generator, seed = evaluator.store, evaluator.generator, evaluator.generation_seed
    key = image_key(generator.fingerprint, prompt, seed)
    stored = store.picture(key)
    if stored is not None:
        return stored
    [image] = generate(generator, [prompt], [seed])
    evaluator.counts.generations += 1
    if isinstance(image, FailedImage):
        return image.placeholder()
    [kept] = store.add_pictures(generator.fingerprint, {(prompt, seed): image}, [key]).values()
    return kept
