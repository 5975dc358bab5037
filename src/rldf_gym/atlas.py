"""The readings of all states: the best ones for any target, without generating anything.

Where every state's reading is known, the search that a learner is trained for is one comparison
with all of them, and its result the optimum: the yardstick for every learner.
"""

import hashlib
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.atomic_file import replacing
from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.goal import Goal
from rldf_gym.grammar import Grammar, compile_grammar
from rldf_gym.perception import Reading, Readings
from rldf_gym.rewards import DEFAULT_REWARD, Reward, clip, evaluate_reward, resolve_reward

_MOST_STATES = 10_000_000
_ROWS_AT_ONCE = 65_536
_METADATA = "rldf_atlas"
_VERSION = 1


class AtlasError(RLDFError):
    """An atlas that does not exist, is damaged, or belongs to another grammar or model."""


@dataclass(frozen=True)
class AtlasIdentity:
    """What decides everything in an atlas.

    Attributes:
        grammar: fingerprint of the grammar.
        generator: fingerprint of the generator.
        models: fingerprint of every perception model, by name.
        generation_seed: the seed of every image.
        sample: how many states were chosen at random; None for all.
        seed: of that choice.
    """

    grammar: str
    generator: str
    models: dict[str, str]
    generation_seed: int
    sample: int | None
    seed: int

    @classmethod
    def of(
        cls, evaluator: StateEvaluator, sample: int | None = None, seed: int = 0
    ) -> "AtlasIdentity":
        """Return the identity of the atlas of an evaluator, or of so many of its states."""
        return cls(
            grammar=evaluator.grammar.fingerprint,
            generator=evaluator.generator.fingerprint,
            models={
                name: m.fingerprint for name, m in sorted(evaluator.perception.models().items())
            },
            generation_seed=evaluator.generation_seed,
            sample=sample,
            seed=seed if sample is not None else 0,
        )

    @property
    def digest(self) -> str:
        """Sha256 hex of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Match:
    """A state that a search found.

    Attributes:
        state: int64 ``[n_axes]``.
        prompt: its sentence.
        score: the reward for arriving there, with C = C_s = 1.
        similarity: cosine of its image's CLIP embedding with the target's.
        reading: of its image.
    """

    state: NDArray[np.int64]
    prompt: str
    score: float
    similarity: float
    reading: Reading


class Atlas:
    """The readings of all states of a grammar, or of a sample of them, in one safetensors file.

    The embeddings stay in the file, mapped into memory, and are read a part at a time.

    Args:
        path: the file; no model is loaded and nothing is generated.

    Attributes:
        path: the file.
        identity: what decides its content.
        grammar: whose states these are.
        indices: numbers of the states, int64 ``[n]``, ascending.
        values: of the readings, int64 ``[n, n_axes]``, -1 where nothing was recognised.
        confidence: float32 ``[n, n_axes]``, 0..1.

    Raises:
        AtlasError: there is no file, or it is no atlas, damaged, or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = Path(path)
        try:
            tensors: Any = safe_open(self.path, framework="np")
            facts = json.loads(tensors.metadata()[_METADATA])
            if facts["version"] != _VERSION:
                raise ValueError(f"its version is {facts['version']}, not {_VERSION}")
            self.identity = AtlasIdentity(**facts["identity"])
            self.grammar: Grammar = compile_grammar(
                facts["grammar_source"], facts["grammar_name"], facts.get("grammar_roles")
            )
            self.indices: NDArray[np.int64] = tensors.get_tensor("indices")
            self.values: NDArray[np.int64] = tensors.get_tensor("values")
            self.confidence: NDArray[np.float32] = tensors.get_tensor("confidence")
            self._embeddings = tensors.get_slice("embeddings")
        except FileNotFoundError as error:
            raise AtlasError(f"there is no atlas {path}; 'rldf atlas build' makes one") from error
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise AtlasError(
                f"{path} is no atlas, or is damaged ({error}); delete it and build it again:"
                " nothing that the store has is generated anew"
            ) from error

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

        What is generated is in the store at once, batch by batch: an interrupted build continues
        from there. The file is written whole or not at all.

        Args:
            evaluator: whose atlas to make.
            path: the file; None for `default_path`. An atlas of the same identity is opened.
            sample: how many states, chosen at random; None for all of them.
            seed: of that choice.
            progress: receives the number of states read, and of all, after every one.

        Raises:
            AtlasError: the sample is no number from 1 to that of the states, or missing for a
                grammar of more than ten million; or another atlas has that path.
            OSError: the file cannot be written.
        """
        identity = AtlasIdentity.of(evaluator, sample, seed)
        target = default_path(evaluator, sample, seed) if path is None else Path(path)
        if not target.exists():
            indices = _chosen_states(evaluator.grammar, identity)
            _write(target, identity, evaluator, indices, progress)
        atlas = cls(target)
        if atlas.identity != identity:
            raise AtlasError(
                f"{target} is the atlas of another grammar or model; choose another file"
            )
        return atlas

    def __len__(self) -> int:
        return len(self.indices)

    def readings(self, n_rows: int) -> Iterator[Readings]:
        """Yield all readings in order, at most ``n_rows`` at a time."""
        for start in range(0, len(self), n_rows):
            part = slice(start, min(start + n_rows, len(self)))
            embeddings: NDArray[np.float32] = self._embeddings[part]
            yield Readings(self.values[part], self.confidence[part], embeddings)

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
            for readings in self.readings(_ROWS_AT_ONCE)
        ]
        scores, similarity = map(np.concatenate, zip(*parts, strict=True))
        best = np.lexsort((self.indices, -similarity, -scores))[:k]
        return [
            self._match(row, float(scores[row]), float(similarity[row])) for row in best.tolist()
        ]

    def _match(self, row: int, score: float, similarity: float) -> Match:
        state = self.grammar.state(self.indices[row])
        [embedding] = self._embeddings[row : row + 1]
        reading = Reading(self.values[row], self.confidence[row], embedding)
        return Match(state, self.grammar.decode(state), score, similarity, reading)


def default_path(evaluator: StateEvaluator, sample: int | None = None, seed: int = 0) -> Path:
    """Return the default path of an atlas: in the folder ``atlases`` beside the store.

    Raises:
        AtlasError: the store is in memory.
    """
    if evaluator.store.path is None:
        raise AtlasError("the store is in memory and has no folder for an atlas: give a path")
    part = "" if sample is None else f"-{sample}"
    digest = AtlasIdentity.of(evaluator, sample, seed).digest[:16]
    name = f"{evaluator.grammar.name}{part}-{digest}.safetensors"
    return evaluator.store.path.parent / "atlases" / name


def _chosen_states(grammar: Grammar, identity: AtlasIdentity) -> NDArray[np.int64]:
    """Return the numbers of the states, int64 ``[n]``, ascending."""
    sample = identity.sample
    if sample is not None and not 1 <= sample <= grammar.n_states:
        raise AtlasError(f"a sample of {sample} states; give 1 to {grammar.n_states}")
    if (sample or grammar.n_states) > _MOST_STATES:
        raise AtlasError(
            f"{sample or grammar.n_states} states are too many for one atlas (at most"
            f" {_MOST_STATES}); take a sample of them"
        )
    if sample is None:
        return np.arange(grammar.n_states, dtype=np.int64)
    chosen = np.random.default_rng(identity.seed).choice(grammar.n_states, sample, replace=False)
    return np.sort(chosen).astype(np.int64)


def _write(
    path: Path,
    identity: AtlasIdentity,
    evaluator: StateEvaluator,
    indices: NDArray[np.int64],
    progress: Callable[[int, int], None] | None,
) -> None:
    from safetensors.numpy import save_file

    grammar = evaluator.grammar
    facts = {
        "version": _VERSION,
        "identity": asdict(identity),
        "grammar_name": grammar.name,
        "grammar_source": grammar.source,
        "grammar_roles": dict(grammar.roles),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path.parent) as embeddings, replacing(path) as partial:
        arrays = _read_all(evaluator, indices, embeddings, progress)
        save_file(arrays, partial, metadata={_METADATA: json.dumps(facts)})


def _read_all(
    evaluator: StateEvaluator,
    indices: NDArray[np.int64],
    embeddings: IO[bytes],
    progress: Callable[[int, int], None] | None,
) -> dict[str, NDArray[Any]]:
    """Return an atlas's arrays; its embeddings, the most of it, stay in the file given."""
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
