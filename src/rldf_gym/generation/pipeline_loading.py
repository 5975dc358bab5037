"""Find, identify and load the files of a preset's diffusers pipeline."""

import contextlib
import hashlib
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rldf_gym.generation.preset import GeneratorPreset
from rldf_gym.generation.presets import PRESETS
from rldf_gym.generation.protocols import GenerationError
from rldf_gym.model_files import HubModel, ModelFiles, is_repository
from rldf_gym.model_loading import suppress_all_logs

if TYPE_CHECKING:
    import torch

_PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
_WEIGHTS = _PICKLES | {".safetensors"}
_NO_NETWORK = re.compile("Tokenizer|Scheduler|Processor|FeatureExtractor")
"""Classes of a pipeline's parts that have no weights."""

_VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")


@dataclass(frozen=True)
class PipelineFiles:
    """The files of one preset, wherever they are.

    Attributes:
        name: how the user called the generator, for messages.
        preset: the model and its settings.
    """

    name: str
    preset: GeneratorPreset

    def fingerprint(self) -> str:
        """Return the sha256 hex of everything that decides pixels; imports no torch.

        Raises:
            ModelError: the files of a folder are missing or damaged, or a revision that is no
                commit cannot be looked up.
        """
        preset = self.preset
        config = preset.fingerprint_config() | {
            "weights": self._identity(preset.repository, preset.revision),
            "vae": None if preset.vae is None else self._identity(preset.vae, preset.vae_revision),
        }
        return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()

    def load(self, device: "torch.device") -> Any:
        """Return the pipeline on a device; download it if it is not on this machine.

        Raises:
            ModelError: naming the file, or the repository and the command that fetches it.
            GenerationError: the files are there, and no pipeline.
        """
        import diffusers
        import torch

        preset = self.preset
        loading = self._safetensors() | {
            "torch_dtype": getattr(torch, preset.dtype),
            "local_files_only": True,
        }
        model, vae = self._pipeline_folder(), self._vae_folder()
        with _silent_loading():
            try:
                parts = self._left_out()
                if vae is not None:
                    parts["vae"] = diffusers.AutoModel.from_pretrained(str(vae), **loading)
                pipeline = _pipeline_class(model).from_pretrained(
                    model, **_variant(preset), **parts, **loading
                )
                _replace_scheduler(pipeline, preset)
                return pipeline.to(device)
            except Exception as error:  # every library under diffusers raises its own kinds
                reason = " ".join(str(error).split()) or type(error).__name__
                raise GenerationError(
                    f"the generator {self.name!r} ({preset.repository}) cannot be loaded"
                    f" [{reason}]{self._pickle_hint(model)}"
                ) from error

    def fetch(self) -> None:
        """Download all files of the preset, with progress bars.

        Raises:
            ModelError: they cannot be had.
        """
        self._pipeline_folder()
        self._vae_folder()

    def _identity(self, repository: str, revision: str) -> str:
        source = self._source(repository, revision)
        if isinstance(source, ModelFiles):
            return source.content_hash()
        return f"{repository}@{source.commit()}"

    def _pipeline_folder(self) -> Path:
        preset = self.preset
        source = self._source(preset.repository, preset.revision)
        if isinstance(source, ModelFiles):
            source.check()
            return source.path
        import diffusers

        commit = source.commit()

        def download(local_files_only: bool) -> Path:
            with _silent_loading() if local_files_only else contextlib.nullcontext():
                folder = diffusers.DiffusionPipeline.download(
                    preset.repository,
                    revision=commit,
                    local_files_only=local_files_only,
                    **self._safetensors(),
                    **_variant(preset),
                    **self._left_out(),
                )
            self._check_weights(Path(folder))
            return Path(folder)

        return source.obtain(download)

    def _vae_folder(self) -> Path | None:
        if self.preset.vae is None:
            return None
        source = self._source(self.preset.vae, self.preset.vae_revision)
        if isinstance(source, ModelFiles):
            source.check()
            return source.path
        return source.files(_VAE_FILES)

    def _source(self, repository: str, revision: str) -> ModelFiles | HubModel:
        """Return where a repository id ("owner/name"), or else a folder, has its files."""
        path = Path(repository).expanduser()
        if path.is_absolute() or path.is_dir():
            is_part = (path / "config.json").is_file() and not (path / "model_index.json").is_file()
            return ModelFiles(path, ("config.json" if is_part else "model_index.json",))
        if not is_repository(repository):
            raise GenerationError(
                f"the generator {self.name!r}: {repository!r} is neither a folder nor a repository"
                " id (owner/name)"
            )
        known = PRESETS.get(self.name)
        fetched = () if known is None else (known.repository, known.vae)
        download_command = (
            f"rldf generators fetch {self.name}"
            if repository in fetched
            else f"hf download {repository} --revision {revision}"
        )
        return HubModel(repository, revision, download_command, self.preset.local_files_only)

    def _safetensors(self) -> dict[str, Any]:
        """Return the option that keeps diffusers and transformers from unpickling anything."""
        return {"use_safetensors": None if self.preset.allow_pickle_weights else True}

    def _left_out(self) -> dict[str, Any]:
        """Return the parts of the pipeline that are neither downloaded nor loaded, as None."""
        parts: dict[str, Any] = {}
        if not self.preset.safety_checker:
            parts |= dict.fromkeys(("safety_checker", "feature_extractor"))
            parts["requires_safety_checker"] = False
        if self.preset.vae is not None:
            parts["vae"] = None
        return parts

    def _check_weights(self, folder: Path) -> None:
        """Raise `FileNotFoundError` where an interrupted download left out a part's weights."""
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
        for name, kind in index.items():
            is_network = isinstance(kind, list) and not _NO_NETWORK.search(str(kind[-1]))
            if not is_network or name in self._left_out() or not (folder / name).is_dir():
                continue
            if not any(file.suffix in _WEIGHTS for file in (folder / name).iterdir()):
                raise FileNotFoundError(f"{name} has no weights in the cache")

    def _pickle_hint(self, folder: Path) -> str:
        """Return advice where weights may be missing because they are pickled, else ''."""
        if self.preset.allow_pickle_weights:
            return ""
        files = sorted(f.relative_to(folder) for f in folder.rglob("*") if f.suffix in _PICKLES)
        if not files:
            return ""
        return (
            f"; the pickled weights in {folder} ({', '.join(map(str, files))}) are not loaded:"
            " unpickling runs whatever code a file carries. Convert them to safetensors, or, if"
            " you trust their author, use allow_pickle_weights=True"
        )


