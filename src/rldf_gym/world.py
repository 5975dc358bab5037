"""The world a grammar spans: every state's picture and what is read in it, through the store.

    state -> prompt -> picture -> model outputs -> reading
           grammar  generator   perception     picture reader

Everything right of the state is a pure function of it, so each arrow is looked up before it is
computed; what is missing is computed in batches, here and nowhere else. Models are loaded when
something is missing: a world whose states are all in the store needs none.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rldf_gym.errors import RLDFError
from rldf_gym.generation import Generator, check_words
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Perception, PictureReader, Reading, Senses
from rldf_gym.store import Store, drawn_key, pixels_key

BATCH_SIZE = 16
"""States computed between two writes to the store: the most that an interruption can lose."""

Picture = NDArray[np.uint8]
Fetch = Callable[[Sequence[str]], Mapping[str, Picture]]
"""Gives the pictures of these keys."""


class WorldError(RLDFError):
    """A seed outside its range, or a generator whose pictures are not what it promises."""


class World:
    """States of a grammar, drawn by one generator and read by one perception.

    Attributes:
        grammar: whose states these are.
        generator: draws the prompts.
        perception: looks at the pictures.
        store: where pictures and what was seen in them are kept.
        generation_seed: the seed of every picture, fixed so that a state's reading never changes
            (paper, Discussion 2).
        generations: pictures drawn by this world, that is, not found in the store.
    """

    def __init__(
        self,
        grammar: Grammar,
        generator: Generator,
        perception: Perception,
        store: Store,
        generation_seed: int = 0,
    ) -> None:
        """Check that the generator knows the grammar's words; draws and loads nothing.

        Raises:
            GenerationError: the grammar has words that the generator never learned.
            WorldError: the seed is no whole number from 0 to 2^63 - 1.
        """
        if isinstance(generation_seed, bool) or not isinstance(generation_seed, int | np.integer):
            raise WorldError(f"generation_seed is {generation_seed!r}; give a whole number")
        if not 0 <= generation_seed < 2**63:
            raise WorldError(f"generation_seed is {generation_seed}; give 0 to 2^63 - 1")
        check_words(generator, _prompts_with_every_word(grammar))
        self.grammar = grammar
        self.generator = generator
        self.perception = perception
        self.store = store
        self.generation_seed = int(generation_seed)
        self.generations = 0
        self._readings: dict[int, Reading] = {}
        self._texts: dict[str, NDArray[np.float32]] = {}

    @property
    def senses(self) -> Senses:
        """What reading needs to know of the models; its text embeddings come through the store."""
        return self.perception.senses(self._embed_texts)

    def readings(self, states: ArrayLike) -> list[Reading]:
        """What is read in each state's picture.

        A state named twice is drawn once, and what the store has is not computed again.

        Args:
            states: int ``[n, n_axes]``.

        Returns:
            ``n`` readings; their arrays are read-only and shared between calls.

        Raises:
            GrammarError: a state outside the grammar.
        """
        indices = [self.grammar.index(state) for state in np.atleast_2d(states)]
        unread = [index for index in dict.fromkeys(indices) if index not in self._readings]
        for batch in _batches(unread, BATCH_SIZE):
            self._readings.update(zip(batch, self._read_states(batch), strict=True))
        return [self._readings[index] for index in indices]

    def picture(self, state: ArrayLike) -> Picture:
        """The state's picture ``uint8 [H, W, 3]``, drawn if it never was; the caller's own copy."""
        prompt = self.grammar.decode(self.grammar.validate(state))
        return np.array(self._pictures([prompt])[prompt])

    def read(self, picture: Picture) -> Reading:
        """What is read in a picture ``uint8 [H, W, 3]`` of any size and origin: a target."""
        key = pixels_key(picture)
        return self._look([key], lambda _: {key: picture})[0]

    def _read_states(self, indices: Sequence[int]) -> list[Reading]:
        prompts = [self.grammar.decode(self.grammar.state(index)) for index in indices]
        prompt_of = {self._key(prompt): prompt for prompt in prompts}

        def fetch(keys: Sequence[str]) -> dict[str, Picture]:
            pictures = self._pictures([prompt_of[key] for key in keys])
            return {key: pictures[prompt_of[key]] for key in keys}

        return self._look(list(prompt_of), fetch)

    def _look(self, keys: Sequence[str], fetch: Fetch) -> list[Reading]:
        """Read the pictures of these keys; fetches only those that some model has yet to see."""
        models = self.perception.models()
        seen = {name: self.store.outputs(model.fingerprint, keys) for name, model in models.items()}
        unseen = [key for key in keys if any(key not in outputs for outputs in seen.values())]
        pictures = fetch(unseen) if unseen else {}
        for name, model in models.items():
            missing = [key for key in unseen if key not in seen[name]]
            if missing:
                outputs = model(np.stack([pictures[key] for key in missing]))
                kept = self.store.add_outputs(
                    model.fingerprint, dict(zip(missing, outputs, strict=True))
                )
                seen[name].update(kept)
        return [_frozen(self._reader.read(**{n: seen[n][key] for n in models})) for key in keys]

    def _pictures(self, prompts: Sequence[str]) -> dict[str, Picture]:
        """The pictures of these prompts, from the store or drawn in one call of the generator."""
        found = {prompt: self.store.picture(self._key(prompt)) for prompt in prompts}
        pictures = {prompt: picture for prompt, picture in found.items() if picture is not None}
        missing = [prompt for prompt in found if prompt not in pictures]
        if missing:
            drawn = self.generator(missing, [self.generation_seed] * len(missing))
            self._refuse_malformed(drawn, len(missing))
            named = {(p, self.generation_seed): d for p, d in zip(missing, drawn, strict=True)}
            kept = self.store.add_pictures(self.generator.fingerprint, named)
            pictures.update({prompt: picture for (prompt, _), picture in kept.items()})
            self.generations += len(missing)
        return pictures

    def _refuse_malformed(self, drawn: Any, n_prompts: int) -> None:
        is_batch = isinstance(drawn, np.ndarray) and drawn.dtype == np.uint8 and drawn.ndim == 4
        if not is_batch or len(drawn) != n_prompts or drawn.shape[-1] != 3 or not drawn.size:
            shape = f"{drawn.dtype} {list(drawn.shape)}" if hasattr(drawn, "shape") else type(drawn)
            raise WorldError(
                f"the generator {self.generator.name!r} returned {shape} for {n_prompts} prompts;"
                f" it must return uint8 [{n_prompts}, H, W, 3]"
            )

    def _key(self, prompt: str) -> str:
        return drawn_key(self.generator.fingerprint, prompt, self.generation_seed)

    @functools.cached_property
    def _reader(self) -> PictureReader:
        return PictureReader(self.grammar, self.senses)

    def _embed_texts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings float32 ``[n, d]``: from memory, else from the store, else computed."""
        clip, known = self.perception.clip, self._texts
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        if new:
            known.update(self.store.texts(clip.fingerprint, new))
            missing = [prompt for prompt in new if prompt not in known]
            if missing:
                embedded = dict(zip(missing, clip.embed_texts(missing), strict=True))
                self.store.add_texts(clip.fingerprint, embedded)
                known.update(embedded)
        return np.stack([known[prompt] for prompt in prompts])


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _frozen(reading: Reading) -> Reading:
    """The reading, safe to hand out many times."""
    for array in (reading.values, reading.confidence, reading.embedding):
        array.setflags(write=False)
    return reading


def _prompts_with_every_word(grammar: Grammar) -> Iterator[str]:
    """Prompts that together show every value of every axis, and all fixed words."""
    for axis, size in enumerate(grammar.nvec):
        for value in range(size):
            state = np.zeros(grammar.n_axes, np.int64)
            state[axis] = value
            yield grammar.decode(state)
