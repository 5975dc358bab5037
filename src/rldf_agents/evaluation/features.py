"""Feature extractors, in whose space distances between data sets are measured."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from rldf_agents.errors import AgentError
from rldf_gym.model_files import EMBEDDED
from rldf_gym.model_loading import open_device
from rldf_gym.perception import OpenClip
from rldf_gym.registry import is_object_name, make_named, unknown_name

Pictures = Sequence[npt.NDArray[np.uint8]]
_Number = TypeVar("_Number", bound=np.generic)
AUTO = "auto"
_OPEN_CLIP = "open_clip:"
_BATCH = 32
_INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)
_INCEPTION_HASH = "6726825d"
_DINOV2 = "vit_large_patch14_dinov2.lvd142m"
_DINOV2_SIDE = 224


@runtime_checkable
class FeatureExtractor(Protocol):
    """Turns pictures into features.

    Give one of your own by ``package.module:object``. Where it has an attribute
    ``is_comparable`` that is true, reports compare its distances with the paper's.
    """

    @property
    def name(self) -> str:
        """Name for reports."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that decides the features: their key in the cache."""
        ...

    def __call__(self, pictures: Pictures) -> npt.NDArray[np.float32]:
        """Return features float32 ``[n, d]`` of pictures uint8 ``[H, W, 3]``, RGB, of any sizes."""
        ...


class TorchExtractor:
    """A torch network as a feature extractor.

    Attributes:
        name: for reports.
        fingerprint: of the network's weights and of how it is used.
        is_comparable: whether it is the network of the paper's FID and KID.
    """

    def __init__(
        self,
        name: str,
        network: Callable[[Any], Any],
        weights: Mapping[str, Any],
        device: Any,
        is_comparable: bool = False,
    ) -> None:
        """Hash the weights.

        Args:
            name: for reports.
            network: from uint8 ``[n, 3, H, W]`` on ``device`` to ``[n, d]``.
            weights: tensors by name.
            device: where the network is.
            is_comparable: see the class.
        """
        digest = hashlib.sha256(name.encode())
        for key, tensor in sorted(weights.items()):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self.name, self.fingerprint = name, digest.hexdigest()
        self.is_comparable = is_comparable
        self._network, self._device = network, device

    def __call__(self, pictures: Pictures) -> npt.NDArray[np.float32]:
        """Return the network's features."""
        import torch

        def features(batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            pixels = torch.from_numpy(batch).permute(0, 3, 1, 2).to(self._device)
            with torch.inference_mode():
                rows: npt.NDArray[np.float32] = self._network(pixels).float().cpu().numpy()
            return rows

        return in_equal_sizes(pictures, features)


def in_equal_sizes(
    pictures: Pictures, function: Callable[[npt.NDArray[np.uint8]], npt.NDArray[_Number]]
) -> npt.NDArray[_Number]:
    """Apply a function to batches uint8 ``[n, H, W, 3]`` of neighbours of one size."""
    rows = []
    for _, group in itertools.groupby(pictures, key=lambda picture: picture.shape):
        same = list(group)
        for start in range(0, len(same), _BATCH):
            rows.append(function(np.stack(same[start : start + _BATCH])))
    return np.concatenate(rows)


class ClipExtractor:
    """The embeddings of a CLIP model from a local folder, of length √d.

    With that length the mean square of a feature is 1, which the kernel of KID expects.
    """

    def __init__(self, name: str, clip: OpenClip) -> None:
        """Load nothing yet.

        Args:
            name: for reports.
            clip: the model.
        """
        self.name = name
        self._clip = clip

    @property
    def fingerprint(self) -> str:
        """Identity of the weights."""
        return f"unit embeddings times the root of their dimension, {self._clip.fingerprint}"

    def __call__(self, pictures: Pictures) -> npt.NDArray[np.float32]:
        """Return the embeddings."""

        def features(batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            found = [output["embedding"].astype(np.float32) for output in self._clip(batch)]
            return np.stack(found) * np.float32(len(found[0]) ** 0.5)

        return in_equal_sizes(pictures, features)


def _embedded(device: str | None) -> FeatureExtractor:
    return ClipExtractor("the embedded world's CLIP", OpenClip(EMBEDDED / "clip", device))


def _inception(device: str | None) -> FeatureExtractor:
    import torch

    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ModuleNotFoundError as absent:
        raise AgentError(
            f"--features inception needs {absent.name}: pip install 'rldf-gym[evaluate]'"
        ) from absent
    path = _inception_file()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(_INCEPTION_URL, str(path), _INCEPTION_HASH)
        except OSError as error:
            raise AgentError(
                f"the weights of Inception are not on this machine: download {_INCEPTION_URL} to"
                f" {path}, or use --features embedded [{error}]"
            ) from error
    # torch-fidelity unpickles the file without restrictions: first show that it holds tensors only.
    torch.load(path, weights_only=True)
    target = open_device(device)
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path)
    ).to(target)
    name = "Inception v3 (FID's own weights, 2015-12-05)"
    return TorchExtractor(
        name, lambda pixels: network(pixels)[0], network.state_dict(), target, is_comparable=True
    )


