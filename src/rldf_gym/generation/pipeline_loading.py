"""Find, identify and load the files of a preset's diffusers pipeline."""

import contextlib
import hashlib
import importlib.util
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
from rldf_gym.hub import HubModel, is_repository
from rldf_gym.model_loading import ModelFolder, suppress_all_logs

if TYPE_CHECKING:
    import torch

_PICKLES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
_NO_NETWORK = re.compile("Tokenizer|Scheduler|Processor|FeatureExtractor")
"""Classes of a pipeline's parts that have no weights."""

_WEIGHTS = _PICKLES | {".safetensors"}
_UNSAFE = (
    "has pickled weights only ({files}), and unpickling runs whatever code a file carries; "
    "convert them to safetensors, or, if you trust their author, allow_pickle_weights=True"
)


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
            GenerationError: naming the file, or the repository and the command that fetches it.
        """
        import diffusers
        import torch

        preset = self.preset
        loading: dict[str, Any] = {
            "torch_dtype": getattr(torch, preset.dtype),
            "use_safetensors": None if preset.allow_pickle_weights else True,
            "local_files_only": True,
        }
        model, vae = self._pipeline_folder(), self._vae_folder()
        for folder in filter(None, (model, vae)):
            self._validate_no_pickles(folder)
        with _silent_loading():
            try:
                parts = self._left_out()
                if vae is not None:
                    parts["vae"] = _autoencoder_class(vae).from_pretrained(vae, **loading)
                pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(
                    model, **_variant(preset), **parts, **loading
                )
                _replace_scheduler(pipeline, preset)
                return pipeline.to(device)
            except Exception as error:  # every library under diffusers raises its own kinds
                raise GenerationError(self._failed(error)) from error

    def fetch(self) -> None:
        """Download all files of the preset, with progress bars.

        Raises:
            GenerationError: when they cannot be had.
        """
        self._pipeline_folder()
        self._vae_folder()

    def _identity(self, repository: str, revision: str) -> str:
        folder = _model_folder(repository)
        if folder is not None:
            return folder.content_hash()
        return f"{repository}@{self._on_the_hub(repository, revision).commit()}"

    def _pipeline_folder(self) -> Path:
        preset = self.preset
        folder = _model_folder(preset.repository)
        if folder is not None:
            folder.check()
            return folder.path
        import diffusers

        def download(**options: Any) -> Path:
            return Path(
                diffusers.DiffusionPipeline.download(
                    preset.repository,
                    revision=commit,
                    use_safetensors=None if preset.allow_pickle_weights else True,
                    **_variant(preset),
                    **self._left_out(),
                    **options,
                )
            )

        source = self._on_the_hub(preset.repository, preset.revision)
        commit = source.commit()
        with contextlib.suppress(OSError), _silent_loading():
            return self._whole(download(local_files_only=True))
        try:
            source.require_connection()
            with suppress_all_logs():
                return self._whole(download())
        except Exception as error:  # as in `load`
            raise source.missing(error) from error

    def _vae_folder(self) -> Path | None:
        preset = self.preset
        if preset.vae is None:
            return None
        folder = _model_folder(preset.vae)
        if folder is not None:
            folder.check()
            return folder.path
        source = self._on_the_hub(preset.vae, preset.vae_revision)
        return source.files(("config.json", "diffusion_pytorch_model.safetensors"))

    def _left_out(self) -> dict[str, Any]:
        """Return the parts of the pipeline that are neither downloaded nor loaded, as None."""
        parts: dict[str, Any] = {}
        if not self.preset.safety_checker:
            parts |= dict.fromkeys(("safety_checker", "feature_extractor"))
            parts["requires_safety_checker"] = False
        if self.preset.vae is not None:
            parts["vae"] = None
        return parts

    def _on_the_hub(self, repository: str, revision: str) -> HubModel:
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

    def _whole(self, folder: Path) -> Path:
        """Return a folder of the cache, if no part of it lacks its weights.

        Raises:
            FileNotFoundError: an interrupted download left some out.
        """
        for name, kind in _parts(folder).items():
            if _NO_NETWORK.search(kind) or name in self._left_out() or not (folder / name).is_dir():
                continue
            if not any(file.suffix in _WEIGHTS for file in (folder / name).iterdir()):
                raise FileNotFoundError(f"{name} has no weights in the cache")
        return folder

    def _validate_no_pickles(self, folder: Path) -> None:
        if self.preset.allow_pickle_weights:
            return
        # Single-file checkpoints and those of the training, beside the parts, are not loaded.
        parts = [folder / name for name in _parts(folder)] or [folder]
        files = [path for part in parts for path in part.glob("*") if path.suffix in _WEIGHTS]
        safe = {path.parent for path in files if path.suffix == ".safetensors"}
        safe |= {folder / name for name in self._left_out()}
        pickles = sorted(p.relative_to(folder).as_posix() for p in files if p.parent not in safe)
        if pickles:
            problem = _UNSAFE.format(files=", ".join(pickles))
            raise GenerationError(f"the generator {self.name!r}: {folder} {problem}")

    def _failed(self, error: Exception) -> str:
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"the generator {self.name!r} ({self.preset.repository}) cannot be loaded [{reason}]"


def _model_folder(repository: str) -> ModelFolder | None:
    """Return the model folder of that name; None for a repository id ("owner/name")."""
    path = Path(repository).expanduser()
    if not path.is_absolute() and not path.is_dir():
        return None
    has_parts = (path / "model_index.json").is_file() or not (path / "config.json").is_file()
    required = "model_index.json" if has_parts else "config.json"
    return ModelFolder(path, (required,))


def _parts(folder: Path) -> dict[str, str]:
    """Return the class of every part of a pipeline's folder, by name; {} for a single model."""
    index = folder / "model_index.json"
    if not index.is_file():
        return {}
    try:
        entries = json.loads(index.read_text(encoding="utf-8")).items()
    except (ValueError, AttributeError) as error:
        raise GenerationError(f"{index} is no list of a pipeline's parts ({error})") from error
    return {name: str(kind[-1]) for name, kind in entries if isinstance(kind, list) and kind}


def _variant(preset: GeneratorPreset) -> dict[str, str]:
    return {} if preset.variant is None else {"variant": preset.variant}


def _autoencoder_class(folder: Path) -> Any:
    import diffusers

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return getattr(diffusers, config.get("_class_name", "AutoencoderKL"))


def _replace_scheduler(pipeline: Any, preset: GeneratorPreset) -> None:
    import diffusers

    if preset.scheduler is None and not preset.scheduler_options:
        return
    name = preset.scheduler or type(pipeline.scheduler).__name__
    kind = getattr(diffusers, name, None)
    # In place of classes whose packages are missing, diffusers has stand-ins that list them.
    absent = [p for p in getattr(kind, "_backends", ()) if importlib.util.find_spec(p) is None]
    if absent:
        raise GenerationError(f"{name} needs {', '.join(absent)}: pip install {' '.join(absent)}")
    if not isinstance(kind, type) or not issubclass(kind, diffusers.SchedulerMixin):
        raise GenerationError(f"diffusers has no scheduler {name!r}")
    # `from_config` passes over what it does not know.
    known = set(inspect.signature(kind).parameters)
    if unknown := sorted(set(preset.scheduler_options) - known):
        raise GenerationError(
            f"{name} has no option {', '.join(unknown)}; it has: {', '.join(sorted(known))}"
        )
    pipeline.scheduler = getattr(diffusers, name).from_config(
        pipeline.scheduler.config, **preset.scheduler_options
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
