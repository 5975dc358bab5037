"""Turn states into images and readings, through the store.

    state -> prompt -> image -> model outputs -> reading
           grammar  generator   perception  label decoder

Everything after the state is a pure function of it, so each result is looked up before it is
computed. What is missing is computed in batches, here and nowhere else. Models are loaded only when
something is missing.
"""

import copy
import functools
import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rldf_gym.batching import BATCH_SIZE, BatchLimit, batch_size
from rldf_gym.errors import RLDFError
from rldf_gym.failed_images import FailedImage, FailedImageWarning
from rldf_gym.generation import Generator, check_words, generate
from rldf_gym.grammar import Grammar
from rldf_gym.grammar.enumeration import neighbours, prompts_with_every_value
from rldf_gym.perception import (
    LabelDecoder,
    Perception,
    PerceptionSpec,
    PictureModel,
    Reading,
    with_known_roles,
)
from rldf_gym.store import Store, image_key, pixels_key

__all__ = ["BATCH_SIZE", "MOST_TEXTS", "PREFETCH", "EvaluatorError", "StateEvaluator"]

MOST_TEXTS = 100_000
"""Text embeddings kept in memory, some kilobytes each; beyond, the store is read anew."""

PREFETCH = (None, "neighbours")
"""Values of ``prefetch``: what to generate beside what is asked for."""

Picture = NDArray[np.uint8]
Seeded = tuple[int, int]
"""A state's number and the seed of its image."""
Meant = tuple[str, int]
"""The prompt and the seed of an image."""
Images = dict[str, Picture | FailedImage]
"""Images by key, or why there is none."""


class EvaluatorError(RLDFError):
    """An invalid argument of a state evaluator."""


@dataclass
class Counts:
    """What an evaluator and those made of it by `StateEvaluator.with_seed` have done together.

    Attributes:
        generations: number of generated images: those not found in the store.
        prefetched: number of these that were not asked for; see ``prefetch``.
    """

    generations: int = 0
    prefetched: int = 0