def _inception_file() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / _INCEPTION_URL.rpartition("/")[2]


def _dinov2(device: str | None) -> FeatureExtractor:
    import timm

    target = open_device(device)
    network = _fetched(
        "DINOv2",
        lambda: timm.create_model(_DINOV2, pretrained=True, num_classes=0, img_size=_DINOV2_SIDE),
    )
    network = network.eval().to(target)
    prepare = _prepared(_DINOV2_SIDE, network.default_cfg["mean"], network.default_cfg["std"])
    name = f"DINOv2 ViT-L/14 (timm {_DINOV2}, {_DINOV2_SIDE} pixels)"
    return TorchExtractor(
        name, lambda pixels: network(prepare(pixels)), network.state_dict(), target
    )


def _open_clip(name: str, device: str | None) -> FeatureExtractor:
    import open_clip

    model, slash, pretrained = name.removeprefix(_OPEN_CLIP).rpartition("/")
    if not (model and slash and pretrained):
        raise AgentError(f"--features {name}: give open_clip:MODEL/PRETRAINED")
    target = open_device(device)
    network = _fetched(
        name, lambda: open_clip.create_model(model, pretrained=pretrained, device=target)
    ).eval()
    side = network.visual.image_size
    prepare = _prepared(
        side if isinstance(side, int) else side[0],
        network.visual.image_mean or open_clip.OPENAI_DATASET_MEAN,
        network.visual.image_std or open_clip.OPENAI_DATASET_STD,
    )

    def embed(pixels: Any) -> Any:
        embeddings = network.encode_image(prepare(pixels), normalize=True)
        return embeddings * embeddings.shape[1] ** 0.5

    return TorchExtractor(name, embed, network.visual.state_dict(), target)


def _fetched(name: str, load: Callable[[], Any]) -> Any:
    """Return a pretrained network; its library's error in one line that says how to go on."""
    try:
        return load()
    except Exception as error:  # every library and those under it raise their own
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise AgentError(
            f"cannot load the features {name}: check the name and the network connection, or use"
            f" --features embedded [{reason}]"
        ) from error


def _prepared(side: int, mean: Sequence[float], deviation: Sequence[float]) -> Callable[[Any], Any]:
    import torch
    from torchvision.transforms import v2

    prepare: Callable[[Any], Any] = v2.Compose(
        [
            v2.Resize(side, v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(side),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(mean), list(deviation)),
        ]
    )
    return prepare


FEATURES: Mapping[str, Callable[[str | None], FeatureExtractor]] = MappingProxyType(
    {"inception": _inception, "dinov2": _dinov2, "embedded": _embedded}
)
"""By name, what makes a feature extractor on a device.

- "inception": Inception v3 with the weights of the original FID, as the paper uses it.
- "dinov2": DINOv2 ViT-L/14, which agrees better with people (Stein et al. 2023, arXiv:2306.04675).
- "embedded": the CLIP model that ships with the package; it knows the embedded world and no other.
"""


def make_extractor(spec: str, device: str | None = None) -> FeatureExtractor:
    """Return a feature extractor.

    Args:
        spec: a name in `FEATURES`, ``open_clip:MODEL/PRETRAINED``, ``package.module:object``, or
            "auto": Inception where its weights are on this machine, else the embedded CLIP.
        device: "cpu", "cuda", "cuda:N", "mps"; None picks CUDA where there is one, else the CPU.

    Raises:
        AgentError: an unknown name, or weights that cannot be had.
        RLDFError: an object that cannot be made, or an unknown device.
    """
    if spec == AUTO:
        has_network = importlib.util.find_spec("torch_fidelity") is not None
        spec = "inception" if has_network and _inception_file().is_file() else "embedded"
    if spec in FEATURES:
        return FEATURES[spec](device)
    if spec.startswith(_OPEN_CLIP):
        return _open_clip(spec, device)
    if is_object_name(spec):
        made: FeatureExtractor = make_named(
            "feature extractor", spec, lambda found: isinstance(found, FeatureExtractor)
        )
        return made
    raise AgentError(
        unknown_name("feature extractor", spec, (AUTO, *FEATURES), "open_clip:MODEL/PRETRAINED")
    )


def is_comparable(extractor: FeatureExtractor) -> bool:
    """Return whether an extractor's distances can be compared with the paper's."""
    return bool(getattr(extractor, "is_comparable", False))
