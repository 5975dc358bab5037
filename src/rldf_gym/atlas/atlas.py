"""The readings of all states: the best ones for any target, without generating anything.

Where every state's reading is known, the search that a learner is trained for is one comparison
with all of them, and its result the optimum: the yardstick for every learner.
"""

import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.atlas.atlas_file import AtlasError, AtlasFile, AtlasIdentity, write_atlas
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal
from rldf_gym.grammar import Grammar
from rldf_gym.perception import Reading
from rldf_gym.rewards import DEFAULT_REWARD, Reward, clip, evaluate_reward, resolve_reward

__all__ = ["Atlas", "AtlasError", "AtlasIdentity", "Match", "default_path"]

_MOST_STATES = 10_000_000
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class Match:
    """A state that a search found.

    Attributes:
        state: int64 ``[n_axes]``.
        prompt: its sentence.
        score: the reward for arriving there, with C = C_s = 1.
        similarity: cosine of its picture's CLIP embedding with the target's.
        reading: what was read in its picture.
    """

    state: NDArray[np.int64]
    prompt: str
    score: float
    similarity: float
    reading: Reading


class Atlas:
    """The readings of all states of a world, or of a sample of them, in one file.

    Attributes:
        file: where they are.
        grammar: whose states these are.
    """

    def __init__(self, file: AtlasFile) -> None:
        self.file = file
        self.grammar = file.grammar

    @classmethod
    def open(cls, path: str | Path) -> "Atlas":
        """Open an atlas file; loads no model and generates nothing.

        Raises:
            AtlasError: there is none, or the file is no atlas or damaged.
        """
        return cls(AtlasFile(Path(path)))

    @classmethod
    def build(
        cls,
        evaluator: StateEvaluator,
        path: str | Path | None = None,
        sample: int | None = None,
        seed: int = 0,
        progress: Callable[[int, int], None] | None = None,
    ) -> "Atlas":
        """Generate and read every state that the store does not have, and write the atlas.

        What is drawn is in the store at once, batch by batch: a build that was interrupted, at
        any moment and by any means, goes on from there. The file is written whole or not at all.

        Args:
            evaluator: whose atlas to make.
            path: the file; None for `default_path`. An atlas of the same is opened as it is.
            sample: how many states, chosen at random; None for all of them.
            seed: of that choice.
            progress: receives the number of states read, and of all, after every one.

        Raises:
            AtlasError: the sample is no number from 1 to that of the states, or missing for a
                world of more than ten million; or another atlas has that path.
            OSError: the file cannot be written.
        """
        identity = AtlasIdentity.of(evaluator, sample, seed)
        target = default_path(evaluator, sample, seed) if path is None else Path(path)
        if target.exists():
            atlas = cls.open(target)
            if atlas.file.identity != identity:
                raise AtlasError(f"{target} is the atlas of another world; choose another file")
            return atlas
        indices = _chosen_states(evaluator.grammar, sample, seed)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent) as embeddings:
            arrays = _read_all(evaluator, indices, embeddings, progress)
            write_atlas(target, identity, evaluator.grammar, arrays)
        return cls.open(target)

    def __len__(self) -> int:
        return len(self.file.indices)

    def search(self, goal: Goal, reward: Reward = DEFAULT_REWARD, k: int = 5) -> list[Match]:
        """Return the states with the highest reward for a goal, over the whole atlas.

        Args:
            goal: found with the same grammar and the same perception.
            reward: a name, ``package.module:function``, or a function; see `rldf_gym.rewards`.
            k: how many.

        Returns:
            The best first; where rewards are equal, the one more similar by CLIP.

        Raises:
            RewardError: an unknown reward, or one that gives no finite number for every image.
        """
        function = resolve_reward(reward)
        parts = [
            (evaluate_reward(function, readings, goal), clip(readings, goal))
            for readings in self.file.readings(_ROWS_AT_ONCE)
        ]
        scores, similarity = map(np.concatenate, zip(*parts, strict=True))
        best = np.lexsort((self.file.indices, -similarity, -scores))[:k]
        return [
            self._match(row, float(scores[row]), float(similarity[row])) for row in best.tolist()
        ]

    def _match(self, row: int, score: float, similarity: float) -> Match:
        state = self.grammar.state(self.file.indices[row])
        [embedding] = self.file.embeddings(row, row + 1)
        reading = Reading(self.file.values[row], self.file.confidence[row], embedding)
        return Match(state, self.grammar.decode(state), score, similarity, reading)


def default_path(evaluator: StateEvaluator, sample: int | None = None, seed: int = 0) -> Path:
    """Return the default path of an atlas: in the folder ``atlases`` beside the store.

    Raises:
        AtlasError: the world's store is in memory.
    """
    if evaluator.store.path is None:
        raise AtlasError("a world whose store is in memory has no place for an atlas: give a path")
    part = "" if sample is None else f"-{sample}"
    digest = AtlasIdentity.of(evaluator, sample, seed).digest[:16]
    name = f"{evaluator.grammar.name}{part}-{digest}.safetensors"
    return evaluator.store.path.parent / "atlases" / name


def _chosen_states(grammar: Grammar, sample: int | None, seed: int) -> NDArray[np.int64]:
    """Numbers of the states, int64 ``[n]``, ascending."""
    if sample is not None and not 1 <= sample <= grammar.n_states:
        raise AtlasError(f"a sample of {sample} states; give 1 to {grammar.n_states}")
    if (sample or grammar.n_states) > _MOST_STATES:
        raise AtlasError(
            f"{sample or grammar.n_states} states are too many for one atlas (at most"
            f" {_MOST_STATES}); take a sample of them"
        )
    if sample is None:
        return np.arange(grammar.n_states, dtype=np.int64)
    drawn = np.random.default_rng(seed).choice(grammar.n_states, sample, replace=False)
    return np.sort(drawn).astype(np.int64)


def _read_all(
    evaluator: StateEvaluator,
    indices: NDArray[np.int64],
    embeddings: IO[bytes],
    progress: Callable[[int, int], None] | None,
) -> dict[str, NDArray[Any]]:
    """An atlas's arrays; its embeddings, the most of it, stay in the file given."""
    n, n_axes = len(indices), evaluator.grammar.n_axes
    values = np.empty((n, n_axes), np.int64)
    confidence = np.empty((n, n_axes), np.float32)
    listed: Sequence[int] = indices.tolist()
    evaluated = itertools.chain.from_iterable(evaluator.evaluate(listed))
    for row, reading in enumerate(evaluated):
        values[row], confidence[row] = reading.values, reading.confidence
        embeddings.write(reading.embedding.tobytes())
        if progress is not None:
            progress(row + 1, n)
    embeddings.flush()
    return {
        "indices": indices,
        "values": values,
        "confidence": confidence,
        "embeddings": np.memmap(embeddings, np.float32, "r").reshape(n, -1),
    }
