"""The file of an atlas: what it is of, and what was read in every state; safetensors."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.atomic_file import replacing
from rldf_gym.errors import RLDFError
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.grammar import Grammar, compile_grammar
from rldf_gym.perception import Readings

_METADATA = "rldf_atlas"
_VERSION = 1


class AtlasError(RLDFError):
    """An atlas that does not exist, is damaged, or belongs to another world."""


@dataclass(frozen=True)
class AtlasIdentity:
    """What decides everything that an atlas holds.

    Attributes:
        grammar: fingerprint of the grammar.
        generator: fingerprint of the generator.
        models: fingerprint of every perception model, by name.
        generation_seed: the seed of every picture.
        sample: how many states were chosen at random; None for all.
        seed: of that lot.
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
        """The identity of the atlas of a world, or of so many of its states."""
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


class AtlasFile:
    """An atlas on disk: ``indices``, ``values``, ``confidence`` and ``embeddings``.

    The embeddings stay there, mapped into memory, and are read a part at a time.

    Attributes:
        path: the file.
        identity: of what this is the atlas.
        grammar: whose states these are.
        indices: numbers of the states, int64 ``[n]``, ascending.
        values: what was read, int64 ``[n, n_axes]``, -1 where nothing could be.
        confidence: float32 ``[n, n_axes]``, 0..1.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            AtlasError: there is none, or it is no atlas, damaged, or of another version.
        """
        from safetensors import SafetensorError, safe_open

        try:
            tensors: Any = safe_open(path, framework="np")
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
                " nothing that the store has is drawn anew"
            ) from error
        self.path = path

    def readings(self, n_rows: int) -> Iterator[Readings]:
        """Yield all readings in order, at most ``n_rows`` at a time."""
        for start in range(0, len(self.indices), n_rows):
            part = slice(start, min(start + n_rows, len(self.indices)))
            embeddings = self.embeddings(part.start, part.stop)
            yield Readings(self.values[part], self.confidence[part], embeddings)

    def embeddings(self, start: int, stop: int) -> NDArray[np.float32]:
        """Unit CLIP embeddings of these rows, float32 ``[stop - start, d]``, read from the file."""
        rows: NDArray[np.float32] = self._embeddings[start:stop]
        return rows


def write_atlas(
    path: Path, identity: AtlasIdentity, grammar: Grammar, arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Write an atlas, whole or not at all.

    Args:
        path: the file, in a folder that exists.
        identity: of what this is the atlas.
        grammar: whose states these are.
        arrays: by the names in `AtlasFile`.

    Raises:
        OSError: the file cannot be written.
    """
    from safetensors.numpy import save_file

    facts = {
        "version": _VERSION,
        "identity": asdict(identity),
        "grammar_name": grammar.name,
        "grammar_source": grammar.source,
        "grammar_roles": dict(grammar.roles),
    }
    with replacing(path) as partial:
        save_file(dict(arrays), partial, metadata={_METADATA: json.dumps(facts)})
