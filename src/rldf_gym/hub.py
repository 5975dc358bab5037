"""Models on the Hugging Face Hub: which commit a name means, and its files on this machine.

Everything goes through huggingface_hub and its cache, so that HF_HOME, HF_HUB_CACHE, HF_TOKEN and
HF_HUB_OFFLINE mean what they mean everywhere. Nothing is downloaded before a model has to run,
or a user asks for it.
"""

import functools
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rldf_gym.errors import RLDFError
from rldf_gym.model_loading import ModelFolder

logger = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def is_repository(name: str) -> bool:
    """Whether that has the form of a repository id, "owner/name"."""
    return _REPOSITORY.fullmatch(name) is not None


def is_offline() -> bool:
    """Whether the user's HF_HUB_OFFLINE forbids every connection to the Hub."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


@dataclass(frozen=True)
class HubModel:
    """A repository at one revision.

    Attributes:
        repository: "owner/name".
        revision: a commit, or the name of a branch or tag.
        local_files_only: never connect to the Hub.
        error: exception class that its room raises.
        fetching: the command that downloads it, for messages.
    """

    repository: str
    revision: str
    local_files_only: bool
    error: type[RLDFError]
    fetching: str

    def commit(self) -> str:
        """The commit that the revision means: itself, or what the cache or else the Hub says.

        Raises:
            RLDFError: of class `error`, when neither can tell.
        """
        if _COMMIT.fullmatch(self.revision):
            return self.revision
        from huggingface_hub import HfApi, constants
        from huggingface_hub.file_download import repo_folder_name

        folder = repo_folder_name(repo_id=self.repository, repo_type="model")
        reference = Path(constants.HF_HUB_CACHE) / folder / "refs" / self.revision
        if reference.is_file():
            return reference.read_text(encoding="utf-8").strip()
        try:
            self._require_connection()
            return str(HfApi().model_info(self.repository, revision=self.revision).sha)
        except Exception as error:  # huggingface_hub and the libraries under it raise their own
            raise self.error(
                f"cannot tell which commit of {self.repository} {self.revision!r} is: pin one"
                f" ({self.repository}@<commit>), or fetch it with: {self.fetching}"
                f" [{_said(error)}]"
            ) from error

    def files(self, names: Sequence[str]) -> Path:
        """Folder with these files: from the cache, else downloaded with a progress bar.

        Raises:
            RLDFError: of class `error`, when they are not here and cannot be had.
        """
        from huggingface_hub import snapshot_download

        commit = self.commit()

        def snapshot(local_files_only: bool) -> Path:
            return Path(
                snapshot_download(
                    self.repository,
                    revision=commit,
                    allow_patterns=list(names),
                    local_files_only=local_files_only,
                )
            )

        def whole(folder: Path) -> Path:
            if lacking := [name for name in names if not (folder / name).is_file()]:
                raise FileNotFoundError(f"it has no {', '.join(lacking)}")
            return folder

        try:
            return whole(snapshot(local_files_only=True))
        except OSError:
            # What huggingface_hub raises for a snapshot that is not there: it has to be fetched.
            logger.info("%s at %s is not in the cache", self.repository, commit)
        try:
            self._require_connection()
            return whole(snapshot(local_files_only=False))
        except Exception as error:  # as above
            raise self.missing(error) from error

    def may_connect(self) -> bool:
        """Whether it may be downloaded."""
        return not (self.local_files_only or is_offline())

    def missing(self, reason: Exception) -> RLDFError:
        """The error that says that it is not on this machine, and the command that fetches it."""
        return self.error(
            f"{self.repository} (revision {self.revision}) is not on this machine and could not be"
            f" downloaded; with a network, fetch it with: {self.fetching} [{_said(reason)}]"
        )

    def _require_connection(self) -> None:
        if not self.may_connect():
            raise ConnectionError(
                "local_files_only=True" if self.local_files_only else "HF_HUB_OFFLINE is set"
            )


@dataclass(frozen=True)
class HubFiles:
    """Files of a repository, as a model wants them: the twin of `model_loading.ModelFolder`.

    Nothing is looked up or downloaded before `path` is asked for.

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
            RLDFError: when they are not here and cannot be had.
        """
        return self.source.files(self.names)

    @property
    def mend(self) -> str:
        """What brings damaged files back, as the end of a sentence."""
        return f"delete it and fetch it again with: {self.source.fetching}"

    def check(self) -> None:
        """Refuse truncated weights.

        Raises:
            RLDFError: naming the file, when one is missing or damaged.
        """
        ModelFolder(self.path, self.names, self.source.error).check()

    def content_hash(self) -> str:
        """Identity of the files, as sha256 hex: their repository, commit and names."""
        parts = (self.source.repository, self.source.commit(), *self.names)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
