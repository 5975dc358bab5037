"""Models on the Hugging Face Hub: the commit of a revision, and its files on this machine.

Everything goes through huggingface_hub and its cache, so HF_HOME, HF_HUB_CACHE, HF_ENDPOINT,
HF_TOKEN and HF_HUB_OFFLINE mean what they mean everywhere. Nothing is downloaded before a model
has to run, or a user asks for it.
"""

import functools
import hashlib
import logging
import re
import socket
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rldf_gym.errors import ModelError
from rldf_gym.model_loading import ModelFolder, suppress_all_logs

logger = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_CONNECT_SECONDS = 5.0


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
        if _COMMIT.fullmatch(self.revision):
            return self.revision
        from huggingface_hub import HfApi

        try:
            return self._snapshot((), local_files_only=True).name
        except OSError:
            logger.info("%s has no %r in the cache", self.repository, self.revision)
        try:
            self.require_connection()
            return str(HfApi().model_info(self.repository, revision=self.revision).sha)
        except Exception as error:  # huggingface_hub and the libraries under it raise their own
            raise ModelError(
                f"cannot find the commit of {self.repository} {self.revision!r}: pin one"
                f" ({self.repository}@<commit>), or download it with: {self.download_command}"
                f" [{_one_line(error)}]"
            ) from error

    def files(self, names: Sequence[str]) -> Path:
        """Return a folder with these files: from the cache, else downloaded with a progress bar.

        Raises:
            ModelError: they are not on this machine and cannot be downloaded.
        """
        try:
            return self._whole_snapshot(names, local_files_only=True)
        except OSError:  # huggingface_hub's error for files that are not in its cache
            logger.info("%s at %s is not in the cache", self.repository, self.revision)
        try:
            self.require_connection()
            with suppress_all_logs():
                return self._whole_snapshot(names, local_files_only=False)
        except Exception as error:  # as above
            raise self.missing(error) from error

    def missing(self, reason: Exception) -> ModelError:
        """Return the error that says how to download a model that is not on this machine."""
        return ModelError(
            f"{self.repository} (revision {self.revision}) is not on this machine and could not be"
            f" downloaded; with a network, run: {self.download_command} [{_one_line(reason)}]"
        )

    def require_connection(self) -> None:
        """Check, within seconds, that the Hub may and can be reached.

        huggingface_hub itself retries for half a minute, and logs every attempt.

        Raises:
            ConnectionError: the user forbids it, or there is no connection.
        """
        from huggingface_hub import constants

        if self.local_files_only:
            raise ConnectionError("local_files_only=True")
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError("HF_HUB_OFFLINE is set")
        address = urlsplit(constants.ENDPOINT)
        if address.hostname is None or address.scheme in urllib.request.getproxies():
            return
        port = address.port or (80 if address.scheme == "http" else 443)
        try:
            socket.create_connection((address.hostname, port), _CONNECT_SECONDS).close()
        except OSError as error:
            raise ConnectionError(f"no connection to {address.hostname}: {error}") from error

    def _whole_snapshot(self, names: Sequence[str], *, local_files_only: bool) -> Path:
        folder = self._snapshot(names, local_files_only=local_files_only)
        if lacking := [name for name in names if not (folder / name).is_file()]:
            raise FileNotFoundError(f"it has no {', '.join(lacking)}")
        return folder

    def _snapshot(self, names: Sequence[str], *, local_files_only: bool) -> Path:
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                self.repository,
                revision=self.revision,
                allow_patterns=list(names),
                local_files_only=local_files_only,
            )
        )


@dataclass(frozen=True)
class HubFiles:
    """The files of a model in a repository; the counterpart of `model_loading.ModelFolder`.

    Nothing is looked up or downloaded before `path` is read.

    Attributes:
        source: the repository.
        names: the files.
    """

    source: HubModel
    names: tuple[str, ...]

    @functools.cached_property
    def path(self) -> Path:
        """Folder with the files.

        Raises:
            ModelError: they are not on this machine and cannot be downloaded.
        """
        return self.source.files(self.names)

    @property
    def remedy(self) -> str:
        """How to restore damaged files, as the end of a sentence."""
        return f"delete it and download it again with: {self.source.download_command}"

    def check(self) -> None:
        """Check that files are there and weights not truncated.

        Raises:
            ModelError: names the file that is missing or damaged.
        """
        ModelFolder(self.path, self.names).check()

    def content_hash(self) -> str:
        """Return the identity of the files, as sha256 hex: repository, commit and names."""
        parts = (self.source.repository, self.source.commit(), *self.names)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
