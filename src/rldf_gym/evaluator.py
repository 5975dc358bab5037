"""The world a grammar spans: every state's picture and what is read in it, through the store.

    state -> prompt -> picture -> model outputs -> reading
           grammar  generator   perception     picture reader

Everything right of the state is a pure function of it, so each arrow is looked up before it is
computed; what is missing is computed in batches, here and nowhere else. Models are loaded when
something is missing: a world whose states are all in the store needs none.
"""

import copy
import functools
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rldf_gym.batching import BATCH_SIZE, in_batches
from rldf_gym.errors import RLDFError
from rldf_gym.failed_images import (
    Unavailable,
    UnavailablePictureWarning,
    find_unavailable,
    keep_unavailable,
)
from rldf_gym.generation import Generator, PicturesUnavailableError, check_words
from rldf_gym.grammar import Grammar
from rldf_gym.perception import (
    LabelDecoder,
    Perception,
    PerceptionSpec,
    Reading,
    with_known_roles,
)
from rldf_gym.store import Store, drawn_key, pixels_key

__all__ = ["BATCH_SIZE", "MOST_REMEMBERED", "PREFETCH", "EvaluatorError", "StateEvaluator"]

MOST_REMEMBERED = 100_000
"""States whose readings are kept at hand, some kilobytes each; beyond, they are forgotten together.

Then the store is asked anew, so that a walk through a large world does not fill the memory.
"""

PREFETCH = (None, "neighbours")
"""What a world may draw beside what it is asked for."""

Picture = NDArray[np.uint8]
Pictures = dict[str, Picture | Unavailable]
Fetch = Callable[[Sequence[str]], Mapping[str, Picture | Unavailable]]
"""Gives the pictures of these keys, or tells why there is none."""


class EvaluatorError(RLDFError):
    """An argument that no world takes, or a generator whose pictures are not what it promises."""


