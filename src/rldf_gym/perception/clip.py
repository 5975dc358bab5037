"""Pictures and prompts in one space: an open_clip model from a local folder."""

import functools
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rldf_gym.model_files import ModelFiles
from rldf_gym.model_loading import open_device, suppress_all_logs
from rldf_gym.perception.picture_model import PictureModel
from rldf_gym.perception.pixels import centre_square, letterbox, squash, to_tensor
from rldf_gym.perception.protocols import Output, PerceptionError
from rldf_gym.threads import compute

if TYPE_CHECKING:
    import torch

_WEIGHTS_FILE = "open_clip_model.safetensors"
_CONFIG_FILE = "open_clip_config.json"
CLIP_FILES = (_CONFIG_FILE, _WEIGHTS_FILE)


class OpenClip(PictureModel):
    """Meets the `TextPictureModel` protocol; weights are loaded at the first look.

    Args:
        path: folder in open_clip's own format: open_clip_config.json, open_clip_model.safetensors
            and, where the text configuration names a Hugging Face tokenizer, its files. Or such
            files on the Hugging Face Hub.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Raises:
        ModelError: unknown device.
    """

    batch = 64

    def __init__(self, path: Path | ModelFiles, device: str | None = None) -> None:
        folder = path if isinstance(path, ModelFiles) else ModelFiles(path, CLIP_FILES)
        super().__init__(folder, device)

    @property
    def vocabulary(self) -> Path | None:
        """The vocab.json beside the weights, None if the tokenizer is open_clip's own."""
        source = self._folder.source
        is_here = isinstance(source, Path) and (source / "vocab.json").is_file()
        return self._folder.path / "vocab.json" if is_here else None

    @functools.cached_property
    def logit_scale(self) -> float:
        """What cosines are multiplied with; read from the weights file without torch."""
        from safetensors import safe_open

        self._folder.check()
        path = self._folder.path / _WEIGHTS_FILE
        with safe_open(path, framework="np") as weights:
            names = tuple(weights.keys())
            if "logit_scale" not in names:
                raise PerceptionError(f"{path} holds no logit_scale; {self._folder.remedy}")
            return math.exp(float(weights.get_tensor("logit_scale")))

    def _outputs(self, pictures: NDArray[np.uint8]) -> list[Output]:
        """Return the unit embedding of each picture; see `TextPictureModel`."""
        return [{"embedding": row} for row in self._embed(pictures)]

    def embed_texts(self, prompts: Sequence[str]) -> NDArray[np.float32]:
        """Unit embeddings float32 `[n, d]` of prompts `[n]`."""
        model, tokenizer, device = self._loaded
        # Not in threads: a tokenizer serves one at a time.
        tokens = tokenizer(list(prompts)) if prompts else ()

        def embed(part: slice) -> NDArray[np.float32]:
            embeddings: NDArray[np.float32] = (
                model.encode_text(tokens[part].to(device), normalize=True).cpu().numpy()
            )
            return embeddings

        parts = compute(model, len(prompts), embed, self.batch, self.batch)
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def layer_statistics(
        self, pictures: NDArray[np.uint8], layers: Sequence[str]
    ) -> NDArray[np.float32]:
        """Return statistics of layers of the image tower and the embedding, float32 `[n, d]`.

        Args:
            pictures: uint8 `[n, H, W, 3]`.
            layers: names of modules whose outputs are feature maps. Each gives the mean and the
                standard deviation of every channel over the picture.
        """
        model = self._loaded[0]
        maps: list[torch.Tensor] = []

        def statistics(start: int, _: slice) -> NDArray[np.float32]:
            maps.clear()
            embeddings = self._embed(pictures[start : start + self.batch])
            parts = [part for x in maps for part in (x.mean((2, 3)), x.std((2, 3)))]
            return np.hstack([*(part.cpu().numpy() for part in parts), embeddings])

        handles = [
            model.visual.get_submodule(name).register_forward_hook(lambda _, __, x: maps.append(x))
            for name in layers
        ]
        try:
            # One batch after another: the hooks' maps are those of the last.
            starts = range(0, len(pictures), self.batch)
            batches = [compute(model, 1, partial(statistics, start), 1)[0] for start in starts]
        finally:
            for handle in handles:
                handle.remove()
        return np.concatenate(batches) if batches else np.empty((0, 0), np.float32)

    def _embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        model, _, device = self._loaded
        square = _prepare(to_tensor(pictures, device), model.visual.preprocess_cfg)
        embeddings: NDArray[np.float32] = model.encode_image(square, normalize=True).cpu().numpy()
        return embeddings

    @functools.cached_property
    def _loaded(self) -> "tuple[Any, Any, torch.device]":
        """Model, tokenizer and device; convolutions' kernels want channels-last memory."""
        import torch

        device = open_device(self._device)
        self._folder.check()
        source = f"local-dir:{self._folder.path}"
        with suppress_all_logs():
            import open_clip

            try:
                model = open_clip.create_model(source, precision="fp32", device=device)
                tokenizer = open_clip.get_tokenizer(source)
            except Exception as error:  # open_clip and what is under it raise their own kinds
                raise PerceptionError(
                    f"{self._folder.path / _WEIGHTS_FILE} does not fit {_CONFIG_FILE} [{error}]; "
                    f"{self._folder.remedy}"
                ) from error
        return model.eval().to(memory_format=torch.channels_last), tokenizer, device


def _prepare(pictures: "torch.Tensor", settings: dict[str, Any]) -> "torch.Tensor":
    """Resize and normalise `[n, 3, H, W]` in 0..1 by open_clip's preprocess settings."""
    size = settings["size"]
    side = size if isinstance(size, int) else size[0]
    mode = settings.get("resize_mode", "shortest")
    # As open_clip itself takes any other word, and none.
    filtered = "bilinear" if settings.get("interpolation") == "bilinear" else "bicubic"
    if mode == "longest":
        square, _ = letterbox(pictures, side, settings.get("fill_color", 0) / 255, filtered)
    else:
        square = (squash if mode == "squash" else centre_square)(pictures, side, filtered)
    mean = pictures.new_tensor(settings["mean"]).view(3, 1, 1)
    deviation = pictures.new_tensor(settings["std"]).view(3, 1, 1)
    return (square - mean) / deviation