def _pipeline_class(folder: Path) -> Any:
    """Return the class that loads a pipeline.

    `AutoPipelineForText2Image` would load the same for Stable Diffusion, but importing it imports
    every pipeline of diffusers: two seconds.
    """
    import diffusers

    index = diffusers.DiffusionPipeline.load_config(folder)
    if index.get("_class_name") == "StableDiffusionPipeline":
        return diffusers.StableDiffusionPipeline
    return diffusers.AutoPipelineForText2Image


def _variant(preset: GeneratorPreset) -> dict[str, str]:
    return {} if preset.variant is None else {"variant": preset.variant}


def _replace_scheduler(pipeline: Any, preset: GeneratorPreset) -> None:
    import diffusers

    if preset.scheduler is None and not preset.scheduler_options:
        return
    name = preset.scheduler or type(pipeline.scheduler).__name__
    kind = getattr(diffusers, name, None)
    if kind is None or not name.endswith("Scheduler"):
        raise GenerationError(f"diffusers has no scheduler {name!r}")
    # Where a package is missing, this raises an error that names it.
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config, **preset.scheduler_options)
    # `from_config` passes over what it does not know.
    known = set(inspect.signature(kind).parameters)
    if unknown := sorted(set(preset.scheduler_options) - known):
        raise GenerationError(
            f"{name} has no option {', '.join(unknown)}; it has: {', '.join(sorted(known))}"
        )


@contextlib.contextmanager
def _silent_loading() -> Iterator[None]:
    """Suppress log records and progress bars while weights are loaded."""
    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    with contextlib.ExitStack() as restored, suppress_all_logs():
        for library in (diffusers_logging, transformers_logging):
            if library.is_progress_bar_enabled():
                library.disable_progress_bar()
                restored.callback(library.enable_progress_bar)
        yield