class StateEvaluator:
    """States of a grammar, drawn by one generator and read by one perception.

    Attributes:
        grammar: whose states these are.
        generator: draws the prompts.
        perception: looks at the pictures.
        store: where pictures and what was seen in them are kept.
        generation_seed: the seed of every picture, fixed so that a state's reading never changes
            (paper, Discussion 2).
        prefetch: None, or "neighbours": where states have to be drawn, the batch is filled up with
            neighbours of theirs (one unit along one axis) that nobody drew yet. Worth it on a
            device where a larger batch is nearly free; the picture of an agent's next step is
            then there before it is asked for.
    """

    def __init__(
        self,
        grammar: Grammar,
        generator: Generator,
        perception: Perception,
        store: Store,
        generation_seed: int = 0,
        prefetch: str | None = None,
    ) -> None:
        """Check that the generator knows the grammar's words; draws and loads nothing.

        Raises:
            GenerationError: the grammar has words that the generator never learned.
            WorldError: the seed is no whole number from 0 to 2^63 - 1, or prefetch is unknown.
        """
        if prefetch not in PREFETCH:
            raise EvaluatorError(f"unknown prefetch {prefetch!r}; known: None, 'neighbours'")
        seed = _checked_seed(generation_seed)
        check_words(generator, _prompts_with_every_word(grammar))
        detector, scenes = perception.detector, perception.scene_classifier
        self.grammar = with_known_roles(
            grammar,
            () if detector is None else detector.class_names,
            () if scenes is None else scenes.class_names,
        )
        self.generator = generator
        self.perception = perception
        self.store = store
        self.generation_seed = seed
        self.prefetch = prefetch
        self._counts = {"generations": 0, "prefetched": 0}
        self._readings: dict[int, Reading] = {}
        self._texts: dict[str, NDArray[np.float32]] = {}

    @property
    def generations(self) -> int:
        """Number of generated images, those of `with_seed`'s evaluators included."""
        return self._counts["generations"]

    @property
    def prefetched(self) -> int:
        """Number of generated images that were not asked for; see ``prefetch``."""
        return self._counts["prefetched"]

    def with_seed(self, generation_seed: int) -> "StateEvaluator":
        """Return an evaluator of the same states with another seed for their images.

        It shares grammar, generator, perception, store and the counts of generated images.

        Raises:
            EvaluatorError: the seed is not a whole number from 0 to 2^63 - 1.
        """
        other = copy.copy(self)
        other.generation_seed = _checked_seed(generation_seed)
        other._readings = {}
        return other

    @property
    def spec(self) -> PerceptionSpec:
        """What reading needs to know of the models; its text embeddings come through the store."""
        return self.perception.spec(self._embed_texts)

    def readings(self, states: ArrayLike) -> list[Reading]:
        """What is read in each state's picture.

        A state named twice is drawn once, and what the store has is not computed again. What is
        missing is drawn in batches as large as the generator says, or as memory allows.

        Args:
            states: int ``[n, n_axes]``.

        Returns:
            ``n`` readings; their arrays are read-only and shared between calls.

        Raises:
            GrammarError: a state outside the grammar.
        """
        indices = [self.grammar.index(state) for state in np.atleast_2d(states)]
        unread = [index for index in dict.fromkeys(indices) if index not in self._readings]
        fill = self._undrawn_neighbours if self.prefetch == "neighbours" else None
        for asked, extra, readings in in_batches(unread, self.generator, self._read_states, fill):
            self._readings.update(zip([*asked, *extra], readings, strict=True))
            self._counts["prefetched"] += len(extra)
        found = [self._readings[index] for index in indices]
        if len(self._readings) > MOST_REMEMBERED:
            self._readings.clear()
        return found

    def each_reading(self, indices: Sequence[int]) -> Iterator[Reading]:
        """What is read in the state of each of these numbers, batch by batch, for any number.

        Unlike `readings`, this remembers none of them: the store does.
        """
        for _, _, readings in in_batches(indices, self.generator, self._read_states):
            yield from readings

    def picture(self, state: ArrayLike) -> Picture:
        """The state's picture ``uint8 [H, W, 3]``, drawn if it never was; the caller's own copy.

        Plain grey where the generator gives none: `unavailable` says why.
        """
        picture = self._picture(state)
        return picture.placeholder() if isinstance(picture, Unavailable) else np.array(picture)

    def unavailable(self, state: ArrayLike) -> str | None:
        """Why the generator gives no picture for a state, None where it does."""
        picture = self._picture(state)
        return picture.reason if isinstance(picture, Unavailable) else None

    def drawn_picture(self, state: ArrayLike) -> Picture | None:
        """The state's picture ``uint8 [H, W, 3]``, or None where the store does not have it."""
        return self.store.picture(self._key(self.grammar.decode(self.grammar.validate(state))))

    def read(self, picture: Picture) -> Reading:
        """What is read in a picture ``uint8 [H, W, 3]`` of any size and origin: a target."""
        key = pixels_key(picture)
        return self._look([key], lambda _: {key: picture})[0]

    def _picture(self, state: ArrayLike) -> Picture | Unavailable:
        prompt = self.grammar.decode(self.grammar.validate(state))
        return self._pictures([prompt])[prompt]

    def _undrawn_neighbours(self, asked: Sequence[int], at_most: int) -> Sequence[int]:
        """States one unit from those asked for, if any of these has to be drawn anyway."""
        if not at_most or not any(map(self._is_undrawn, asked)):
            return ()
        around = dict.fromkeys(n for index in asked for n in neighbours(self.grammar, index))
        candidates = (n for n in around if n not in asked and n not in self._readings)
        return list(itertools.islice(filter(self._is_undrawn, candidates), at_most))

    def _is_undrawn(self, index: int) -> bool:
        key = self._key(self.grammar.decode(self.grammar.state(index)))
        models = self.perception.models().values()
        return (
            not self.store.has_picture(key)
            and not all(self.store.outputs(model.fingerprint, [key]) for model in models)
            and not find_unavailable(self.store, self.generator.fingerprint, [key])
        )

    def _read_states(self, indices: Sequence[int]) -> list[Reading]:
        prompts = [self.grammar.decode(self.grammar.state(index)) for index in indices]
        prompt_of = {self._key(prompt): prompt for prompt in prompts}

        def fetch(keys: Sequence[str]) -> Pictures:
            pictures = self._pictures([prompt_of[key] for key in keys])
            return {key: pictures[prompt_of[key]] for key in keys}

        return self._look([self._key(prompt) for prompt in prompts], fetch)

    def _look(self, keys: Sequence[str], fetch: Fetch) -> list[Reading]:
        """Read the pictures of these keys; fetches only those that some model has yet to see."""
        models = self.perception.models()
        seen = {name: self.store.outputs(model.fingerprint, keys) for name, model in models.items()}
        unseen = [key for key in keys if any(key not in outputs for outputs in seen.values())]
        pictures = fetch(unseen) if unseen else {}
        there = {key: p for key, p in pictures.items() if not isinstance(p, Unavailable)}
        for name, model in models.items():
            missing = [key for key in there if key not in seen[name]]
            if missing:
                outputs = model(np.stack([there[key] for key in missing]))
                kept = self.store.add_outputs(
                    model.fingerprint, dict(zip(missing, outputs, strict=True))
                )
                seen[name].update(kept)
        return [
            self._unread
            if isinstance(pictures.get(key), Unavailable)
            else _frozen(self._reader.read(**{name: seen[name][key] for name in models}))
            for key in keys
        ]

    def _pictures(self, prompts: Sequence[str]) -> Pictures:
        """The pictures of these prompts, from the store or drawn in one call of the generator."""
        keys = {prompt: self._key(prompt) for prompt in prompts}
        found = {prompt: self.store.picture(key) for prompt, key in keys.items()}
        pictures: Pictures = {prompt: p for prompt, p in found.items() if p is not None}
        absent = [keys[prompt] for prompt in keys if prompt not in pictures]
        gone = find_unavailable(self.store, self.generator.fingerprint, absent)
        pictures.update({p: gone[key] for p, key in keys.items() if key in gone})
        missing = [prompt for prompt in keys if prompt not in pictures]
        if missing:
            pictures.update(self._draw(missing))
        return pictures

    def _draw(self, prompts: Sequence[str]) -> Pictures:
        reasons: Mapping[int, str] = {}
        try:
            drawn = self.generator(prompts, [self.generation_seed] * len(prompts))
        except PicturesUnavailableError as error:
            drawn, reasons = error.pictures, error.reasons
            warnings.warn(
                f"{error}; such states are read as nothing", UnavailablePictureWarning, stacklevel=2
            )
        self._refuse_malformed(drawn, len(prompts))
        self._counts["generations"] += len(prompts)
        fingerprint, seed = self.generator.fingerprint, self.generation_seed
        named = {(p, seed): drawn[n] for n, p in enumerate(prompts) if n not in reasons}
        kept = self.store.add_pictures(fingerprint, named)
        gone = {prompts[n]: Unavailable(why, drawn.shape[1:]) for n, why in reasons.items()}
        keep_unavailable(self.store, fingerprint, {self._key(p): u for p, u in gone.items()})
        return {prompt: picture for (prompt, _), picture in kept.items()} | gone

    def _refuse_malformed(self, drawn: Any, n_prompts: int) -> None:
        is_batch = isinstance(drawn, np.ndarray) and drawn.dtype == np.uint8 and drawn.ndim == 4
        if not is_batch or len(drawn) != n_prompts or drawn.shape[-1] != 3 or not drawn.size:
            shape = f"{drawn.dtype} {list(drawn.shape)}" if hasattr(drawn, "shape") else type(drawn)
            raise EvaluatorError(
                f"the generator {self.generator.name!r} returned {shape} for {n_prompts} prompts;"
                f" it must return uint8 [{n_prompts}, H, W, 3]"
            )

    def _key(self, prompt: str) -> str:
        return drawn_key(self.generator.fingerprint, prompt, self.generation_seed)

    @functools.cached_property
    def _unread(self) -> Reading:
        prompt = self.grammar.decode(self.grammar.state(0))
        return _frozen(
            Reading.unread(self.grammar.nvec.tolist(), self._embed_texts([prompt]).shape[1])
        )

    @functools.cached_property
    def _reader(self) -> LabelDecoder:
        return LabelDecoder(self.grammar, self.spec)

    def _embed_texts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings float32 ``[n, d]``: from memory, else from the store, else computed."""
        clip, known = self.perception.clip, self._texts
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        if new:
            known.update(self.store.texts(clip.fingerprint, new))
            missing = [prompt for prompt in new if prompt not in known]
            if missing:
                embedded = dict(zip(missing, clip.embed_texts(missing), strict=True))
                known.update(self.store.add_texts(clip.fingerprint, embedded))
        embeddings = np.stack([known[prompt] for prompt in prompts])
        if len(known) > MOST_REMEMBERED:
            known.clear()
        return embeddings


def neighbours(grammar: Grammar, index: int) -> Iterator[int]:
    """Numbers of the states one unit along one axis from the state of that number."""
    state = grammar.state(index)
    for stride, label, size in zip(grammar.strides, state, grammar.nvec, strict=True):
        if label > 0:
            yield index - int(stride)
        if label < size - 1:
            yield index + int(stride)


def _frozen(reading: Reading) -> Reading:
    """The reading, safe to hand out many times."""
    for array in reading.arrays():
        array.setflags(write=False)
    return reading


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise EvaluatorError(f"generation_seed is {seed!r}; give a whole number")
    if not 0 <= seed < 2**63:
        raise EvaluatorError(f"generation_seed is {seed}; give 0 to 2^63 - 1")
    return int(seed)


def _prompts_with_every_word(grammar: Grammar) -> Iterator[str]:
    """Prompts that together show every value of every axis, and all fixed words."""
    for axis, size in enumerate(grammar.nvec):
        for value in range(size):
            state = np.zeros(grammar.n_axes, np.int64)
            state[axis] = value
            yield grammar.decode(state)
