"""Trains the ultralytics detector of things and people, and saves it without pickle.

Ultralytics' own trainer writes pickles and runs in float32 on a CPU; its model and loss are used
here in our loop instead.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel, yaml_model_load

from tools.embedded_world.batches import Batch, PictureSource
from tools.embedded_world.cutouts import NOUNS
from tools.embedded_world.training_loop import Plan, StepRandom, fit, mixed_precision

CLASS_NAMES = (*("sports_ball" if noun == "ball" else noun for noun in NOUNS), "person")
IMAGE_SIDE = 128
CONFIDENCE, OVERLAP = 0.4, 0.6  # chosen on the validation corpus


def architecture() -> dict[str, Any]:
    """Return YOLO11n's architecture with our classes, as ultralytics' models take it."""
    description = yaml_model_load("yolo11n.yaml")
    description["nc"] = len(CLASS_NAMES)
    description["scales"] = {"n": description["scales"]["n"]}
    return {key: description[key] for key in ("nc", "scales", "scale", "backbone", "head")}


def build_detector() -> DetectionModel:
    """Return an untrained detector with ultralytics' default loss gains."""
    model = DetectionModel(deepcopy(architecture()), verbose=False)
    model.args = get_cfg()
    return model


def _targets(batch: Batch) -> dict[str, Tensor]:
    present = batch.boxes[..., 0] >= 0
    rows = batch.boxes[present]
    left, top, right, bottom = rows[:, 1:].clamp(0, 1).unbind(1)
    boxes = torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], 1)
    return {
        "img": batch.pictures,
        "batch_idx": present.nonzero()[:, 0].float(),
        "cls": rows[:, 0],
        "bboxes": boxes,
    }


def train_detector(
    source: PictureSource, plan: Plan, batch: int, start: Path | None = None
) -> DetectionModel:
    """Train with ultralytics' detection loss, from the model in ``start`` where one is given."""
    torch.manual_seed(plan.seed)
    model = build_detector()
    if start is not None:
        load_ultralytics(model, start)
    model.to(plan.device, memory_format=torch.channels_last)
    criterion = model.init_criterion()

    def loss(step: int, random: StepRandom) -> Tensor:
        targets = _targets(source.sample(random, batch, plan.device))
        with mixed_precision(plan.device):
            predictions = model(targets["img"])
        predictions = {
            name: [x.float() for x in value] if isinstance(value, list) else value.float()
            for name, value in predictions.items()
        }
        return criterion(predictions, targets)[0].sum() / batch

    fit(model, loss, plan)
    return model


def load_ultralytics(model: nn.Module, folder: Path) -> None:
    """Load weights that `save_ultralytics` wrote."""
    model.load_state_dict(load_file(folder / "model.safetensors"))


def save_ultralytics(model: nn.Module, folder: Path, config: dict[str, Any]) -> None:
    """Write fp16 safetensors and a config.json from which the model is built again."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def save_detector(model: DetectionModel, folder: Path) -> None:
    """Write the detector in the format that `rldf_gym.perception` loads."""
    save_ultralytics(
        model,
        folder,
        {
            "architecture": architecture(),
            "class_names": list(CLASS_NAMES),
            "image_size": IMAGE_SIDE,
            "confidence": CONFIDENCE,
            "iou": OVERLAP,
        },
    )