class StateEvaluator:
    """Turns states of a grammar into images and readings, through the store.

    Attributes:
        grammar: whose states these are.
        generator: makes images of the prompts.
        perception: the models that read the images.
        store: keeps the images and the outputs of the perception models.
        generation_seed: the seed of every image, fixed so that a state's reading never changes
            (paper, Discussion 2).
        prefetch: None, or "neighbours": a batch of states to generate is filled with neighbours
            of theirs (one unit along one axis) that have no image yet. Useful on a device where a
            larger batch is nearly free.
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
        """Check that the generator knows the grammar's words; generates and loads nothing.

        Raises:
            GenerationError: the grammar has words that the generator never learned.
            EvaluatorError: the seed is no whole number from 0 to 2^63 - 1, or prefetch is unknown.
        """
        if prefetch not in PREFETCH:
            raise EvaluatorError(f"unknown prefetch {prefetch!r}; known: None, 'neighbours'")
        seed = _checked_seed(generation_seed)
        check_words(generator, prompts_with_every_value(grammar))
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
        self.counts = Counts()
        self._texts: dict[str, NDArray[np.float32]] = {}
        self._limit = BatchLimit()

    @property
    def generations(self) -> int:
        """Number of generated images; see `Counts`."""
        return self.counts.generations

    def with_seed(self, generation_seed: int) -> "StateEvaluator":
        """Return an evaluator of the same states with another seed for their images.

        It shares grammar, generator, perception, store and the counts of generated images.

        Raises:
            EvaluatorError: the seed is not a whole number from 0 to 2^63 - 1.
        """
        other = copy.copy(self)
        other.generation_seed = _checked_seed(generation_seed)
        return other

    @property
    def spec(self) -> PerceptionSpec:
        """Return what reading needs of the models; text embeddings come through the store."""
        return self.perception.spec(self._embed_texts)

    def evaluate(self, indices: Sequence[int]) -> Iterator[list[Reading]]:
        """Yield the readings of states, batch by batch, for any number of states.

        What is not in the store is generated and read, in batches as large as the generator
        prefers or memory allows, and stored. Nothing is kept in memory.

        Args:
            indices: numbers of different states (`Grammar.index`).
        """
        return self._evaluate([(index, self.generation_seed) for index in indices])

    def _evaluate(self, seeded: Sequence[Seeded]) -> Iterator[list[Reading]]:
        done = 0
        while done < len(seeded):
            size = self._limit.apply(batch_size(self.generator))
            batch = list(seeded[done : done + size])
            n_asked = len(batch)
            if self.prefetch == "neighbours":
                batch += self._missing_neighbours(batch, size - n_asked)
            try:
                readings = self._read(self._meant(batch))
            except (MemoryError, RuntimeError) as error:
                if not self._limit.lower(len(batch), error):
                    raise
            else:  # here, what a failure held in memory is free
                done += n_asked
                self.counts.prefetched += len(batch) - n_asked
                yield readings[:n_asked]

    def readings(self, states: ArrayLike, seeds: Sequence[int] | None = None) -> list[Reading]:
        """Return what is read in each state's image; see `evaluate`.

        Args:
            states: int ``[n, n_axes]``; a state may occur more than once.
            seeds: of the images, one for each state; None for ``generation_seed``.

        Raises:
            GrammarError: a state outside the grammar.
            EvaluatorError: a seed is not a whole number from 0 to 2^63 - 1.
        """
        indices = [self.grammar.index(state) for state in np.atleast_2d(states)]
        chosen = [self.generation_seed] * len(indices) if seeds is None else seeds
        seeded = list(zip(indices, map(_checked_seed, chosen), strict=True))
        different = list(dict.fromkeys(seeded))
        found = dict(zip(different, itertools.chain(*self._evaluate(different)), strict=True))
        return [found[each] for each in seeded]

    def picture(self, state: ArrayLike) -> Picture:
        """Return the state's image ``uint8 [H, W, 3]``, generated if it is not in the store.

        Plain grey where the generator gives none: `unavailable` returns the reason.
        """
        image = self._image(state)
        return image.placeholder() if isinstance(image, FailedImage) else np.array(image)

    def unavailable(self, state: ArrayLike) -> str | None:
        """Return why the generator gives no image for a state, None where it does."""
        image = self._image(state)
        return image.reason if isinstance(image, FailedImage) else None

    def stored_image(self, state: ArrayLike) -> Picture | None:
        """Return the state's image ``uint8 [H, W, 3]``, or None where the store has none."""
        [key] = self._meant([(self.grammar.index(state), self.generation_seed)])
        return self.store.picture(key)

    def read(self, picture: Picture) -> Reading:
        """Return what is read in an image ``uint8 [H, W, 3]`` of any size and origin: a target."""
        key = pixels_key(picture)
        return self._read({key: ("", 0)}, {key: picture})[0]

    def outside_score(self, picture: Picture) -> float | None:
        """Return how far an image ``uint8 [H, W, 3]`` is from all that the perception knows.

        Above 0 it is outside; None where the perception is not calibrated.
        """
        model = self.perception.outlier_model
        if model is None:
            return None
        key = pixels_key(picture)
        outputs = self.store.outputs(model.fingerprint, [key]) or self._computed(
            model, {key: picture}
        )
        return float(outputs[key]["score"][0])

    def _image(self, state: ArrayLike) -> Picture | FailedImage:
        meant = self._meant([(self.grammar.index(state), self.generation_seed)])
        return next(iter(self._images(meant).values()))

    def _meant(self, seeded: Iterable[Seeded]) -> dict[str, Meant]:
        """Return what images show, by their keys."""
        grammar, fingerprint = self.grammar, self.generator.fingerprint
        meant = [(grammar.decode(grammar.state(index)), seed) for index, seed in seeded]
        return {image_key(fingerprint, *each): each for each in meant}

    def _missing_neighbours(self, asked: Sequence[Seeded], at_most: int) -> list[Seeded]:
        """Return states one unit from those asked for, if any of these has to be generated."""
        if not at_most or not any(map(self._is_missing, asked)):
            return []
        grammar = self.grammar
        around = dict.fromkeys((n, seed) for i, seed in asked for n in neighbours(grammar, i))
        candidates = (each for each in around if each not in asked)
        return list(itertools.islice(filter(self._is_missing, candidates), at_most))

    def _is_missing(self, seeded: Seeded) -> bool:
        [key] = self._meant([seeded])
        models, store = self.perception.models().values(), self.store
        is_read = all(store.outputs(model.fingerprint, [key]) for model in models)
        return not (store.has_picture(key) or is_read or store.failures([key]))

    def _read(self, meant: Mapping[str, Meant], images: Images | None = None) -> list[Reading]:
        """Read images by their keys: the given ones, or else those that are meant."""
        models, store = self.perception.models(), self.store
        outputs = {name: store.outputs(m.fingerprint, meant) for name, m in models.items()}
        unread = {
            key: each
            for key, each in meant.items()
            if any(key not in known for known in outputs.values())
        }
        if images is None:
            images = self._images(unread) if unread else {}
        for name, model in models.items():
            new = {
                key: image
                for key, image in images.items()
                if key not in outputs[name] and not isinstance(image, FailedImage)
            }
            if new:
                outputs[name] |= self._computed(model, new)
        return [
            self._unread
            if isinstance(images.get(key), FailedImage)
            else self._decoder.read(**{name: outputs[name][key] for name in models})
            for key in meant
        ]

    def _computed(
        self, model: PictureModel, images: Mapping[str, Picture]
    ) -> dict[str, Mapping[str, NDArray[Any]]]:
        """Return a model's outputs for images by key, and store them."""
        outputs = model(np.stack(list(images.values())))
        named = dict(zip(images, outputs, strict=True))
        return self.store.add_outputs(model.fingerprint, named)

    def _images(self, meant: Mapping[str, Meant]) -> Images:
        """Return images by key, from the store or else generated in one call."""
        stored = ((key, self.store.picture(key)) for key in meant)
        images: Images = {key: image for key, image in stored if image is not None}
        absent = [key for key in meant if key not in images]
        images |= self.store.failures(absent)
        missing = {key: each for key, each in meant.items() if key not in images}
        if not missing:
            return images
        prompts, seeds = map(list, zip(*missing.values(), strict=True))
        results = generate(self.generator, prompts, seeds)
        self.counts.generations += len(missing)
        return images | self._stored(missing, dict(zip(missing, results, strict=True)))

    def _stored(self, meant: Mapping[str, Meant], results: Images) -> Images:
        """Store what was generated, by key; return what the store holds now."""
        fingerprint = self.generator.fingerprint
        failed = {key: r for key, r in results.items() if isinstance(r, FailedImage)}
        images = {key: r for key, r in results.items() if not isinstance(r, FailedImage)}
        if failed:
            reasons = "; ".join(f"{meant[key][0]!r}: {f.reason}" for key, f in failed.items())
            warnings.warn(
                f"the generator {self.generator.name!r} gives no image for {reasons}; such states"
                " are read as nothing",
                FailedImageWarning,
                stacklevel=2,
            )
        self.store.add_failures(fingerprint, failed)
        named = {meant[key]: image for key, image in images.items()}
        kept = self.store.add_pictures(fingerprint, named, list(images))
        return {**dict(zip(images, kept.values(), strict=True)), **failed}

    @functools.cached_property
    def _unread(self) -> Reading:
        prompt = self.grammar.decode(self.grammar.state(0))
        dimension = self._embed_texts([prompt]).shape[1]
        return Reading.unread(self.grammar.nvec.tolist(), dimension)

    @functools.cached_property
    def _decoder(self) -> LabelDecoder:
        return LabelDecoder(self.grammar, self.spec)

    def _embed_texts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit embeddings float32 ``[n, d]``: in memory, stored, or computed."""
        clip, known = self.perception.clip, self._texts
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in known]
        if new:
            known.update(self.store.texts(clip.fingerprint, new))
            missing = [prompt for prompt in new if prompt not in known]
            if missing:
                embedded = dict(zip(missing, clip.embed_texts(missing), strict=True))
                known.update(self.store.add_texts(clip.fingerprint, embedded))
        embeddings = np.stack([known[prompt] for prompt in prompts])
        if len(known) > MOST_TEXTS:
            known.clear()
        return embeddings


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise EvaluatorError(f"generation_seed is {seed!r}; give a whole number")
    if not 0 <= seed < 2**63:
        raise EvaluatorError(f"generation_seed is {seed}; give 0 to 2^63 - 1")
    return int(seed)
