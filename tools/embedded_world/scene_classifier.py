"""Trains the ultralytics scene classifier and saves it without pickle."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from ultralytics.nn.tasks import ClassificationModel, yaml_model_load

from tools.embedded_world.backgrounds import SCENES
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.corpus import LABELS
from tools.embedded_world.detector import load_ultralytics, save_ultralytics
from tools.embedded_world.training_loop import Plan, StepRandom, fit, mixed_precision

IMAGE_SIDE = 128
_SCALE = [0.50, 0.125, 1024]  # half as wide as YOLO11n-cls: eight scenes need no more


def architecture() -> dict[str, Any]:
    """Return a narrow YOLO11-cls architecture for our scenes."""
    description = yaml_model_load("yolo11n-cls.yaml")
    description["nc"] = len(SCENES)
    description["scales"] = {"n": _SCALE}
    return {key: description[key] for key in ("nc", "scales", "scale", "backbone", "head")}


def train_scene_classifier(
    source: PictureSource, plan: Plan, batch: int, start: Path | None = None
) -> ClassificationModel:
    """Train with cross-entropy, from the model in ``start`` where one is given."""
    torch.manual_seed(plan.seed)
    model = ClassificationModel(deepcopy(architecture()), verbose=False)
    if start is not None:
        load_ultralytics(model, start)
    model.to(plan.device, memory_format=torch.channels_last)
    scene = LABELS.index("scene")

    def loss(step: int, random: StepRandom) -> Tensor:
        sampled = source.sample(random, batch, plan.device)
        with mixed_precision(plan.device):
            logits = model(sampled.pictures)
        return functional.cross_entropy(logits.float(), sampled.labels[:, scene])

    fit(model, loss, plan)
    return model


def save_scene_classifier(model: ClassificationModel, folder: Path) -> None:
    """Write the classifier in the format that `rldf_gym.perception` loads."""
    save_ultralytics(
        model,
        folder,
        {
            "architecture": architecture(),
            "class_names": list(SCENES),
            "image_size": IMAGE_SIDE,
        },
    )
