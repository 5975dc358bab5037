"""The files of a model: in a folder, or on the Hugging Face Hub and in its cache.

Everything on the Hub goes through huggingface_hub, so HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN
and HF_HUB_OFFLINE mean what they mean everywhere. Nothing is downloaded before a model has to run,
or a user asks for it. Nothing here imports torch: a fingerprint needs none.
"""

import functools
import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rldf_gym.errors import ModelError
from rldf_gym.model_loading import suppress_all_logs

logger = logging.getLogger(__name__)

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of the models that ship with the package."""

_DECIDING_SUFFIXES = frozenset({".bin", ".json", ".model", ".safetensors", ".txt"})
"""Files that decide what a model computes; cards and licences beside them do not."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_CONNECT_SECONDS = 10.0


def is_repository(name: str) -> bool:
    """Return whether a name has the form of a repository id, "owner/name"."""
    return _REPOSITORY.fullmatch(name) is not None


@dataclass(frozen=True)
class HubModel:
    """A repository at one revision.

    Attributes:
        repository: "owner/name".
        revision: a commit, or the name of a branch or tag.
        download_command: what downloads it, for messages.
        local_files_only: never connect to the Hub.
    """

    repository: str
    revision: str
    download_command: str
    local_files_only: bool = False

    def commit(self) -> str:
        """Return the commit of the revision: itself, or by the cache, or else by the Hub.

        Raises:
            ModelError: neither knows it.
        """
        return self.revision if _COMMIT.fullmatch(self.revision) else self.files(()).name

    def files(self, names: Sequence[str]) -> Path:
        """Return a folder with these files: from the cache, else downloaded with a progress bar.

        Raises:
            ModelError: they are not on this machine and cannot be downloaded.
        """
        from huggingface_hub import snapshot_download

        def snapshot(local_files_only: bool) -> Path:
            folder = Path(
                snapshot_download(
                    self.repository,
                    revision=self.revision,
                    allow_patterns=list(names),
                    local_files_only=local_files_only,
                )
            )
            if lacking := [name for name in names if not (folder / name).is_file()]:
                raise FileNotFoundError(f"it has no {', '.join(lacking)}")
            return folder

        return self.obtain(snapshot)

    def obtain(self, download: Callable[[bool], Path]) -> Path:
        """Return a folder of the cache, whole.

        Args:
            download: receives whether to use local files only; raises `OSError` or `ValueError`
                where they are missing or damaged.

        Raises:
            ModelError: naming the command to download the model.
        """
        try:
            return download(True)
        except (OSError, ValueError):
            logger.info("%s at %s is not in the cache", self.repository, self.revision)
        try:
            self._check_connection()
            with suppress_all_logs():
                return download(False)
        except Exception as error:  # huggingface_hub and the libraries under it raise their own
            pin = "" if _COMMIT.fullmatch(self.revision) else ", or pin one: <repository>@<commit>"
            raise ModelError(
                f"{self.repository} (revision {self.revision}) is not on this machine and could not"
                f" be downloaded; with a network, run: {self.download_command}{pin}"
                f" [{' '.join(str(error).split()) or type(error).__name__}]"
            ) from error

    def _check_connection(self) -> None:
        """Ask the Hub for the revision, once: a download would retry for half a minute."""
        from huggingface_hub import HfApi

        if self.local_files_only:
            raise ConnectionError("local_files_only=True")
        HfApi().model_info(self.repository, revision=self.revision, timeout=_CONNECT_SECONDS)


@dataclass(frozen=True)
class ModelFiles:
    """One model's configuration and safetensors weights.

    Nothing is looked up or downloaded before `path` is read.

    Attributes:
        source: a folder, or a repository.
        required: names of the files without which the model cannot be loaded.
    """

    source: Path | HubModel
    required: tuple[str, ...]

    @functools.cached_property
    def path(self) -> Path:
        """Folder with the files.

        Raises:
            ModelError: they are not on this machine and cannot be downloaded.
        """
        return self.source if isinstance(self.source, Path) else self.source.files(self.required)

    @property
    def remedy(self) -> str:
        """How to restore missing or damaged files, as the end of a sentence."""
        if isinstance(self.source, HubModel):
            return f"delete it and download it again with: {self.source.download_command}"
        if self.path.is_relative_to(EMBEDDED):
            return "reinstall the package: pip install --force-reinstall --no-deps rldf-gym"
        return "save the model into that folder again"

    def check(self) -> None:
        """Check that files are there and weights not truncated; a flipped bit is not found.

        Raises:
            ModelError: names the file, what is wrong with it and how to restore it.
        """
        from safetensors import SafetensorError, safe_open

        for name in self.required:
            if not (self.path / name).is_file():
                raise ModelError(f"model file {self.path / name} is missing; {self.remedy}")
        for weights in sorted(self.path.rglob("*.safetensors")):
            try:
                with safe_open(weights, framework="numpy"):
                    pass
            except (SafetensorError, OSError) as error:
                raise ModelError(
                    f"weights file {weights} is damaged ({error}); {self.remedy}"
                ) from error

    def content_hash(self) -> str:
        """Return the identity of the model, as sha256 hex.

        Of a repository, its name, commit and the names of the files; of a folder, the content of
        all files that decide the model's outputs, read once per process.

        Raises:
            ModelError: files are missing or damaged, or the commit is not known.
        """
        if isinstance(self.source, HubModel):
            parts = (self.source.repository, self.source.commit(), *self.required)
            return hashlib.sha256("\0".join(parts).encode()).hexdigest()
        self.check()
        files = sorted(
            file.relative_to(self.path).as_posix()
            for file in self.path.rglob("*")
            if file.suffix in _DECIDING_SUFFIXES and file.is_file()
        )
        return _hash_files(self.path, tuple((name, *_stamp(self.path / name)) for name in files))


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@functools.cache
def _hash_files(folder: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    # The times only key the cache: a file that changed on disk is hashed anew.
    digest = hashlib.sha256()
    for name, size, _ in files:
        digest.update(f"{name}\0{size}\0".encode())
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
